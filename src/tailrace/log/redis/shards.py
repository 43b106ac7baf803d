"""What the servers of an address are to those who ask them: shards, each with some of the keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from redis.exceptions import MovedError

from tailrace.log.redis.connection import Connection, Endpoint, Words

__all__ = ["Command", "Shard", "Shards"]

Shard = Endpoint
"""A shard's name. In a cluster it is where its master is, so a shard whose master moves is another one."""


class Command(NamedTuple):
    """A command; `key` is one of its keys, and says by its hash tag which server it is for."""

    key: str
    words: Words


class Shards(Protocol):
    """One server or a cluster. Coroutines may raise `StoreUnavailable`."""

    sharded: bool
    """Whether messages stay within a shard (SSUBSCRIBE, SPUBLISH)."""

    @property
    def changes(self) -> int:
        """Counts what was learnt about which shard has what."""
        ...

    async def open(self) -> None:
        """Connect, once. Raises `StoreError` where that will not go better in a moment."""
        ...

    async def close(self) -> None:
        """Let go of every connection for commands."""
        ...

    def shard_of(self, key: str) -> Shard:
        """Which shard has a key, or a channel."""
        ...

    def endpoint_of(self, shard: Shard) -> Endpoint | None:
        """Where a shard was found last; None: nobody knows yet."""
        ...

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        """Ask; a reply for each command, in their order."""
        ...

    async def dial(self, shard: Shard, on_push: Callable[[Any], None]) -> Connection:
        """Make another connection to a shard's server, on which what it says goes to `on_push`."""
        ...

    def relocate(self, error: MovedError, asked: Endpoint) -> None:
        """Learn from `asked`, a server, where a slot is."""
        ...

    async def reread(self) -> None:
        """Ask which shard has what."""
        ...
