"""A WebSocket written past its protocol: the frames go to the socket with the bare system call.

It is the direct lane of WebSockets. The server's protocol goes on reading, and writes pings, pongs and the end by way
of the transport; since that is bypassed only while it has nothing queued, frames keep their order and are never torn.
Never on TLS.
"""

from __future__ import annotations

import asyncio
import errno
import os
from typing import Final, Protocol

from tailrace.asgi.direct import acknowledged_of, backlog_of, reset
from tailrace.asgi.frames import BEAT
from tailrace.asgi.socket import Outlet

__all__ = ["FRAMES", "Wire", "WireOutlet"]

FRAMES: Final = "tailrace.frames"
"""Under this name a server that offers it puts a `Wire` into `scope["extensions"]`."""


class Wire(Protocol):
    """The server's side of a WebSocket that is written to directly."""

    @property
    def transport(self) -> asyncio.Transport:
        """The transport of the connection."""
        ...

    def hand_over(self, outlet: WireOutlet) -> None:
        """Tell `outlet` of pauses and of the end, from now on. The handshake must be over."""
        ...

    def watch_peer(self, *, watch: bool) -> None:
        """Have the kernel end the connection if its peer takes nothing; or leave that to the streams."""
        ...


class WireOutlet(Outlet):
    """The way out over a socket that nobody else writes to, but in whole frames through its transport."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire
        self._transport = transport = wire.transport
        # Only so does `write` call `pause_writing` before it returns.
        transport.set_write_buffer_limits(high=0)
        self._fd: int = transport.get_extra_info("socket").fileno()
        self._paused = transport.get_write_buffer_size() > 0
        self._streaming = False
        wire.hand_over(self)

    @property
    def full(self) -> bool:
        """Whether the transport has bytes that the kernel did not take."""
        return self._paused

    def write(self, data: bytes) -> int:
        """Write what the kernel takes."""
        if self._paused:
            raise BlockingIOError
        if not self._open:
            raise OSError(errno.EPIPE, "the connection is closed")
        if data == BEAT:
            return len(data)  # the protocol's own pings say so for all streams
        return os.write(self._fd, data)

    def queue(self, rest: bytes | memoryview) -> None:
        """Give bytes to the transport."""
        if self._open:
            self._transport.write(rest)

    def backlog(self) -> int:
        """Bytes in the transport, and in the kernel not acknowledged by the peer."""
        return backlog_of(self._transport)

    def acknowledged(self) -> int:
        """Bytes that the peer has acknowledged."""
        return acknowledged_of(self._transport)

    def settle(self, *, streaming: bool) -> None:
        """Have streams watch the peer, or else the kernel, which would cut slow readers."""
        if streaming is not self._streaming and self._open:
            self._streaming = streaming
            self._wire.watch_peer(watch=not streaming)

    def cut(self) -> None:
        """Reset the connection."""
        self.shut()
        reset(self._transport)

    def shut(self) -> None:
        """Forget the descriptor: its number may be another client's in a moment."""
        super().shut()
        self._fd = -1

    # What the protocol tells.

    def pause_writing(self) -> None:
        """Note that the transport has queued bytes."""
        self._paused = True

    def resume_writing(self) -> None:
        """Note that the kernel has taken them; the rest is for the loop's next turn.

        A transport must not be closed from within this call, and going on may end a stream.
        """
        self._paused = False
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._open and not self._paused:
            self._drained()
