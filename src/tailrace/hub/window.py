"""The newest records of a log, in this process's memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

from tailrace.log import Record
from tailrace.log.record import size_of

__all__ = ["WINDOW", "Window"]

WINDOW = 128
"""Records that are kept for readers that are a little behind; what is older comes from the store."""
_WINDOW_BYTES = 65_536


class Window:
    """Consecutive records up to the head of a log, with bounds on their number and their bytes."""

    __slots__ = ("_bytes", "_records")

    def __init__(self) -> None:
        self._records: deque[Record] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._records)

    @property
    def first(self) -> int:
        """The oldest record's offset; 0 where there is none."""
        return self._records[0].offset if self._records else 0

    @property
    def full(self) -> bool:
        """Whether a bound is passed."""
        return len(self._records) > WINDOW or (self._bytes > _WINDOW_BYTES and len(self._records) > 1)

    def since(self, after: int) -> Iterator[Record] | None:
        """The records past `after`, or None where they begin later than that."""
        if not self._records or after + 1 < self.first:
            return None
        return islice(self._records, after + 1 - self.first, None)

    def extend(self, records: Sequence[Record]) -> None:
        """Add the next records; the first of them follows the newest that is here."""
        self._records.extend(records)
        self._bytes += size_of(records)

    def trim(self, needed: int) -> None:
        """Keep to the bounds, but never let go of a record past the offset `needed`."""
        records = self._records
        while self.full:
            if records[0].offset > needed:
                return
            self._bytes -= records.popleft().size

    def clear(self) -> None:
        """Let go of everything."""
        self._records.clear()
        self._bytes = 0
