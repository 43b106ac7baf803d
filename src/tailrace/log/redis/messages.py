"""How records look in Redis: one by one in a stream, and together in the message that tells of them.

A packed record is `<at>:<length>:<event><data>`, the length being the event's in characters. Where there is no
data the length is inverted, so that no text can be taken for its absence. A message is a line
`<mark><epoch> <first offset>` and then each record behind its size in bytes, as the scripts put it together.
Redis carries bytes, so halves of surrogate pairs travel as they are: what a model says is not for us to refuse.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from tailrace.log.record import Entry, Record

__all__ = ["Mark", "Message", "decoded", "encoded", "pack", "pack_all", "unpack"]

_ERRORS = "surrogatepass"


class Mark(Enum):
    """What a message tells of."""

    PUBLISHED = b"+"
    PRODUCED = b"="
    ENDED = b"."
    """The last record of a log that one instance produces, or of one that somebody sealed."""
    RENAMED = b"!"
    """There are no records: the log goes on as this epoch."""


_MARKS = {mark.value[0]: mark for mark in Mark}


def encoded(text: str) -> bytes:
    """A text as Redis carries it."""
    return text.encode("utf-8", _ERRORS)


def decoded(text: bytes) -> str:
    """A text that Redis carried."""
    return text.decode("utf-8", _ERRORS)


def pack(event: str, data: str | None, at: float) -> bytes:
    """A record, but for its offset."""
    if data is None:
        return f"{at!r}:{~len(event)}:{event}".encode("utf-8", _ERRORS)
    return f"{at!r}:{len(event)}:{event}{data}".encode("utf-8", _ERRORS)


def pack_all(entries: Iterable[Entry], at: float) -> list[bytes]:
    """Entries as the records that they become at a time."""
    return [pack(event, data, at) for event, data in entries]


def unpack(offset: int, packed: bytes) -> Record:
    """The record that was packed. Raises `ValueError` for what none of us has packed."""
    at, size, text = packed.decode("utf-8", _ERRORS).split(":", 2)
    length = int(size)
    if length < 0:
        return Record(offset, text, None, float(at))
    return Record(offset, text[:length], text[length:], float(at))


@dataclass(frozen=True, slots=True)
class Message:
    """What the followers of a log are told."""

    mark: Mark
    epoch: str
    records: Sequence[Record]

    @classmethod
    def parse(cls, message: bytes) -> Message:
        """Read what a script told. Raises `ValueError` for what no script tells."""
        line, _, _ = message.partition(b"\n")
        mark = _MARKS.get(line[0]) if line else None
        if mark is None:
            raise ValueError(f"a message of no known kind: {line[:80]!r}")
        epoch, offset = line[1:].decode("ascii").split(" ")
        return cls(mark, epoch, _records(message, len(line) + 1, int(offset)))


def _records(message: bytes, begin: int, offset: int) -> list[Record]:
    records = []
    while begin < len(message):
        colon = message.index(b":", begin)
        end = colon + 1 + int(message[begin:colon])
        if end > len(message):
            raise ValueError("a message that was cut short")
        records.append(unpack(offset, message[colon + 1 : end]))
        begin, offset = end, offset + 1
    return records
