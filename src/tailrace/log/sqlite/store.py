"""The SQLite store as the floors above see it: jobs for its two threads, and who is told of what.

Whatever is written is acknowledged, and told to followers, after its commit. Reads have a thread and a
connection of their own, so they never wait for a write.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tailrace.clock import SYSTEM, Clock
from tailrace.errors import LogEnded, StoreUnavailable
from tailrace.log.position import Position
from tailrace.log.record import Entry, Record
from tailrace.log.retention import Retention
from tailrace.log.sqlite.committer import Committer, Writing, unavailable
from tailrace.log.sqlite.coordination import SqliteCoordination
from tailrace.log.sqlite.file import Ending, StoreFile
from tailrace.log.sqlite.queries import Look, look, read, snapshot
from tailrace.log.sqlite.sweep import kept_empty, probe, sweep
from tailrace.log.sqlite.transaction import Published, Transaction
from tailrace.log.sqlite.worker import Job, Worker
from tailrace.log.state import NewState, Snapshot
from tailrace.log.store import Batch, Follower, Head, Page

__all__ = ["SqliteStore"]

log = logging.getLogger("tailrace")

Result = TypeVar("Result")
Reading = Callable[[sqlite3.Connection, float], Any]
"""Takes the reader's connection and the time, in seconds since the epoch."""

_SWEEP = 10.0
"""Seconds between looks at what is past its keeping."""
_PROBE = 1.0
"""Seconds between attempts of a store that cannot write."""


class _Opened:
    """What an open store has, all of it or nothing."""

    def __init__(self, file: StoreFile, retention: Retention, clock: Clock) -> None:
        self.file = file
        self._clock = clock
        self.committer = Committer(file.writing, retention, clock)
        self.writer: Worker[Writing] = Worker("tailrace-sqlite-writer", self.committer)
        self.reader: Worker[Reading] = Worker("tailrace-sqlite-reader", self._read)

    def _read(self, group: Sequence[Job[Reading]]) -> None:
        connection, now = self.file.reading, self._clock.time()
        connection.execute("BEGIN")  # each look sees one state, though it takes several statements
        for job in group:
            try:
                job.result = job.work(connection, now)
            except sqlite3.Error as error:
                told = StoreUnavailable(f"the store cannot be read now: {error}")
                job.error = told if unavailable(error) else error
            except Exception as error:  # noqa: BLE001  # it is told to whoever waits for this job
                job.error = error
        connection.execute("COMMIT")

    async def close(self) -> None:
        await self.reader.stop()
        await self.writer.stop()
        await asyncio.to_thread(self.file.close)


