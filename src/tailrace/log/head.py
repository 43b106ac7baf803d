"""Where a log begins and ends at a moment."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Head"]


@dataclass(frozen=True, slots=True)
class Head:
    """The state of a log: its epoch, its oldest retained and its newest offset, and what it was created with.

    An empty log has `first == last + 1`. `ended` says that nothing will be appended any more.
    """

    epoch: str
    first: int
    last: int
    meta: str = ""
    ended: bool = False
