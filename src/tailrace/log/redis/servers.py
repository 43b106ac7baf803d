"""The servers behind a store's address, however many: commands go in, replies come out.

One connection to each server carries all commands of the process. What is asked leaves at once, behind what is
under way; nothing here waits before it tries again, or repeats a command that met no answer: that is `calls`'
part. Where a server is, is found anew at each connect (`single`, `sentinel`, `cluster`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from redis.exceptions import MovedError

from tailrace.errors import StoreError, StoreUnavailable
from tailrace.log.backoff import Backoff
from tailrace.log.redis.cluster import Cluster
from tailrace.log.redis.connection import Connection, Endpoint
from tailrace.log.redis.greeting import Access
from tailrace.log.redis.sentinel import Sentinels
from tailrace.log.redis.shards import Command, Shard, Shards
from tailrace.log.redis.single import Named, Single
from tailrace.log.redis_address import RedisAddress

__all__ = ["Command", "Servers"]

_OPENING: Final = 5.0
"""Seconds in which a server that is just being started may come up."""


class Servers:
    """All that `Listener` and `Calls` need to know of Redis. `shown` names it in messages."""

    def __init__(self, shards: Shards, shown: str) -> None:
        self.shown = shown
        self._shards = shards

    @classmethod
    def of(cls, address: RedisAddress) -> Servers:
        """The servers of an address; nothing is connected yet. Raises `StoreError` for an unusable `ssl_ca_certs`."""
        access = Access.of(address)
        hosts = [Endpoint(*host) for host in address.hosts]
        if address.topology == "cluster":
            return cls(Cluster(access, hosts), address.shown)
        if address.topology == "sentinel":
            return cls(Single(access, Sentinels(hosts, address.service, access)), address.shown)
        return cls(Single(access, Named(hosts[0])), address.shown)

    async def open(self) -> None:
        """Connect, trying for up to 5 seconds. Raises `StoreError` that says what was tried and what failed."""
        backoff, attempts, told = Backoff(longest=1.0), 0, "no answer"
        try:
            async with asyncio.timeout(_OPENING):
                while True:
                    attempts += 1
                    try:
                        return await self._shards.open()
                    except StoreUnavailable as error:
                        told = str(error)
                    await asyncio.sleep(backoff.wait())
        except TimeoutError:
            told = f"{told}; tried {attempts} times in {_OPENING:g} s. Does it run, and is this its address?"
        except StoreError as error:
            told = str(error)
        await self.close()
        raise StoreError(f"cannot use {self.shown}: {told}")

    async def close(self) -> None:
        """Let go of every connection for commands; what is under way meets `StoreUnavailable`."""
        await self._shards.close()

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        """Ask; a reply for each command in their order, bytes as they came, an error reply as redis-py's exception.

        All for one server are one write. Raises `StoreUnavailable` where no server answers within 2 seconds, none
        can be connected to, or it is no master any more. In a cluster a command whose own server is away gets
        `NotNow` for its reply, while the others have theirs. Whether a command without an answer was performed,
        nobody knows.
        """
        return await self._shards.run(commands) if commands else []

    # For the listener.

    @property
    def sharded(self) -> bool:
        """Whether messages stay within a shard: SSUBSCRIBE and SPUBLISH then, else SUBSCRIBE and PUBLISH."""
        return self._shards.sharded

    @property
    def changes(self) -> int:
        """Counts what was learnt about which shard has what."""
        return self._shards.changes

    def shard_of(self, key: str) -> Shard:
        """Which shard has a key, or a channel."""
        return self._shards.shard_of(key)

    def endpoint_of(self, shard: Shard) -> Endpoint | None:
        """Where a shard was found last; None: nobody knows yet."""
        return self._shards.endpoint_of(shard)

    async def dial(self, shard: Shard, on_push: Callable[[Any], None]) -> Connection:
        """Make another connection to a shard, for what it pushes. Raises `StoreUnavailable`, `StoreError`."""
        return await self._shards.dial(shard, on_push)

    def relocate(self, error: MovedError, asked: Endpoint) -> None:
        """Learn from `asked`, a server, where a slot is."""
        self._shards.relocate(error, asked)

    async def reread(self) -> None:
        """Ask which shard has what. Raises `StoreUnavailable`."""
        await self._shards.reread()
