"""The share of tries that failed lately.

Time is an argument; who tries, and what follows from the share, is not known here.
"""

from __future__ import annotations

__all__ = ["Rate"]

_SLICES = 10


class Rate:
    """Tries and failures of the last `seconds`, in slices of a tenth, so that memory does not grow with them."""

    __slots__ = ("_slices", "_width")

    def __init__(self, seconds: float) -> None:
        self._width = seconds / _SLICES
        self._slices = [[-_SLICES, 0, 0] for _ in range(_SLICES)]  # each: its number since time began, tries, failures

    def add(self, now: float, *, failed: bool) -> None:
        """Count a try that came to its end at `now` (seconds, never going back)."""
        number = int(now / self._width)
        slot = self._slices[number % _SLICES]
        if slot[0] != number:
            slot[:] = number, 0, 0
        slot[1] += 1
        slot[2] += failed

    def totals(self, now: float) -> tuple[int, int]:
        """Return the tries and the failures among them."""
        oldest = int(now / self._width) - _SLICES
        current = [slot for slot in self._slices if slot[0] > oldest]
        return sum(slot[1] for slot in current), sum(slot[2] for slot in current)

    def clear(self) -> None:
        """Forget what was counted."""
        for slot in self._slices:
            slot[:] = -_SLICES, 0, 0
