"""The newest records of a log, in this process's memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

from tailrace.log import Record
from tailrace.log.record import RECORD_OVERHEAD, size_of

__all__ = ["RUN_WINDOW", "WINDOW", "Window"]

WINDOW = 128
"""Records that are kept for readers that are a little behind; what is older comes from the store."""
RUN_WINDOW = 32
"""The same for a run that is produced here: tokens are few and their readers too, but ten thousand may be open."""
_WINDOW_BYTES = 65_536


class Window:
    """Consecutive records up to the head of a log: at most `most` of them (None: `WINDOW`), and not too many bytes."""

    __slots__ = ("_bytes", "_most", "_records", "largest")

    def __init__(self, most: int | None = None) -> None:
        self._most = most or WINDOW
        self._records: deque[Record] = deque()
        self._bytes = 0
        self.largest = 1  # bytes of the largest record that ever was here

    def __len__(self) -> int:
        return len(self._records)

    @property
    def first(self) -> int:
        """The oldest record's offset; 0 where there is none."""
        return self._records[0].offset if self._records else 0

    @property
    def full(self) -> bool:
        """Whether a bound is passed."""
        return len(self._records) > self._most or (self._bytes > _WINDOW_BYTES and len(self._records) > 1)

    def since(self, after: int) -> Iterator[Record] | None:
        """The records past `after`, or None where they begin later than that."""
        if not self._records or after + 1 < self.first:
            return None
        return islice(self._records, after + 1 - self.first, None)

    def extend(self, records: Sequence[Record]) -> None:
        """Add the next records.

        Where there is a hole (the end of a run whose producer died stands above all that it may have said),
        only what is past it stays: who stands before it reads the store.
        """
        last = self._records[-1].offset if self._records else records[0].offset - 1
        if records[-1].offset - last != len(records):
            self.clear()
            records = [r for i, r in enumerate(records) if records[-1].offset - r.offset == len(records) - 1 - i]
        self._records.extend(records)
        size = size_of(records)
        self._bytes += size
        if size > self.largest:  # for a single record that is its size; else the largest of them is looked for
            longest = max([len(event) + len(data or "") for _, event, data, _ in records])
            self.largest = max(self.largest, longest + RECORD_OVERHEAD)

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
