"""The store that lives and dies with its process: the default, and what tests use.

Nothing here waits, so every operation is atomic on the event loop. Logs that nobody needs any more
(ended and past their keeping, or empty and untouched) are forgotten little by little, a few at each
operation, so that a million names tried once do not stay.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from tailrace.clock import SYSTEM, Clock
from tailrace.errors import LogEnded
from tailrace.log.history import History
from tailrace.log.position import Position, new_epoch
from tailrace.log.record import Entry, Record
from tailrace.log.retention import FOREVER, Retention
from tailrace.log.state import STATE_KEPT, NewState, Snapshot, after
from tailrace.log.store import Batch, Follower, Head, Page

__all__ = ["MemoryCoordination", "MemoryStore"]

_EMPTY_KEPT = 3600.0
"""Seconds that a channel without events keeps its epoch, where retention has no age: readers hold cursors in it."""


class MemoryLog:
    """One log: its history, who follows it, and which operations it has seen."""

    __slots__ = (
        "ended",
        "epoch",
        "expires",
        "followers",
        "history",
        "meta",
        "operations",
        "retention",
        "state",
        "touched",
    )

    def __init__(self, epoch: str, retention: Retention, meta: str = "") -> None:
        self.epoch = epoch
        self.retention = retention
        self.meta = meta
        self.state: str | None = None
        self.history = History()
        self.ended = False
        self.expires: float | None = None
        self.touched = 0.0
        self.followers: list[Follower] = []
        self.operations: OrderedDict[str, Position] = OrderedDict()

    @property
    def head(self) -> Head:
        return Head(self.epoch, self.history.first, self.history.last, self.meta, self.ended)

    def add(self, records: Sequence[Record]) -> None:
        self.history.extend(records)
        for follower in tuple(self.followers):
            follower.on_records(self.epoch, records, ends=self.ended)

    def trim(self, now: float) -> None:
        if self.retention is not FOREVER:
            self.history.trim(self.retention, now)

    def remember(self, operation: str, position: Position) -> None:
        """Keep an operation's answer as long as about as many records as history keeps have come since."""
        self.operations[operation] = position
        if len(self.operations) > (self.retention.events or 1000):
            self.operations.popitem(last=False)

    def is_forgettable(self, now: float) -> bool:
        if self.expires is not None:
            return now >= self.expires
        if self.followers or self.retention is FOREVER:
            return False
        self.trim(now)
        kept = STATE_KEPT if self.state is not None else self.retention.age or _EMPTY_KEPT
        return not len(self.history) and now - self.touched > kept


