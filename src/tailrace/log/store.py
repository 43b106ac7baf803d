"""Where logs live, as an interface: memory implements it here, embedded and shared stores beside it.

Three rules make one interface serve them all:

- everything that may touch a disk or a network is a coroutine, and takes a batch where a batch can come;
- a channel's offsets are given by the store (many publishers), a run's by its one producer (`append`
  takes records with their offsets and refuses what is not the next);
- a reader is told of new records through `follow`, on the event loop, in order for each epoch, but
  perhaps late, with holes or twice: whoever follows compares offsets and reads what is missing. A read
  that begins after a follower was told of something shows at least that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tailrace.log.head import Head
from tailrace.log.position import Position
from tailrace.log.record import Entry, Record
from tailrace.log.state import NewState, Snapshot

__all__ = ["RESERVED", "Batch", "Coordination", "Follower", "Head", "Page", "Store"]

RESERVED = 1_000_000_000
"""Offset past which nothing stands but the end of a log that somebody else than its producer wrote.

Viewers are shown what the producer says before the store has it. So such an end stands above all that they may
have seen: a cursor from there is still before it, and what a producer who is late appends, below it, is refused.
"""


@dataclass(frozen=True, slots=True)
class Page:
    """Some consecutive records of a log, and the log's head at the moment of reading."""

    head: Head
    records: Sequence[Record]


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that the one producer of a log appends, at the offsets that it chose.

    `ends` says that the last of them is the log's terminal: nothing can be appended after it, and the
    whole log is forgotten `keep` seconds later (None: never).
    """

    log: str
    epoch: str
    records: Sequence[Record]
    ends: bool = False
    keep: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no piece of a log."""
        records = self.records
        if not records or records[-1].offset - records[0].offset != len(records) - 1:
            raise ValueError("a batch is one or more records at consecutive offsets")


class Follower(Protocol):
    """Who hears of a log's new records. Called on the event loop; must not block and must not raise."""

    def on_records(self, epoch: str, records: Sequence[Record], *, ends: bool = False) -> None:
        """Take `records`, now part of the log's history in `epoch`; the last one is the terminal if `ends`."""
        ...

    def on_dropped(self, epoch: str) -> None:
        """Note that the history was deleted: the log goes on, empty, as `epoch`."""
        ...


class Store(Protocol):
    """Named append-only logs.

    Every method may raise `StoreUnavailable`. A log's name is any string; channels and runs are told
    apart by their callers' prefixes.
    """

    kind: str
    """What it is, in a word for operators."""
    shared: bool
    """Whether other processes see the same logs."""

    @property
    def failing_since(self) -> float | None:
        """Since when it takes nothing that is written, or tells nothing of it, in seconds since the epoch."""
        ...

    async def open(self) -> None:
        """Get ready for use, in the running event loop. Raises `StoreError` where that is impossible."""
        ...

    async def close(self) -> None:
        """Write what is pending and let go of everything."""
        ...

    async def create(self, log: str, epoch: str, meta: str, first: Sequence[Record] = ()) -> None:
        """Begin a log with a given epoch, for one producer, with its `first` records.

        `meta` is its creator's, and never changes.
        """
        ...

    async def publish(
        self, log: str, entries: Sequence[Entry], operation: str | None = None, state: NewState | None = None
    ) -> Position:
        """Append `entries` as one piece, creating the log if need be; the position is the last one's.

        When this returns the store has them for good, as far as it claims to survive anything. The
        same `operation` again, while the log remembers it, appends nothing and answers as before. With
        `state` the log's state is changed in the same step.
        """
        ...

    async def append(self, batches: Sequence[Batch]) -> None:
        """Append what producers say, for many logs in one call.

        Records that are there already are passed over, so that a batch can be repeated after a
        failure. Raises `LogEnded` where a log is gone, has ended, or is of another epoch, with the names
        of those; the other batches are appended all the same.
        """
        ...

    async def head(self, log: str) -> Head | None:
        """Look at a log without creating it; None where there is none."""
        ...

    async def ensure(self, log: str) -> Head:
        """Look at a log, beginning an empty one where there is none, so that a reader gets a position."""
        ...

    async def snapshot(self, log: str) -> Snapshot:
        """Look at a log and its state at one moment, beginning an empty one where there is none."""
        ...

    async def read(self, log: str, after: int, limit: int) -> Page | None:
        """Read at most `limit` records past offset `after`, from the oldest retained if those are gone.

        They may be fewer where they are large: one at least, if there is any.
        """
        ...

    async def drop(self, log: str) -> Head:
        """Delete a log's history and its state: it goes on, empty, as a new epoch."""
        ...

    def follow(self, log: str, follower: Follower) -> None:
        """Tell `follower` of everything appended from now on."""
        ...

    def unfollow(self, log: str, follower: Follower) -> None:
        """Stop telling `follower`."""
        ...


class Coordination(Protocol):
    """What instances say to each other beside the logs.

    Here: names that are taken once, by whoever comes first (idempotency keys, aliases).
    """

    async def claim(self, name: str, value: str, seconds: float) -> str:
        """Take `name` for `value`, unless it is taken; the answer is what stands. Kept for `seconds`."""
        ...

    async def lookup(self, name: str) -> str | None:
        """What `name` was taken for, or None."""
        ...

    async def extend(self, name: str, seconds: float) -> None:
        """Keep `name` for `seconds` from now, if it is taken."""
        ...

    async def release(self, name: str, value: str | None = None) -> None:
        """Give `name` up; with `value` only if that is what it is still taken for.

        So of two who found out that `value` means nothing any more, the second does not take the name away
        from the first, who has claimed it anew.
        """
        ...
