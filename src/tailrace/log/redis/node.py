"""A node of a cluster: its link, and what happens while it is away.

What one node does to its callers, the others' callers must not feel: once it could not be reached, it is tried
in the background, and whoever asks for it is told at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, Final

from tailrace.errors import StoreError, StoreUnavailable
from tailrace.log.redis.connection import Connection, Endpoint, Words
from tailrace.log.redis.greeting import Access
from tailrace.log.redis.link import Link

__all__ = ["REST", "Node"]

REST: Final = 0.5
"""Seconds between attempts to reach what is away."""


class Node:
    """Whoever listens at `endpoint`, a master or not: a replica says MOVED, and knows the map."""

    def __init__(self, access: Access, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.away = False
        """Whether it could not be reached when somebody last tried."""
        self._access = access
        self._link = Link(self._dial)
        self._next = 0.0
        self._attempt: asyncio.Task[None] | None = None

    async def ask(self, commands: Sequence[Words]) -> list[Any]:
        """Ask. Raises `StoreUnavailable`, at once while the node is away."""
        if self.away:
            self._try_now_and_then()
            raise StoreUnavailable(f"{self.endpoint} is away")
        try:
            return await self._link.ask(commands)
        except StoreUnavailable:
            self.away = True
            self._try_now_and_then()
            raise

    async def connect(self) -> None:
        """Connect now. Raises `StoreUnavailable`, or `StoreError` where that will not go better in a moment."""
        await self._link.connect()
        self.away = False

    async def close(self) -> None:
        """Let go of the connection."""
        if self._attempt is not None:
            self._attempt.cancel()
        await self._link.close()

    async def _dial(self) -> Connection:
        return (await self._access.connect(self.endpoint)).connection

    def _try_now_and_then(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._next and (self._attempt is None or self._attempt.done()):
            self._next = now + REST
            self._attempt = asyncio.ensure_future(self._try())

    async def _try(self) -> None:
        with contextlib.suppress(StoreError):  # the next to ask has it tried again
            await self.connect()
