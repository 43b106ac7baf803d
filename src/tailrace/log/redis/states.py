"""What Redis says of a log, as the floors above know it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tailrace.log.record import Record
from tailrace.log.redis.messages import decoded, unpack
from tailrace.log.store import Head

__all__ = ["State", "records_of", "state_of"]


class State(NamedTuple):
    """A log's head, and whether it has one producer and an end (a run) or many publishers (a channel).

    `mean` is about how many bytes one of its records takes; 0 where it has none.
    """

    head: Head
    produced: bool
    mean: int = 0


def state_of(reply: Sequence[Any] | None) -> State | None:
    """Read what `look` answers; None where there is no log."""
    if reply is None:
        return None
    epoch, last, meta, ended, produced, held, first, count = reply
    text = "" if meta is None else decoded(meta)
    head = Head(epoch.decode(), _offset(first), int(last), text, ended is not None)
    return State(head, produced is not None, int(held or 0) // count if count else 0)


def records_of(reply: Sequence[Any]) -> list[Record]:
    """Read what XRANGE answers."""
    return [unpack(_offset(entry), packed) for entry, (_, packed) in reply]


def _offset(entry: bytes) -> int:
    return int(entry[:-2])  # without the `-0`
