"""The Redis store as the floors above see it: logs that all instances share, and who is told of them here.

Whatever is written is acknowledged by Redis before it returns; every instance that follows a log is told of it
by a message. Retention is by count and by bytes, and by keys that expire with their age.
"""

from __future__ import annotations

from collections.abc import Sequence

from tailrace.clock import SYSTEM, Clock
from tailrace.errors import LogEnded
from tailrace.log.position import Position
from tailrace.log.record import Entry, Record
from tailrace.log.redis.calls import Calls
from tailrace.log.redis.fleet import RedisFleet
from tailrace.log.redis.following import Following
from tailrace.log.redis.keys import Keys
from tailrace.log.redis.listener import Listener
from tailrace.log.redis.logs import Logs
from tailrace.log.redis.names import RedisCoordination
from tailrace.log.redis.quotas import RedisQuotas
from tailrace.log.redis.rights import check_rights
from tailrace.log.redis.scripts import Scripts
from tailrace.log.redis.servers import Servers
from tailrace.log.redis.states import State
from tailrace.log.redis_address import RedisAddress
from tailrace.log.retention import Retention
from tailrace.log.state import NewState, Snapshot
from tailrace.log.store import Batch, Follower, Head, Page

__all__ = ["RedisStore"]


class RedisStore:
    """Logs in Redis, all its keys under `prefix`. `retention` is the channels'.

    `coordination`, `fleet` and `quotas` are what instances share beside them; `calls` has figures on what is asked.
    """

    kind = "redis"
    shared = True

    def __init__(
        self,
        address: RedisAddress,
        prefix: str = "tailrace",
        retention: Retention | None = None,
        clock: Clock = SYSTEM,
    ) -> None:
        self._servers = Servers.of(address)
        self._keys = Keys(prefix)
        self._scripts = scripts = Scripts(sharded=self._servers.sharded)
        self.calls = Calls(self._servers, clock)
        self._logs = Logs(self.calls, self._keys, scripts, retention or Retention(), clock)
        self.coordination = RedisCoordination(self.calls, self._keys, scripts)
        self.fleet = RedisFleet(self._logs, self.calls, self._keys, scripts)
        self.quotas = RedisQuotas(self.calls, self._keys, scripts)
        self._following = Following(self._logs, self._confirm)
        self._listener = Listener(self._servers, self._on_message, self._on_restored, clock)

    @property
    def failing_since(self) -> float | None:
        """When Redis began to take nothing, or to tell nothing, in seconds since the epoch; None while it does both."""
        return min(filter(None, (self.calls.failing_since, self._listener.failing_since)), default=None)

    # Coming and going.

    async def open(self) -> None:
        """Connect. Raises `StoreError` that says what was tried and what to do."""
        await self._servers.open()
        try:
            await check_rights(self._servers, self._keys, self._scripts)
        except BaseException:
            await self._servers.close()
            raise
        self.calls.open()
        self._listener.subscribe(self.fleet.channel)
        self._following.start()

    async def close(self) -> None:
        """Let go of everything; what is not answered yet is given up."""
        await self._following.close()
        await self._listener.close()
        await self.calls.close()
        await self._servers.close()

    # Logs.

    async def create(self, log: str, epoch: str, meta: str, first: Sequence[Record] = ()) -> None:
        """Begin a run's log, and list it as produced by this instance."""
        await self._logs.create(log, epoch, meta, first, self.fleet.note(log))

    async def publish(
        self, log: str, entries: Sequence[Entry], operation: str | None = None, state: NewState | None = None
    ) -> Position:
        """Append to a channel; when this returns Redis has it."""
        return await self._logs.publish(log, entries, operation, state)

    async def append(self, batches: Sequence[Batch]) -> None:
        """Append what producers say, many logs in one pipeline."""
        refused = await self._logs.append(batches)
        for batch in batches:
            if batch.ends:
                self.fleet.on_ended(batch.log)
        if refused:
            raise LogEnded(refused)

    async def head(self, log: str) -> Head | None:
        """Look at a log."""
        await self._confirm((log,))
        return self._learned(log, await self._logs.look(log))

    async def ensure(self, log: str) -> Head:
        """Look at a channel, beginning it if need be."""
        await self._confirm((log,))
        state = await self._logs.begin(log)
        self._learned(log, state)
        return state.head

    async def snapshot(self, log: str) -> Snapshot:
        """Look at a channel and its state."""
        await self._confirm((log,))
        return await self._logs.snapshot(log)

    async def read(self, log: str, after: int, limit: int) -> Page | None:
        """Read from a log."""
        await self._confirm((log,))
        return await self._logs.read(log, after, limit)

    async def drop(self, log: str) -> Head:
        """Delete a channel's history and its state."""
        return (await self._logs.drop(log)).head

    def _learned(self, log: str, state: State | None) -> Head | None:
        followed = self._following[log]
        if state is None:
            return None
        if followed is not None:
            followed.learn(state)
        return state.head

    # Followers.

    def follow(self, log: str, follower: Follower) -> None:
        """Tell `follower` of everything appended from now on."""
        if self._following.add(log, follower):
            self._listener.subscribe(self._keys.channel(log))

    def unfollow(self, log: str, follower: Follower) -> None:
        """Stop telling `follower`."""
        if self._following.remove(log, follower):
            self._listener.unsubscribe(self._keys.channel(log))

    async def _confirm(self, logs: Sequence[str]) -> None:
        """Wait until messages come of those of `logs` that are followed.

        Else a record that is appended between a read and the subscription would leave no hole, if it is the last.
        """
        for log in logs:
            if self._following[log] is not None:
                await self._listener.confirmed(self._keys.channel(log))

    def _on_message(self, channel: str, message: bytes) -> None:
        if channel == self.fleet.channel:
            self.fleet.woken()
        else:
            self._following.on_message(self._keys.log_of(channel), message)

    def _on_restored(self) -> None:
        self._following.on_restored()
        self.fleet.on_restored()
