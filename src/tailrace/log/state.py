"""The state of a channel: what its events come to, for who begins now and was not told them.

What a state is made of is for those who publish to say; a store keeps it beside the records, changed in the same step
as they are appended, so that it is the state after them and after no others. Trimming does not touch it, and a dropped
history takes it along.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from tailrace.log.head import Head

__all__ = ["STATE_KEPT", "Fold", "NewState", "Snapshot", "after"]

STATE_KEPT: Final = 30 * 86_400.0
"""Seconds that a channel is kept for its state's sake after it last changed, when no record is there any more."""

Fold: TypeAlias = Callable[[str | None], str]
"""Makes the state after some records of the one before; None: there was none.

It may be called in another thread, and again where somebody else was quicker to change the state. What it raises,
the publisher gets, and nothing is appended.
"""

NewState: TypeAlias = str | Fold
"""What a state is to become: a text, whatever it was, or what makes it of the one before."""


def after(before: str | None, state: NewState) -> str:
    """The new state of a channel whose state is `before`."""
    return state if isinstance(state, str) else state(before)


class Snapshot(NamedTuple):
    """A channel's head, and the state that all up to there comes to; None where nobody ever gave it one."""

    head: Head
    state: str | None
