"""One connection to one server: commands out, replies in, in their order.

The bytes are hiredis's to read and to write. redis-py's asynchronous connection, which awaits each reply, takes
10 us of CPU for a command and its pipeline 15; a protocol that is handed whole chunks takes 1 (measured with 200
SETs of 300 bytes in a pipeline, on one core). Which server to connect to, and when to do so again, is left to others.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, cast

import hiredis

from tailrace.errors import StoreError, StoreUnavailable
from tailrace.log.redis.replies import AWAY, error_of

__all__ = ["PATIENCE", "Connection", "Endpoint", "Words", "connect"]

Words = tuple[str | bytes | int, ...]
"""A command with its arguments."""

PATIENCE: Final = 2.0
"""Seconds that a server may take to connect, and to say something while it owes an answer."""
_NOTHING: Final = object()


class Endpoint(NamedTuple):
    """Where a server listens; a Unix socket's path stands with port 0."""

    host: str
    port: int

    def __str__(self) -> str:
        if not self.port:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class _Asked:
    """Commands that were written together, and the replies to them so far."""

    __slots__ = ("count", "future", "replies")

    def __init__(self, count: int, future: asyncio.Future[list[Any]]) -> None:
        self.count = count
        self.future = future
        self.replies: list[Any] = []


class Connection(asyncio.Protocol):
    """An open connection. What comes unasked for goes to `on_push`.

    It is lost when the server closes it, when the server owes an answer and has said nothing for `PATIENCE`
    seconds, or when it answers that it is not the one to ask. Whoever waits then gets `StoreUnavailable`.
    """

    def __init__(self, endpoint: Endpoint, on_push: Callable[[Any], None] | None = None) -> None:
        self.endpoint = endpoint
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[str] = self._loop.create_future()
        """Done once it is: with what happened."""
        self.heard = self._loop.time()
        """When the server last said anything, on the loop's clock."""
        self._on_push = on_push
        self._reader = hiredis.Reader(replyError=error_of, notEnoughData=_NOTHING)
        self._waiting: deque[_Asked] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._closed = asyncio.Event()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's derives from none of asyncio's

    def data_received(self, data: bytes) -> None:
        """Hand out the replies that are complete."""
        self.heard = self._loop.time()
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not _NOTHING:
                self._take(reply)
        except hiredis.ProtocolError as error:
            self.drop(f"{self.endpoint} does not speak Redis's protocol: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        """Tell everybody."""
        self._closed.set()
        self._end(f"{self.endpoint} closed the connection" if error is None else f"{self.endpoint}: {error}")

    # Asking.

    def send(self, commands: Sequence[Words]) -> asyncio.Future[list[Any]]:
        """Write `commands` at once; the replies in their order, an error reply as its exception."""
        future: asyncio.Future[list[Any]] = self._loop.create_future()
        if self.lost.done():
            raise StoreUnavailable(self.lost.result())
        if not self._waiting:
            self.heard = self._loop.time()
            self._watch = self._watch or self._loop.call_later(PATIENCE, self._look)
        self._waiting.append(_Asked(len(commands), future))
        self.write(commands)
        return future

    def write(self, commands: Sequence[Words]) -> None:
        """Write commands whose answers are `on_push`'s to take."""
        if self._transport is not None and not self.lost.done():
            self._transport.write(b"".join(map(hiredis.pack_command, commands)))  # type: ignore[arg-type]  # its stub means one argument

    def _take(self, reply: Any) -> None:
        if not self._waiting:
            if self._on_push is not None and not self.lost.done():
                self._on_push(reply)
            return
        asked = self._waiting[0]
        asked.replies.append(reply)
        if len(asked.replies) == asked.count:
            away = next((each for each in asked.replies if isinstance(each, AWAY)), None)
            if away is not None:
                self.drop(f"{self.endpoint}: {away}")
                return
            self._waiting.popleft()
            if not asked.future.done():  # else whoever waited has left
                asked.future.set_result(asked.replies)

    def _look(self) -> None:
        """See whether the server is silent, now and then while it owes an answer."""
        self._watch = None
        if not self._waiting:
            return
        left = self.heard + PATIENCE - self._loop.time()
        if left > 0:
            self._watch = self._loop.call_later(left, self._look)
        else:
            self.drop(f"{self.endpoint} has not answered for {PATIENCE:g} s")

    # Ending.

    def drop(self, why: str) -> None:
        """Close it now, whatever is under way."""
        self._end(why)
        if self._transport is not None:
            self._transport.abort()

    async def close(self, why: str) -> None:
        """Close it now, and wait until nothing is left of it."""
        self.drop(why)
        await self._closed.wait()

    def _end(self, why: str) -> None:
        if self.lost.done():
            return
        self.lost.set_result(why)
        if self._watch is not None:
            self._watch.cancel()
        for asked in self._waiting:
            if not asked.future.done():
                asked.future.set_exception(StoreUnavailable(why))
        self._waiting.clear()


async def connect(
    endpoint: Endpoint,
    tls: ssl.SSLContext | None = None,
    on_push: Callable[[Any], None] | None = None,
) -> Connection:
    """Connect, and no more. Raises `StoreUnavailable`; `StoreError` where the other side is not to be trusted."""
    loop = asyncio.get_running_loop()

    def made() -> Connection:
        return Connection(endpoint, on_push)

    try:
        if not endpoint.port:
            return (await loop.create_unix_connection(made, endpoint.host))[1]
        # Asyncio gives a TLS handshake a minute; ours is the caller's deadline.
        return (await loop.create_connection(made, endpoint.host, endpoint.port, ssl=tls))[1]
    except ssl.SSLCertVerificationError as error:
        told = f"the certificate of {endpoint} is not accepted: {error.verify_message}"
        raise StoreError(f"{told} (ssl_ca_certs=PATH in the address names who is to be trusted)") from None
    except OSError as error:
        raise StoreUnavailable(f"{endpoint}: {error.strerror or error}") from None
