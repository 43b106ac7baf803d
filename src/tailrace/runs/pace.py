"""How far what a run has said is ahead of the viewer who has read most of it, in bytes.

A provider that sends faster than anybody reads would have the store hold what may never be read. So a run
that is too far ahead is not read on from upstream until a viewer has moved, or nobody is left who watches.
Nobody waits for a slow viewer where another one is quicker.
"""

from __future__ import annotations

from bisect import bisect_right

__all__ = ["Pace"]

_MARKS = 8  # for each `most` bytes


class Pace:
    """Knows, to an eighth of `most` bytes, where in a run a byte is."""

    __slots__ = ("_marks", "_most", "_said")

    def __init__(self, most: int) -> None:
        self._most = most
        self._said = 0
        self._marks: list[tuple[int, int]] = []  # offsets, and the bytes up to each

    def note(self, offset: int, said: int) -> None:
        """Take note that `said` bytes in all are said up to `offset`."""
        self._said = said
        if not self._marks or said - self._marks[-1][1] >= self._most // _MARKS:
            self._marks.append((offset, said))

    def exceeded(self, read: int) -> bool:
        """Whether too much is said past the offset `read`."""
        passed = bisect_right(self._marks, (read, self._said))
        known = self._marks[passed - 1][1] if passed else 0
        return self._said - known > self._most + self._most // _MARKS
