"""A prefix on a test's Redis: stores that share it are instances of one fleet."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence

from tailrace.clock import SYSTEM, Clock
from tailrace.log import Retention
from tailrace.log.redis import RedisStore
from tailrace.log.redis_address import RedisAddress
from tests.support.redis import RedisServer

__all__ = ["Place"]


class Place:
    """Where stores keep their keys: on one server, or on the nodes of a cluster."""

    def __init__(self, url: str, nodes: Sequence[RedisServer], prefix: str) -> None:
        self.url = url
        self.nodes = nodes
        self.prefix = prefix

    @property
    def server(self) -> RedisServer:
        """The only one there is."""
        (server,) = self.nodes
        return server

    def store(self, retention: Retention | None = None, clock: Clock = SYSTEM) -> RedisStore:
        """A store, not open yet."""
        return RedisStore(RedisAddress.parse(self.url), self.prefix, retention, clock)

    @contextlib.asynccontextmanager
    async def opened(self, retention: Retention | None = None) -> AsyncIterator[RedisStore]:
        """An open store."""
        store = self.store(retention)
        await store.open()
        try:
            yield store
        finally:
            await store.close()

    def keys(self) -> list[str]:
        """All that is kept here."""
        return [key for node in self.nodes for key in self._keys_on(node)]

    def _keys_on(self, node: RedisServer) -> list[str]:
        return sorted(node.command("KEYS", f"{self.prefix}:*"))

    def key(self, log: str, part: str) -> str:
        """A key of a log."""
        return f"{self.prefix}:{{{log}}}:{part}"

    def lasting(self) -> list[str]:
        """What is kept for good."""
        return [key for node in self.nodes for key in self._keys_on(node) if node.command("PTTL", key) < 0]

    def pass_time(self, seconds: float) -> None:
        """Let every key be so much nearer to its end, since the server's own clock is nobody's to set."""
        assert self.lasting() == []
        for node in self.nodes:
            for key in self._keys_on(node):
                node.command("PEXPIRE", key, node.command("PTTL", key) - int(seconds * 1000))