class MemoryStore:
    """Logs in this process's memory. `retention` is the channels'; runs are kept until `keep` says otherwise."""

    kind = "memory"
    shared = False
    failing_since: float | None = None

    def __init__(self, retention: Retention | None = None, clock: Clock = SYSTEM) -> None:
        self._retention = retention or Retention()
        self._clock = clock
        self._logs: OrderedDict[str, MemoryLog] = OrderedDict()
        # Followers of logs that do not exist yet, or no longer; they stay when a log comes to be.
        self._waiting: dict[str, list[Follower]] = {}

    async def open(self) -> None:
        """Nothing to get ready."""

    async def close(self) -> None:
        """Forget everything."""
        self._logs.clear()
        self._waiting.clear()

    async def create(self, log: str, epoch: str, meta: str, first: Sequence[Record] = ()) -> None:
        """Begin a run's log."""
        self._forget_some()
        fresh = self._add(log, MemoryLog(epoch, FOREVER, meta))
        if first:
            fresh.add(first)

    async def publish(
        self, log: str, entries: Sequence[Entry], operation: str | None = None, state: NewState | None = None
    ) -> Position:
        """Append to a channel; at once."""
        self._forget_some()
        target = self._channel(log)
        if operation is not None and operation in target.operations:
            return target.operations[operation]
        if state is not None:
            target.state = after(target.state, state)
        now = self._clock.time()
        last = target.history.last
        target.add([Record(last + i, entry.event, entry.data, now) for i, entry in enumerate(entries, 1)])
        target.trim(now)
        target.touched = now
        position = Position(target.epoch, target.history.last)
        if operation is not None:
            target.remember(operation, position)
        return position

    async def append(self, batches: Sequence[Batch]) -> None:
        """Append what producers say; at once."""
        refused = [batch.log for batch in batches if not self._take(batch)]
        if refused:
            raise LogEnded(refused)

    def _take(self, batch: Batch) -> bool:
        target = self._find(batch.log)
        if target is None or target.epoch != batch.epoch:
            return False
        last = target.history.last
        fresh = batch.records
        if fresh[0].offset <= last:  # a batch that is repeated after a failure
            fresh = [record for record in fresh if record.offset > last]
            if not fresh:
                return True
        if target.ended or fresh[0].offset != last + 1:
            return False
        target.ended = batch.ends
        target.add(fresh)
        if batch.ends:
            target.history.seal()
            if batch.keep is not None:
                target.expires = self._clock.time() + batch.keep
        return True

    async def head(self, log: str) -> Head | None:
        """Look at a log."""
        found = self._find(log)
        return found.head if found else None

    async def ensure(self, log: str) -> Head:
        """Look at a channel, beginning it if need be."""
        self._forget_some()
        channel = self._channel(log)
        channel.touched = self._clock.time()
        return channel.head

    async def snapshot(self, log: str) -> Snapshot:
        """Look at a channel and its state."""
        head = await self.ensure(log)
        return Snapshot(head, self._channel(log).state)

    async def read(self, log: str, after: int, limit: int) -> Page | None:
        """Read from a log."""
        found = self._find(log)
        return Page(found.head, found.history.read(after, limit)) if found else None

    async def drop(self, log: str) -> Head:
        """Delete a channel's history and its state."""
        fresh = self._add(log, MemoryLog(new_epoch(), self._retention))
        for follower in tuple(fresh.followers):
            follower.on_dropped(fresh.epoch)
        return fresh.head

    def follow(self, log: str, follower: Follower) -> None:
        """Tell `follower` of everything appended from now on."""
        found = self._logs.get(log)
        followers = found.followers if found else self._waiting.setdefault(log, [])
        followers.append(follower)

    def unfollow(self, log: str, follower: Follower) -> None:
        """Stop telling `follower`."""
        found = self._logs.get(log)
        if found and follower in found.followers:
            found.followers.remove(follower)
        waiting = self._waiting.get(log)
        if waiting and follower in waiting:
            waiting.remove(follower)
            if not waiting:
                del self._waiting[log]

    def _find(self, log: str) -> MemoryLog | None:
        found = self._logs.get(log)
        if found is None:
            return None
        now = self._clock.time()
        if found.expires is not None and now >= found.expires:
            self._forget(log)
            return None
        found.trim(now)
        return found

    def _channel(self, log: str) -> MemoryLog:
        found = self._find(log)
        if found is None:
            found = self._add(log, MemoryLog(new_epoch(), self._retention))
        return found

    def _add(self, log: str, fresh: MemoryLog) -> MemoryLog:
        fresh.touched = self._clock.time()
        fresh.followers = self._detach(log)
        self._logs[log] = fresh
        return fresh

    def _detach(self, log: str) -> list[Follower]:
        found = self._logs.pop(log, None)
        return found.followers if found else self._waiting.pop(log, [])

    def _forget(self, log: str) -> None:
        followers = self._detach(log)
        if followers:
            self._waiting[log] = followers

    def _forget_some(self) -> None:
        # Two at each operation, in turn: what comes to be one at a time is looked at twice as fast.
        logs, now = self._logs, self._clock.time()
        for _ in range(min(2, len(logs))):
            log = next(iter(logs))
            if logs[log].is_forgettable(now):
                self._forget(log)
            else:
                logs.move_to_end(log)


class MemoryCoordination:
    """Names taken within this process."""

    def __init__(self, clock: Clock = SYSTEM) -> None:
        self._clock = clock
        self._names: OrderedDict[str, tuple[str, float]] = OrderedDict()

    async def claim(self, name: str, value: str, seconds: float) -> str:
        """Take `name` for `value`, unless it is taken."""
        self._forget_some()
        taken = await self.lookup(name)
        if taken is not None:
            return taken
        self._names[name] = (value, self._clock.time() + seconds)
        return value

    async def lookup(self, name: str) -> str | None:
        """What `name` was taken for."""
        value, expires = self._names.get(name, ("", 0.0))
        return value if self._clock.time() < expires else None

    async def extend(self, name: str, seconds: float) -> None:
        """Keep `name` for `seconds` from now."""
        taken = await self.lookup(name)
        if taken is not None:
            self._names[name] = (taken, self._clock.time() + seconds)

    async def release(self, name: str, value: str | None = None) -> None:
        """Give `name` up, if it is still taken for `value`."""
        if value is None or await self.lookup(name) == value:
            self._names.pop(name, None)

    def _forget_some(self) -> None:
        for _ in range(min(2, len(self._names))):
            name, (_, expires) = next(iter(self._names.items()))
            if self._clock.time() >= expires:
                del self._names[name]
            else:
                self._names.move_to_end(name)
