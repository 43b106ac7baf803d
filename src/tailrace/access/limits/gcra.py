"""The generic cell rate algorithm: a leaky bucket that is one number, the moment at which it will be empty again.

How full a bucket is counts in seconds: that moment less now. Whatever is taken moves it on by as many seconds as
that much takes to come back. So it needs no timer, and two buckets with other rates are the same arithmetic. Redis
does the same in `log/redis/lua/limit.lua`; whose clock it is, is the caller's matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

__all__ = ["Rate"]

_NOTHING = 1e-6
"""Seconds that are none: sums of fractions are not exact, and one request of sixty must not be lost to that."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many `units` in so many `seconds`, all of them at once if need be."""

    units: int
    seconds: float

    def __post_init__(self) -> None:
        """Refuse a rate at which nothing ever comes. Raises `ValueError`."""
        if self.units < 1 or not self.seconds > 0:
            raise ValueError(f"a rate is 1 unit or more in some time, not {self.units} in {self.seconds} s")

    def cost(self, units: float) -> float:
        """By how many seconds so much fills the bucket."""
        return units * self.seconds / self.units

    def wait(self, used: float, units: float = 1) -> float:
        """Seconds until so much may be taken of a bucket that is `used` seconds full; 0: now."""
        wait = used + self.cost(units) - self.seconds
        return wait if wait > _NOTHING else 0.0

    def left(self, used: float) -> int:
        """How much may be taken now; nothing where more was taken than there was."""
        return max(0, int((self.seconds - used + _NOTHING) * self.units / self.seconds))

    def more_in(self, used: float) -> int:
        """Whole seconds until more may be taken than now, rounded up; 0 where there is all that there can be."""
        if used <= _NOTHING:
            return 0
        return max(1, ceil(self.wait(used, self.left(used) + 1) - _NOTHING))
