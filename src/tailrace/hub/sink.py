"""Where a subscription's bytes go: a socket, an ASGI `send`, a WebSocket, a test's list.

A sink never buffers on its own account: it takes bytes or it says that it is full, and whatever it
does not take stays in the log.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Protocol

__all__ = ["Consumer", "Framing", "Sink"]


class Framing(Enum):
    """What is put around an event's bytes on the way to the client."""

    PLAIN = "plain"
    """Nothing: the layer below frames, or the end of the connection ends the stream."""
    CHUNKED = "chunked"
    """A chunk of HTTP/1.1 for each event, and the last chunk after the last one."""

    def wrap(self, blocks: list[bytes]) -> list[bytes]:
        """Frame each event."""
        if self is Framing.PLAIN:
            return blocks
        return [b"%x\r\n%b\r\n" % (len(block), block) if block else block for block in blocks]

    @property
    def end(self) -> bytes:
        """What follows the last event."""
        return b"0\r\n\r\n" if self is Framing.CHUNKED else b""


class Consumer(Protocol):
    """Who feeds a sink, and hears from it."""

    def on_writable(self) -> None:
        """Go on: the sink has room again."""
        ...

    def on_closed(self, reason: str) -> None:
        """Stop: the peer is gone."""
        ...


class Sink(Protocol):
    """Where bytes go. Everything is called on the event loop."""

    framing: Framing

    @property
    def ready(self) -> bool:
        """Whether it takes bytes now; if not, it will call `on_writable`."""
        ...

    @property
    def write(self) -> Callable[[bytes], int]:
        """Take bytes now and say how many were taken; BlockingIOError for none, another OSError for a dead peer.

        Something to call rather than a method, so that a socket's sink can offer the bare system call.
        """
        ...

    def bind(self, consumer: Consumer) -> None:
        """Tell `consumer` of everything from now on."""
        ...

    def queue(self, rest: bytes | memoryview) -> bool:
        """Take the rest of a frame that was cut. False = full: write nothing until `on_writable`."""
        ...

    def backlog(self) -> int:
        """Bytes that were taken and that the peer has not acknowledged."""
        ...

    def acknowledged(self) -> int:
        """A number that changes when, and only when, the peer takes something."""
        ...

    def settle(self) -> None:
        """Note that this stream lasts: give up what only a short one needs. May be called again."""
        ...

    def finish(self) -> None:
        """End the stream in order; what was queued still goes out."""
        ...

    def abort(self) -> None:
        """Cut the connection at once."""
        ...
