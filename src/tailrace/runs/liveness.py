"""Who of a fleet lives and who is dead, as one instance may judge it: a pure policy over the beats that it saw.

A counter that stands still proves nothing by itself: the store may have stood still, or the observer. So a
counter counts only while the observer's own beats come back one after the other. After a hole everybody
begins anew, and a store that is away for a minute makes nobody dead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tailrace.log.fleet import Beat

__all__ = ["BEAT", "DEAD_AFTER", "HOLE", "Liveness"]

BEAT = 1.0
"""Seconds between two beats: some ten thousandths of what one Redis does, for each instance."""
DEAD_AFTER = 5.0
"""Seconds for which a counter stands still before its instance is dead.

Four beats may be late or lost, as in a full garbage collection or a container's move; and with a beat before and
one round of looking after it, viewers are told within 8 seconds of a `kill -9`, where 10 are promised.
"""
HOLE = 2.0
"""Seconds between two answers of one's own after which contact was broken: twice what is usual."""

_CERTAIN = 1.8
"""Seconds after a beat was sent for which nobody can have written an end in this instance's place.

Whoever may do so waits for longer: 2 seconds for what follows from a letter, which comes with a beat, and 5 for
a counter. Two beats that are farther apart leave a doubt, until it was looked what became of every run.
"""


@dataclass(slots=True)
class _Sign:
    """An instance's last beat, when it was first seen, and whether it was seen to change."""

    beat: Beat
    at: float
    moved: bool


class Liveness:
    """What the instance `name` knows of the others. All times are monotonic seconds of its own clock."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._signs: dict[str, _Sign] = {}
        self._sent: float | None = None
        self._heard: float | None = None
        self._since: float | None = None  # contact is unbroken since then
        self._broke = False
        self.doubts = 0
        """How often this instance was out of touch for so long that others may have ended what it produces."""
        self._vouched = 0

    def hear(self, beats: Mapping[str, Beat], sent: float, now: float) -> bool:
        """Take the answer, come `now`, to a beat that was `sent`; whether contact had been broken before it."""
        if self._heard is not None and now - self._heard > HOLE:
            self.lose()
        restored, begins = self._broke and self._since is None, self._since is None
        self._since = now if self._since is None else self._since
        if self._sent is not None and sent - self._sent >= _CERTAIN:
            self.doubts += 1
        self._sent, self._heard = sent, now
        self._signs = {
            name: self._sign(name, beat, now, known=not begins) for name, beat in beats.items() if name != self.name
        }
        return restored

    def _sign(self, name: str, beat: Beat, now: float, *, known: bool) -> _Sign:
        before = self._signs.get(name)
        if before is None:
            # One that comes into a roster which was complete before lives; in the first roster it may be long dead.
            return _Sign(beat, now, moved=known)
        if before.beat.count == beat.count:
            return before
        return _Sign(beat, now, moved=True)

    def lose(self) -> None:
        """Note that contact is broken: a beat failed, or came back too late."""
        self._broke = True
        self._since = None
        self._signs.clear()

    def certain(self, now: float) -> bool:
        """Whether nobody else can have ended anything of this instance's by `now`."""
        return not self.doubtful and self._sent is not None and now - self._sent < _CERTAIN

    def presumed_dead(self, now: float) -> bool:
        """Whether others, if they are in touch with the store, may take this instance for dead by `now`."""
        return self._sent is None or now - self._sent >= DEAD_AFTER

    @property
    def doubtful(self) -> bool:
        """Whether it has not been looked, since this instance was out of touch, what became of its own."""
        return self._vouched < self.doubts

    def vouch(self, doubts: int) -> None:
        """Note that this was looked at, after as many `doubts`."""
        self._vouched = max(self._vouched, doubts)

    @property
    def settled(self) -> bool:
        """Whether contact was never broken, or is whole again for so long that everybody has said what he had to."""
        return not self._broke or self._unbroken >= DEAD_AFTER

    @property
    def _unbroken(self) -> float:
        """For how many seconds, by the last answer, contact is unbroken."""
        return self._heard - self._since if self._heard is not None and self._since is not None else 0.0

    @property
    def alive(self) -> frozenset[str]:
        """The others that gave a sign of life while this instance was looking, not too long ago."""
        return frozenset(name for name, sign in self._signs.items() if sign.moved and not self._still(sign, DEAD_AFTER))

    @property
    def others(self) -> frozenset[str]:
        """Those of the living that stay."""
        return frozenset(name for name in self.alive if not self._signs[name].beat.leaving)

    @property
    def dead(self) -> Sequence[str]:
        """Whom this instance may take for dead.

        The first of the living, by name, sees to them at once; the others a beat later, where it has not.
        """
        first = self.name <= min(self.alive, default=self.name)
        patience = DEAD_AFTER if first else DEAD_AFTER + BEAT
        return [name for name, sign in self._signs.items() if self._still(sign, patience)]

    def missing(self, name: str) -> bool:
        """Whether an instance is not on the roster, though all who live have had the time to be."""
        return name != self.name and name not in self._signs and self._unbroken >= DEAD_AFTER

    def gone(self, name: str) -> bool:
        """Whether an instance is dead or missing: what it said of itself does not count any more."""
        sign = self._signs.get(name)
        return self.missing(name) if sign is None else self._still(sign, DEAD_AFTER)

    def _still(self, sign: _Sign, seconds: float) -> bool:
        return self._heard is not None and self._heard - sign.at >= seconds