class SqliteStore:
    """Logs in one file. `retention` is the channels'; `ending` is what a run gets whose process died.

    `coordination` keeps its names in the same file.
    """

    shared = False
    kind = "sqlite"

    def __init__(
        self,
        path: str | Path,
        retention: Retention | None = None,
        clock: Clock = SYSTEM,
        ending: Ending | None = None,
    ) -> None:
        self.path = path
        self.coordination = SqliteCoordination(self)
        self._retention = retention or Retention()
        self._clock = clock
        self._ending = ending
        self._followers: dict[str, list[Follower]] = {}
        self._open: _Opened | None = None
        self._sweeping: asyncio.Task[None] | None = None

    @property
    def failing_since(self) -> float | None:
        """When the disk began to refuse what is written, in seconds since the epoch; None while it takes it."""
        return self._open.committer.failing_since if self._open is not None else None

    # Coming and going.

    async def open(self) -> None:
        """Open the file, making it where there is none, and end what the last process left in progress."""
        file = await asyncio.to_thread(self._open_file)
        self._open = _Opened(file, self._retention, self._clock)
        self._sweeping = asyncio.create_task(self._sweep_now_and_then())

    def _open_file(self) -> StoreFile:
        file = StoreFile(self.path)
        try:
            if self._ending is not None:
                file.end_interrupted(self._ending, self._clock.time())
        except BaseException:
            file.close()
            raise
        return file

    async def close(self) -> None:
        """Write what is pending and let go of the file."""
        store, self._open = self._open, None
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait((self._sweeping,))
        if store is not None:
            await store.close()

    async def _sweep_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP if self.failing_since is None else _PROBE)
            try:
                await self.sweep()
            except StoreUnavailable:
                continue  # the committer has said so, once
            except Exception:
                log.exception("the store could not let go of what is past its keeping")

    async def sweep(self) -> None:
        """Let go of what is past its keeping now, and give its space back. Done by itself every few seconds."""
        if self.failing_since is not None:
            await self.write(probe)
        while await self.write(lambda transaction: sweep(transaction, tuple(self._followers))):
            pass

    # Its two threads.

    def write(
        self, work: Callable[[Transaction], Result], then: Callable[[Result], None] | None = None
    ) -> asyncio.Future[Result]:
        """Have `work` done in the writer's thread; its result, once it is committed. Raises `StoreUnavailable`.

        `then` hears of the result before whoever waits goes on.
        """
        return self._opened.writer.submit(work, then)

    def look(self, work: Callable[[sqlite3.Connection, float], Result]) -> asyncio.Future[Result]:
        """Have `work` done in the reader's thread. Raises `StoreUnavailable`."""
        return self._opened.reader.submit(work)

    @property
    def _opened(self) -> _Opened:
        if self._open is None:
            raise StoreUnavailable("the store is not open: use Tailrace.lifespan, or start and close, around it")
        return self._open

    # Logs.

    async def create(self, log: str, epoch: str, meta: str, first: Sequence[Record] = ()) -> None:
        """Begin a run's log."""

        def tell(done: None) -> None:
            if first:
                self._tell(log, epoch, first)

        await self.write(lambda transaction: transaction.create(log, epoch, meta, first), tell)

    async def publish(
        self, log: str, entries: Sequence[Entry], operation: str | None = None, state: NewState | None = None
    ) -> Position:
        """Append to a channel; when this returns it is on the disk."""

        def work(transaction: Transaction) -> Published:
            return transaction.publish(log, entries, operation, state)

        published = await self.write(work, lambda published: self._tell_published(log, published))
        return published.position

    def _tell_published(self, log: str, published: Published) -> None:
        if published.records:
            self._tell(log, published.position.epoch, published.records)

    async def append(self, batches: Sequence[Batch]) -> None:
        """Append what producers say, in one commit."""

        def work(transaction: Transaction) -> list[Sequence[Record] | None]:
            return [transaction.append(batch) for batch in batches]

        def tell(taken: list[Sequence[Record] | None]) -> None:
            for batch, records in zip(batches, taken, strict=True):
                if records:
                    self._tell(batch.log, batch.epoch, records, ends=batch.ends)

        taken = await self.write(work, tell)
        refused = [batch.log for batch, records in zip(batches, taken, strict=True) if records is None]
        if refused:
            raise LogEnded(refused)

    async def head(self, log: str) -> Head | None:
        """Look at a log."""
        found = await self.look(lambda connection, now: look(connection, self._at(log, now)))
        return found[0] if found else None

    async def ensure(self, log: str) -> Head:
        """Look at a channel, beginning it if need be."""
        found = await self.look(lambda connection, now: look(connection, self._at(log, now)))
        # An empty channel is kept as long as its last use is not too old; to note each would be a commit each.
        if found is not None and self._clock.time() - found[1] < kept_empty(self._retention) / 2:
            return found[0]
        return await self.write(lambda transaction: transaction.ensure(log))

    async def snapshot(self, log: str) -> Snapshot:
        """Look at a channel and its state."""
        await self.ensure(log)
        found = await self.look(lambda connection, now: snapshot(connection, self._at(log, now)))
        if found is None:
            raise StoreUnavailable("a log that was begun is gone again")
        return found

    async def read(self, log: str, after: int, limit: int) -> Page | None:
        """Read from a log."""
        return await self.look(lambda connection, now: read(connection, self._at(log, now), after, limit))

    def _at(self, log: str, now: float) -> Look:
        age = self._retention.age
        return Look(log, now, None if age is None else now - age)

    async def drop(self, log: str) -> Head:
        """Delete a channel's history and its state."""

        def tell(head: Head) -> None:
            for follower in tuple(self._followers.get(log, ())):
                follower.on_dropped(head.epoch)

        return await self.write(lambda transaction: transaction.drop(log), tell)

    # Followers.

    def follow(self, log: str, follower: Follower) -> None:
        """Tell `follower` of everything appended from now on."""
        self._followers.setdefault(log, []).append(follower)

    def unfollow(self, log: str, follower: Follower) -> None:
        """Stop telling `follower`."""
        followers = self._followers.get(log, [])
        if follower in followers:
            followers.remove(follower)
            if not followers:
                del self._followers[log]

    def _tell(self, log: str, epoch: str, records: Sequence[Record], *, ends: bool = False) -> None:
        for follower in tuple(self._followers.get(log, ())):
            follower.on_records(epoch, records, ends=ends)
