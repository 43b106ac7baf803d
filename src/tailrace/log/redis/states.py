"""What Redis says of a log, as the floors above know it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tailrace.log.record import Record
from tailrace.log.redis.messages import decoded, unpack
from tailrace.log.store import Head

__all__ = ["State", "records_of", "state_of"]


class State(NamedTuple):
    """A log's head, and whether it has one producer and an end (a run) or many publishers (a channel)."""

    head: Head
    produced: bool


def state_of(reply: Sequence[Any] | None) -> State | None:
    """Read what `look` answers; None where there is no log."""
    if reply is None:
        return None
    epoch, last, meta, ended, produced, first = reply
    text = "" if meta is None else decoded(meta)
    return State(Head(epoch.decode(), _offset(first), int(last), text, ended is not None), produced is not None)


def records_of(reply: Sequence[Any]) -> list[Record]:
    """Read what XRANGE answers."""
    return [unpack(_offset(entry), packed) for entry, (_, packed) in reply]


def _offset(entry: bytes) -> int:
    return int(entry[:-2])  # without the `-0`
