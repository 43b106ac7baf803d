"""The streams of one WebSocket: each has a sink of its own, all of them share the way out.

What one stream cannot write because the socket is full stays in its log, as for any other sink; when there is room
again, those who wait have it in turn. So a stream with much to say does not keep the others from saying anything, and
replies pass all of them.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, Self

from tailrace.hub import Consumer, Framing

__all__ = ["Outlet", "SocketSink"]

_MOST_OWED: Final = 65_536
"""Bytes of replies that may wait for room before the client is listened to no further."""


class Outlet(ABC):
    """The way out of a WebSocket. Whatever is written are whole frames, but for the rest of one that was cut.

    How bytes leave is for the classes below: they say whether it is `full`, and call `_drained` once it is not.
    """

    def __init__(self) -> None:
        self._waiting: dict[SocketSink, None] = {}
        self._open = True
        self._owed = 0
        self._changed: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin, in the task that serves the connection."""
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> bool | None:
        """Take nothing more."""
        self.shut()
        return None

    @property
    @abstractmethod
    def full(self) -> bool:
        """Whether nothing is taken now."""

    @abstractmethod
    def write(self, data: bytes) -> int:
        """Take bytes as `Sink.write` does."""

    @abstractmethod
    def queue(self, rest: bytes | memoryview) -> None:
        """Take bytes, full or not: they leave before whatever is written later."""

    @abstractmethod
    def backlog(self) -> int:
        """Bytes that the peer has not acknowledged."""

    @abstractmethod
    def acknowledged(self) -> int:
        """A number that changes when, and only when, the peer takes something."""

    @abstractmethod
    def settle(self, *, streaming: bool) -> None:
        """Note whether there are streams, which mind themselves whether their peer takes anything."""

    @abstractmethod
    def cut(self) -> None:
        """Cut the connection at once."""

    def shut(self) -> None:
        """Take nothing more: the connection is closed, or about to be."""
        self._open = False
        self._owed = 0
        self._wake_waiting()

    # Replies.

    def say(self, frames: bytes) -> None:
        """Write what is not a stream's, after what is on its way."""
        self.queue(frames)
        if self.full and self._open:
            self._owed += len(frames)

    async def heard(self) -> None:
        """Wait until most replies are on their way: who asks and does not listen is answered no further."""
        while self._owed > _MOST_OWED:
            await self._change()

    async def flushed(self) -> None:
        """Wait until all that was taken is on its way."""
        while self.full and self._open:
            await self._change()

    async def _change(self) -> None:
        if self._changed is None or self._changed.done():
            self._changed = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._changed)

    def _wake_waiting(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    # Room.

    def wait(self, sink: SocketSink) -> None:
        """Call `sink.on_writable` when there is room, after those who wait already."""
        self._waiting[sink] = None

    def forget(self, sink: SocketSink) -> None:
        """Do not, if it waits."""
        self._waiting.pop(sink, None)

    def _drained(self) -> None:
        self._owed = 0
        self._wake_waiting()
        while self._waiting and not self.full:
            sink = next(iter(self._waiting))
            del self._waiting[sink]
            sink.on_writable()


class SocketSink:
    """Feeds one stream of a WebSocket into its outlet. `over` is called at the stream's end, with whether it is one.

    It is none where the stream broke: its reader is to be told, and can come back to where it was.
    """

    __slots__ = ("_consumer", "_outlet", "_over", "write")

    framing = Framing.PLAIN
    """Its events are framed by whoever renders them."""

    def __init__(self, outlet: Outlet, over: Callable[[bool], None]) -> None:
        self._outlet = outlet
        self._over = over
        self._consumer: Consumer | None = None
        self.write: Callable[[bytes], int] = outlet.write

    @property
    def ready(self) -> bool:
        """Whether it takes bytes now."""
        return not self._outlet.full

    def bind(self, consumer: Consumer) -> None:
        """Tell `consumer` of room and of the end."""
        self._consumer = consumer
        if self._outlet.full:
            self._outlet.wait(self)

    def on_writable(self) -> None:
        """Pass it on that there is room."""
        if self._consumer is not None:
            self._consumer.on_writable()

    def queue(self, rest: bytes | memoryview) -> bool:
        """Take the rest of a cut frame, or a frame for which there was no room."""
        self._outlet.queue(rest)
        if self._outlet.full:
            self._outlet.wait(self)
            return False
        return True

    def backlog(self) -> int:
        """Bytes of all streams that the peer has not acknowledged."""
        return self._outlet.backlog()

    def acknowledged(self) -> int:
        """What the peer has taken, of whichever stream."""
        return self._outlet.acknowledged()

    def settle(self) -> None:
        """Watch the peer as a stream does."""
        self._outlet.settle(streaming=True)

    def leave(self) -> None:
        """Be fed no more: the stream is over, whatever ended it."""
        self._consumer = None
        self._outlet.forget(self)

    def finish(self) -> None:
        """End this stream in order; the connection stays."""
        self.leave()
        self._over(True)

    def abort(self) -> None:
        """Give this stream up, and with it the connection if its peer owes an acknowledgement."""
        self.leave()
        if self._outlet.backlog():
            self._outlet.cut()
        else:
            self._over(False)
