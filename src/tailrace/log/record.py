"""What a log holds.

An `Entry` is what somebody wants to have appended, a `Record` is that entry at its place. Both are
shaped like the event they become: `event` is the event's type (empty for the default, `message`) and
`data` its data. A record whose `data` is None takes part in the order but no event shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Entry", "Record", "size_of"]


class Entry(NamedTuple):
    """Something to append."""

    event: str
    data: str | None


class Record(NamedTuple):
    """An entry at its place in a log. `offset` counts from 1; `at` is seconds since the epoch."""

    offset: int
    event: str
    data: str | None
    at: float

    @property
    def size(self) -> int:
        """About how many bytes the record takes, for bounds."""
        return len(self.event) + (len(self.data) if self.data else 0) + RECORD_OVERHEAD


def size_of(records: Sequence[Record]) -> int:
    """About how many bytes `records` take together."""
    texts = sum([len(event) + len(data) if data else len(event) for _, event, data, _ in records])
    return texts + RECORD_OVERHEAD * len(records)


RECORD_OVERHEAD = 64
"""Bytes that a record costs beside its text, for retention by bytes: many tiny events must count too."""
