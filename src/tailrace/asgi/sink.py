"""The plain sink: a subscription over the ordinary ASGI `send`, on any server.

One write is under way at a time; while it is, the subscription rests and its bytes stay in the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from tailrace.hub import Consumer, Framing

__all__ = ["AsgiSink", "Message", "Receive", "Scope", "Send"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class AsgiSink:
    """Feeds `send` from the coroutine that runs `pump`, until the stream or the client ends."""

    framing = Framing.PLAIN

    def __init__(self, send: Send) -> None:
        self._send = send
        self._pending = bytearray()
        self._taken = 0
        self._sent = 0
        self._busy = False
        self._finished = False
        self._aborted = False
        self._wake = asyncio.Event()
        self._consumer: Consumer | None = None
        self._sender: asyncio.Task[Any] | None = None

    @property
    def ready(self) -> bool:
        """Whether no write is under way."""
        return not self._busy

    def bind(self, consumer: Consumer) -> None:
        """Tell `consumer` of room and of the end."""
        self._consumer = consumer

    def write(self, data: bytes) -> int:
        """Take everything, or nothing while a write is under way."""
        if self._busy:
            raise BlockingIOError
        self._take(data)
        return len(data)

    def queue(self, rest: bytes | memoryview) -> bool:
        """Take one more piece behind what is under way."""
        self._take(rest)
        return False

    def _take(self, data: bytes | memoryview) -> None:
        self._pending += data
        self._taken += len(data)
        self._busy = True
        self._wake.set()

    def backlog(self) -> int:
        """Bytes that `send` has not come back from."""
        return self._taken - self._sent

    def acknowledged(self) -> int:
        """Bytes that `send` came back from; what becomes of them after that is the server's matter."""
        return self._sent

    def settle(self) -> None:
        """Nothing to give up."""

    def finish(self) -> None:
        """End the body once everything is sent."""
        self._finished = True
        self._wake.set()

    def abort(self) -> None:
        """Give up: what `send` is stuck in is cancelled, and the server closes what was not completed."""
        self._aborted = True
        self._pending.clear()
        if self._sender is not None:
            self._sender.cancel()
        self._wake.set()

    async def pump(self, receive: Receive) -> None:
        """Send what comes until the end; notice a client that leaves meanwhile.

        Returns with the body incomplete where the stream was aborted: a clean end would say that all was said.
        """
        if self._aborted:
            return
        self._sender = asyncio.ensure_future(self._send_all())
        listener = asyncio.ensure_future(self._listen(receive))
        try:
            await asyncio.wait((self._sender, listener), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (self._sender, listener):
                task.cancel()
            await asyncio.gather(self._sender, listener, return_exceptions=True)
            if self._consumer is not None:
                self._consumer.on_closed("gone")
        if self._sender.cancelled():
            return
        error = self._sender.exception()
        if error is not None and not isinstance(error, OSError):  # by ASGI an OSError says that the client has left
            raise error

    async def _listen(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _send_all(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            body, self._pending = bytes(self._pending), bytearray()
            last = self._finished
            await self._send({"type": "http.response.body", "body": body, "more_body": not last})
            self._sent += len(body)
            if last:
                return
            if not self._pending:
                self._busy = False
                if self._consumer is not None:
                    self._consumer.on_writable()
