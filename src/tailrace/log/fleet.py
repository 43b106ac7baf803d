"""What the instances that share a store know of each other, and do for each other.

An instance is one start of one process. While it lives it renews a counter, its beat; whoever sees a
counter stand still, and was itself in touch with the store all the while, may end what that instance was
producing. Facts only: when somebody counts as dead, and what follows from it, is left to `runs`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from tailrace.log.record import Entry

__all__ = ["VIEWERS_KEPT", "Beat", "Fleet", "Roster"]

VIEWERS_KEPT: Final = 180.0
"""Seconds for which it is kept who reads a log, from when an instance last said anything of it."""


@dataclass(frozen=True, slots=True)
class Beat:
    """The last sign of an instance: how often it has given one, and whether it is on its way out."""

    count: int
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Roster:
    """Every instance's last beat by its name, this one's included; and the letters that came for this one."""

    beats: Mapping[str, Beat]
    letters: Sequence[str] = ()


class Fleet(Protocol):
    """The instances on one store. Every coroutine may raise `StoreUnavailable`."""

    name: str
    """This instance: random, and never again another's."""

    async def beat(self, *, leaving: bool = False) -> Roster:
        """Give a sign of life, and take what has come: each letter once."""
        ...

    async def resign(self) -> None:
        """Take this instance off the roster; it produces nothing any more."""
        ...

    async def forget(self, instance: str) -> None:
        """Take another instance off the roster, whose logs have all been seen to."""
        ...

    async def send(self, instance: str, letter: str) -> None:
        """Leave a letter for an instance, and wake it. One that is not there reads nothing: no error."""
        ...

    def on_wake(self, wake: Callable[[], None]) -> None:
        """Have `wake` called, on the event loop, when there may be letters before the next beat."""
        ...

    async def produced_by(self, instance: str) -> Sequence[str]:
        """The logs that an instance has created and not ended. Some may be gone by now."""
        ...

    async def watch(self, log: str) -> None:
        """Say that somebody reads `log` here, until `unwatch`, or until this instance is gone."""
        ...

    async def unwatch(self, log: str) -> None:
        """Say that nobody reads `log` here any more."""
        ...

    async def watchers(self, log: str) -> frozenset[str]:
        """The instances that somebody reads `log` on; some of them may be dead."""
        ...

    async def tell_viewers(self, said: Mapping[str, str]) -> None:
        """Say of each log, in words that those who ask can read, who reads it here; an empty text: nobody.

        It counts for `VIEWERS_KEPT` seconds, or until this instance is gone, or says something else.
        """
        ...

    async def viewers(self, log: str) -> Mapping[str, str]:
        """What each instance says of who reads `log` there; some of them may be dead."""
        ...

    async def seal(
        self, log: str, epoch: str, entries: Sequence[Entry], keep: float | None, meta: str | None = None
    ) -> bool:
        """End a log that its producer will not end: `entries` become its last, at the offsets after `RESERVED`.

        Of all who try to end a log, its producer included, one does: whether it was this call. What the
        producer appends later is refused. A log that is gone stays so, unless `meta` is given: then it is
        begun again with nothing but its end, for a producer who knows that it was there. Kept for
        `keep` seconds (None: as long as the store keeps anything).
        """
        ...
