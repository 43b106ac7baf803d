"""All keys on one server: the one that was named, or the master that sentinels name."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from redis.exceptions import MovedError

from tailrace.errors import StoreError
from tailrace.log.redis.connection import Connection, Endpoint
from tailrace.log.redis.greeting import Access
from tailrace.log.redis.link import Link
from tailrace.log.redis.shards import Command, Shard

__all__ = ["Named", "Place", "Single"]

_SHARD: Final = Endpoint("", 0)
_LOOK: Final = 1.0
"""Seconds between looks at whether the master is another. Sentinels tell the old one only after 10, and until then
it takes what is written, for nothing."""


class Place(Protocol):
    """Where the server is, as far as that can be found out."""

    moves: bool
    """Whether the answer may change."""

    async def find(self) -> Endpoint:
        """Find it. Raises `StoreUnavailable`."""
        ...

    async def close(self) -> None:
        """Let go of whatever finding it takes."""
        ...


class Named:
    """The place that the address names."""

    moves = False

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def find(self) -> Endpoint:
        """It is always there."""
        return self._endpoint

    async def close(self) -> None:
        """Nothing is held."""


class Single:
    """One shard, wherever it is now."""

    sharded = False
    changes = 0

    def __init__(self, access: Access, place: Place) -> None:
        self._access = access
        self._place = place
        self._link = Link(self._connect)
        self._found: Endpoint | None = None
        self._looking: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect."""
        await self._link.connect()
        if self._place.moves and self._looking is None:
            self._looking = asyncio.ensure_future(self._look())

    async def close(self) -> None:
        """Let go of every connection."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait((self._looking,))
        await self._link.close()
        await self._place.close()

    def shard_of(self, key: str) -> Shard:
        """The one there is."""
        return _SHARD

    def endpoint_of(self, shard: Shard) -> Endpoint | None:
        """Where it was found last."""
        return self._found

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        """Ask the server."""
        return await self._link.ask([command.words for command in commands])

    async def dial(self, shard: Shard, on_push: Callable[[Any], None]) -> Connection:
        """Another connection to the server."""
        return await self._connect(on_push)

    def relocate(self, error: MovedError, asked: Endpoint) -> None:
        """Nothing: there is nowhere else."""

    async def reread(self) -> None:
        """Nothing, likewise."""

    async def _connect(self, on_push: Callable[[Any], None] | None = None) -> Connection:
        self._found = await self._place.find()
        return await (await self._access.connect(self._found, on_push)).as_master()

    async def _look(self) -> None:
        """Leave a master that is none any more."""
        while True:
            await asyncio.sleep(_LOOK)
            with contextlib.suppress(StoreError):
                self._found = await self._place.find()
                self._link.leave(unless=self._found)
