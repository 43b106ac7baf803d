"""A connection that is kept: made when something is asked, and made anew when it was lost.

It does not wait between attempts and repeats nothing: that is left to who asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from tailrace.errors import StoreError, StoreUnavailable
from tailrace.log.redis.connection import Connection, Endpoint, Words

__all__ = ["Link"]


class Link:
    """One server's, or one service's, connection for commands. `dial` makes a new one."""

    def __init__(self, dial: Callable[[], Awaitable[Connection]]) -> None:
        self._dial = dial
        self._connection: Connection | None = None
        self._dialling: asyncio.Task[Connection] | None = None
        self._closed = False

    async def ask(self, commands: Sequence[Words]) -> list[Any]:
        """Write `commands` behind those that are under way; their replies. Raises `StoreUnavailable`."""
        connection = self._live
        if connection is None:
            try:
                connection = await self.connect()
            except StoreUnavailable:
                raise
            except StoreError as error:  # a password that was changed, say: for those above it is as good as away
                raise StoreUnavailable(str(error)) from error
        return await connection.send(commands)

    @property
    def _live(self) -> Connection | None:
        connection = self._connection
        return None if connection is None or connection.lost.done() else connection

    async def connect(self) -> Connection:
        """Be connected, all by one attempt. Raises `StoreUnavailable`; `StoreError` if it is hopeless."""
        if (connection := self._live) is not None:
            return connection
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self._dialling is None:
            self._dialling = asyncio.ensure_future(self._dial())
            self._dialling.add_done_callback(self._dialled)
        # Whoever leaves must not take the attempt from the others.
        return await asyncio.shield(self._dialling)

    def _dialled(self, task: asyncio.Task[Connection]) -> None:
        self._dialling = None
        if task.cancelled() or task.exception() is not None:
            return
        if self._closed:
            task.result().drop("the store is closed")
        else:
            self._connection = task.result()

    def leave(self, unless: Endpoint) -> None:
        """Let go of a connection to any other place than `unless`; the next to ask connects anew."""
        connection = self._live
        if connection is not None and connection.endpoint != unless:
            connection.drop(f"{connection.endpoint} is the master no more")

    async def close(self) -> None:
        """Let go of the connection, whatever is under way."""
        self._closed = True
        if self._dialling is not None:
            self._dialling.cancel()
            await asyncio.wait((self._dialling,))
        if self._connection is not None:
            await self._connection.close("the store is closed")
