"""The line between a worker and its supervisor: words, a line of them at a time, and the news that nobody is there.

It is a pair of sockets, so that each learns of the other's end from the kernel, however that came about.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Final, cast

__all__ = ["LEAVE", "NOW", "READY", "RETIRE", "Line"]

READY: Final = "ready"
"""Said by a worker that serves, with the seconds that its leaving in order may take."""
LEAVE: Final = "leave"
"""Said to a worker that is to leave in order."""
NOW: Final = "now"
"""Said to a worker that is to leave at once."""
RETIRE: Final = "retire"
"""Said to a worker whose successor serves: leave in order, but without `drain_delay`."""


class Line(asyncio.Protocol):
    """One end. `hear` is called with each line's words, `lost` once, when the other end is gone or this one closed."""

    def __init__(self, hear: Callable[[Sequence[str]], None], lost: Callable[[], None]) -> None:
        self._hear = hear
        self._lost = lost
        self._transport: asyncio.WriteTransport | None = None
        self._received = b""

    @classmethod
    async def open(cls, end: socket.socket, hear: Callable[[Sequence[str]], None], lost: Callable[[], None]) -> Line:
        """Take up an end of the line, which is then this one's to close."""
        end.setblocking(False)
        _, line = await asyncio.get_running_loop().create_unix_connection(lambda: cls(hear, lost), sock=end)
        return line

    def say(self, *words: object) -> None:
        """Tell the other end something; nothing happens where nobody is there."""
        if self._transport is not None:
            self._transport.write(" ".join(map(str, words)).encode() + b"\n")

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what is written to."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Hear whole lines."""
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            self._hear(line.decode().split())

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that nobody is there any more."""
        self._transport = None
        self._lost()
