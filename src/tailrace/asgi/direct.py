"""The sink of the direct lane: a socket, written with the bare system call.

`os.write` goes past the transport as long as nothing is queued in it. What the kernel does not take is
given to the transport, which says when it is through; until then the subscription rests. For this the
transport's high-water mark must be 0: only then does it call `pause_writing` before `write` returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import socket
import struct
import termios
from collections.abc import Callable
from functools import partial
from typing import Protocol, cast

from tailrace.hub import Consumer, Framing

__all__ = ["Connection", "DirectSink", "acknowledged_of", "backlog_of", "reset"]

# `struct tcp_info` of linux/tcp.h: eight bytes, 24 words of four, two pacing rates, `tcpi_bytes_acked`.
_BYTES_ACKED = 8 + 24 * 4 + 2 * 8
_TCP_INFO = _BYTES_ACKED + 8

_MOST_EARLY_BYTES = 65_536
"""What a client may send while it is being streamed to."""


class Connection(Protocol):
    """The server's side of a connection that was handed over."""

    def settle(self, sink: DirectSink) -> None:
        """Make `sink` the transport's protocol, and let go of everything else."""
        ...

    def resume(self, sink: DirectSink) -> None:
        """Take the connection back: the answer is complete."""
        ...

    def lost(self, sink: DirectSink) -> None:
        """Forget the connection: it is closed."""
        ...

    def shutdown(self) -> None:
        """Wait for no further request when the answer is complete."""
        ...


def reset(transport: asyncio.BaseTransport) -> None:
    """Cut a connection so that its peer, and the kernel, take it for cut.

    Without SO_LINGER the kernel would go on offering what it holds to a peer that reads nothing, for minutes, and
    end with a clean FIN, which tells a client that all was said.
    """
    connection = transport.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):  # it is closed already
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    cast("asyncio.Transport", transport).abort()


def backlog_of(transport: asyncio.Transport) -> int:
    """Bytes in a transport, and in the kernel not acknowledged by the peer."""
    pending = transport.get_write_buffer_size()
    try:
        fd = transport.get_extra_info("socket").fileno()
        (unacknowledged,) = struct.unpack("i", fcntl.ioctl(fd, termios.TIOCOUTQ, b"\0\0\0\0"))
    except (OSError, ValueError):  # ValueError: it is closed
        return pending
    return pending + int(unacknowledged)


def acknowledged_of(transport: asyncio.Transport) -> int:
    """Bytes that the peer has acknowledged, where the kernel tells; else what the backlog lacks."""
    try:
        info = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO)
        (acknowledged,) = struct.unpack_from("Q", info, _BYTES_ACKED)
    except (OSError, ValueError, AttributeError, struct.error):
        return -backlog_of(transport)
    return int(acknowledged)


def _closed(data: bytes) -> int:
    raise OSError(errno.EPIPE, "the connection is closed")


class DirectSink(asyncio.Protocol):
    """A socket with a subscription. Once settled it is the transport's own protocol, and nothing else is kept."""

    __slots__ = ("_connection", "_consumer", "_deaf", "_early", "_finished", "_paused", "_transport", "write")

    framing = Framing.CHUNKED

    def __init__(self, connection: Connection, transport: asyncio.Transport) -> None:
        self._connection = connection
        self._transport = transport
        self._consumer: Consumer | None = None
        self._early: bytes = b""
        self._deaf = False
        self._paused = False
        self._finished = False
        fd: int = transport.get_extra_info("socket").fileno()
        self.write: Callable[[bytes], int] = partial(os.write, fd) if fd >= 0 else _closed

    @property
    def transport(self) -> asyncio.Transport:
        """The transport of the connection."""
        return self._transport

    @property
    def early(self) -> bytes:
        """What the client sent while it was being streamed to."""
        return self._early

    @property
    def ready(self) -> bool:
        """Whether it takes bytes now."""
        return not self._paused

    @property
    def paused(self) -> bool:
        """Whether the transport has bytes of ours that the kernel did not take."""
        return self._paused

    # What the subscription calls.

    def bind(self, consumer: Consumer) -> None:
        """Tell `consumer` of room and of the end."""
        self._consumer = consumer

    def queue(self, rest: bytes | memoryview) -> bool:
        """Give the rest of a cut frame to the transport."""
        self._transport.write(rest)
        return not self._paused

    def backlog(self) -> int:
        """Bytes in the transport, and in the kernel not acknowledged by the peer."""
        return backlog_of(self._transport)

    def acknowledged(self) -> int:
        """Bytes that the peer has acknowledged."""
        return acknowledged_of(self._transport)

    def settle(self) -> None:
        """Let go of the HTTP protocol: the stream lasts."""
        self._connection.settle(self)

    def settled(self, connection: Connection) -> None:
        """Remember who takes the connection back, now that the sink is the transport's protocol."""
        self._connection = connection

    def finish(self) -> None:
        """Give the connection back to HTTP; the last chunk is written, or queued."""
        self._finished = True
        self.write = _closed
        if not self._transport.is_closing():
            self._connection.resume(self)

    def abort(self) -> None:
        """Reset the connection."""
        self.write = _closed
        reset(self._transport)

    # What the transport calls: here once settled, before that by way of the HTTP protocol.

    def pause_writing(self) -> None:
        """Note that the transport has queued bytes."""
        self._paused = True

    def resume_writing(self) -> None:
        """Note that the kernel has taken them; the rest is for the loop's next turn.

        A transport must not be closed from within this call, and going on may end the stream.
        """
        self._paused = False
        if not self._finished and self._consumer is not None:
            asyncio.get_running_loop().call_soon(self._writable)

    def _writable(self) -> None:
        if not self._paused and not self._finished and self._consumer is not None:
            self._consumer.on_writable()

    def data_received(self, data: bytes) -> None:
        """Keep a next request for later, up to a bound; beyond it the connection serves none.

        Reading goes on in any case: nothing else tells that the client has left.
        """
        if self._deaf:
            return
        self._early += data
        if len(self._early) > _MOST_EARLY_BYTES:
            self._early = b""
            self._deaf = True
            self._connection.shutdown()

    def eof_received(self) -> None:
        """Let the transport close: a client that closes its sending side has left."""

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the descriptor at once: its number may be another client's in a moment."""
        self.write = _closed
        self._finished = True
        self._connection.lost(self)
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.on_closed("gone")

    def shutdown(self) -> None:
        """Note that the server is leaving. When this stream is over is for the hub to decide."""
        self._connection.shutdown()
