"""The records of one log in memory, packed.

A token-sized record as a Python object costs about 220 bytes, most of them headers. Ten thousand
answers in progress hold millions of them, and hardly one is read again. So all but the newest few are
sealed into segments: one string and two arrays for 64 records, about 13 bytes each beside the text.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice

from tailrace.log.record import Record, size_of
from tailrace.log.retention import Retention

__all__ = ["History"]

SEGMENT = 64
"""Records in a segment: unpacking one is some 20 us, and the unsealed rest stays small. Lists hold both, for
they stay short, and a deque takes 600 bytes from its first item on."""

_NONE: frozenset[int] = frozenset()


class Segment:
    """Consecutive records, packed: their texts as one string, and where each ends."""

    __slots__ = ("_at", "_ends", "_events", "_hidden", "_text", "first")

    def __init__(self, records: Sequence[Record]) -> None:
        offsets, events, data, at = zip(*records, strict=True)
        texts = [text or "" for text in data]
        self.first: int = offsets[0]
        self._text = "".join(texts)
        self._ends = array("I", accumulate(map(len, texts)))
        self._at = array("d", at)
        # A run of text has one event type throughout; one shared string stands for all of them.
        self._events: tuple[str, ...] | str = events[0] if len(set(events)) == 1 else events
        self._hidden = frozenset([i for i, text in enumerate(data) if text is None]) if None in data else _NONE

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> Record:
        start = self._ends[index - 1] if index else 0
        event = self._events if isinstance(self._events, str) else self._events[index]
        data = None if index in self._hidden else self._text[start : self._ends[index]]
        return Record(self.first + index, event, data, self._at[index])

    def records(self, after: int) -> Iterator[Record]:
        """Unpack the records past offset `after`."""
        for index in range(max(0, after + 1 - self.first), len(self)):
            yield self[index]


class History:
    """What is retained of one log, oldest first; offsets have no holes."""

    __slots__ = ("_open", "_sealed", "_skipped", "bytes", "first", "last")

    def __init__(self) -> None:
        self._sealed: list[Segment] = []
        self._skipped = 0  # records of the oldest segment that are trimmed already
        self._open: list[Record] = []
        self.first = 1
        self.last = 0
        self.bytes = 0

    def __len__(self) -> int:
        return self.last - self.first + 1

    def extend(self, records: Sequence[Record]) -> None:
        """Add the next records; the first one's offset must be `last + 1`."""
        self._open.extend(records)
        self.last = records[-1].offset
        self.bytes += size_of(records)
        while len(self._open) >= SEGMENT:
            self._sealed.append(Segment(self._open[:SEGMENT]))
            del self._open[:SEGMENT]

    def seal(self) -> None:
        """Pack everything: nothing more will come."""
        if self._open:
            self._sealed.append(Segment(self._open))
            self._open.clear()

    def read(self, after: int, limit: int) -> list[Record]:
        """At most `limit` records past offset `after`, from the oldest retained on."""
        after = max(after, self.first - 1)
        newest = self._open[0].offset if self._open else self.last + 1
        if after + 1 >= newest:
            return self._open[after + 1 - newest : after + 1 - newest + limit]
        return list(islice(self._walk(after), limit))

    def _walk(self, after: int) -> Iterator[Record]:
        # All but the last one hold just as many records: no need to look for the place in a long answer.
        skipped = (after + 1 - self._sealed[0].first) // SEGMENT
        for segment in islice(self._sealed, min(skipped, len(self._sealed) - 1), None):
            yield from segment.records(after)
        yield from self._open

    def trim(self, retention: Retention, now: float) -> None:
        """Let go of what `retention` does not keep. The newest record stays unless it is too old."""
        too_many = len(self) - retention.events if retention.events is not None else 0
        while self.first <= self.last:
            oldest = self._oldest()
            too_big = retention.bytes is not None and self.bytes > retention.bytes and self.first < self.last
            too_old = retention.age is not None and oldest.at < now - retention.age
            if too_many <= 0 and not too_big and not too_old:
                return
            self._drop_oldest(oldest)
            too_many -= 1

    def _oldest(self) -> Record:
        return self._sealed[0][self._skipped] if self._sealed else self._open[0]

    def _drop_oldest(self, oldest: Record) -> None:
        self.first += 1
        self.bytes -= oldest.size
        if not self._sealed:
            del self._open[0]
            return
        self._skipped += 1
        if self._skipped == len(self._sealed[0]):
            del self._sealed[0]
            self._skipped = 0
