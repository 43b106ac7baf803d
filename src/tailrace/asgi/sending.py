"""A WebSocket on any server: its frames are taken apart again, and each message goes over the ordinary `send`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Self

from tailrace.asgi.frames import BEAT, texts
from tailrace.asgi.sink import Send
from tailrace.asgi.socket import Outlet

__all__ = ["SendOutlet"]


class SendOutlet(Outlet):
    """Over the ordinary `send`, a message at a time.

    While a write is under way it is full, so that what is behind it stays in the logs. Cut is the connection by ending
    the task that serves it; ASGI has no other way.
    """

    def __init__(self, send: Send) -> None:
        super().__init__()
        self._send = send
        self._serving: asyncio.Task[Any] | None = None
        self._was_cut = False
        self._pending: list[bytes | memoryview] = []
        self._taken = 0
        self._sent = 0
        self._wake = asyncio.Event()
        self._sender: asyncio.Task[Any] | None = None

    async def __aenter__(self) -> Self:
        """Begin to send."""
        self._serving = asyncio.current_task()
        self._sender = asyncio.ensure_future(self._send_all())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> bool | None:
        """Send nothing more."""
        self.shut()
        if self._sender is not None:
            await asyncio.gather(self._sender, return_exceptions=True)
        if self._serving is None or kind is not asyncio.CancelledError:
            return None
        return self._was_cut and self._serving.uncancel() == 0  # else it was not this cut that cancelled it

    @property
    def full(self) -> bool:
        """Whether a write is under way."""
        return self._taken > self._sent

    def write(self, data: bytes) -> int:
        """Take everything, or nothing while a write is under way."""
        if self.full:
            raise BlockingIOError
        if data == BEAT:
            return len(data)  # there is no message for it, and the server asks for signs of life anyway
        if not self._open:
            raise BrokenPipeError
        self.queue(data)
        return len(data)

    def queue(self, rest: bytes | memoryview) -> None:
        """Take one more piece behind what is under way."""
        if self._open:
            self._pending.append(rest)
            self._taken += len(rest)
            self._wake.set()

    def backlog(self) -> int:
        """Bytes that `send` has not come back from."""
        return self._taken - self._sent

    def acknowledged(self) -> int:
        """Bytes that `send` came back from."""
        return self._sent

    def settle(self, *, streaming: bool) -> None:
        """Nothing to note: the peer is the server's matter, which is known only by what `send` comes back from."""

    def cut(self) -> None:
        """End the connection; what `send` is stuck in is given up."""
        self.shut()
        if self._serving is not None and not self._was_cut:
            self._was_cut = True
            self._serving.cancel()

    def shut(self) -> None:
        """Take nothing more."""
        super().shut()
        self._pending.clear()
        if self._sender is not None:
            self._sender.cancel()

    async def _send_all(self) -> None:
        with suppress(OSError):  # by ASGI it says that the client has left, which `receive` will tell
            while True:
                await self._wake.wait()
                self._wake.clear()
                pieces, self._pending = self._pending, []
                for piece in pieces:
                    await _messages(piece, self._send)
                    self._sent += len(piece)
                if not self._pending:
                    self._drained()


async def _messages(frames: bytes | memoryview, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    for text in texts(frames):
        await send({"type": "websocket.send", "text": text})
