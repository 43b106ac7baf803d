"""Which run is being produced, for a producer that asks about its own: it is made before the run has a name."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tailrace.runs.run import Run

__all__ = ["PRODUCING", "Producing"]


class Producing:
    """A run in its producer's eyes, until it is over. `seen_at`: when it was last seen to be watched (monotonic).

    The context that this stands in is that of whatever began meanwhile: a connection that is kept for other runs would
    keep the whole log of this one, as would the run's own task until the garbage collector comes.
    """

    __slots__ = ("run", "seen_at")

    def __init__(self, run: Run) -> None:
        self.run: Run | None = run
        self.seen_at = float("-inf")


PRODUCING: Final[ContextVar[Producing]] = ContextVar("tailrace run")
"""Set in a run's task, and so in whatever its producer starts."""
