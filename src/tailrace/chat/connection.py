"""One HTTP/1.1 connection to a provider: a request goes out, its head and its body come in, and the next one's.

Bytes and their order are all that is known here. Whom to connect to is decided by `dialing`, which request
goes where by `connections`, how long anything may take and what a failure means by `upstream`.

Why not an HTTP library: an answer of 31 events, relayed and kept, took 780 us of CPU with aiohttp's client and takes
610 with this. Parsing is httptools', as on the server's side.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final, cast

import httptools

__all__ = ["Connection", "NotHttp"]

_MOST_UNREAD: Final = 262_144
"""Bytes that wait for a reader before the provider is slowed down; as much again may be on its way from the kernel."""
_MOST_SILENT: Final = 131_072
"""Bytes that bring nothing of a body: a head (nginx takes 32 KB of it), trailers, extensions of chunks."""
_WORTH_TWO: Final = 65_536
"""Bytes of a request's body from which a second write costs less than putting it behind its head."""


class NotHttp(Exception):
    """What came is not HTTP/1.1, or more of it than any head has."""


class Connection(asyncio.Protocol):
    """A connection. Call `send`, then wait for `head`, then `receive` until `complete`; then it can be used again."""

    __slots__ = (
        "_error",
        "_keeps",
        "_lost",
        "_parser",
        "_paused",
        "_pieces",
        "_silent",
        "_transport",
        "_unread",
        "_until_close",
        "_waiter",
        "complete",
        "headers",
        "idle_since",
        "loop",
        "on_body",
        "on_done",
        "status",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, lost: Callable[[Connection], None]) -> None:
        self.loop = loop
        self.status = 0
        """Of the response; 0 while its head is not here."""
        self.headers: dict[bytes, bytes] = {}
        """Of the response, by names in lower case; of several with one name the first."""
        self.complete = True
        """The body is here to its end, received or not; or nothing was sent yet."""
        self.on_done: Callable[[], None] | None = None
        """Called once when the body is complete, or will never be."""
        self.idle_since = 0.0
        """For whoever keeps it while it is idle."""
        self._lost = lost
        self._error: BaseException | None = None
        self._keeps = False
        self._until_close = False
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append  # the parser's call for each chunk: no frame of Python
        self._unread = 0
        self._silent = 0
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._parser = _parser(self)

    # What the exchange calls.

    @property
    def gone(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._transport is None or self._transport.is_closing()

    @property
    def usable(self) -> bool:
        """Whether another request can be sent: the last answer came to its end, and both sides stay."""
        transport = self._transport
        return (
            self._keeps
            and self._error is None
            and not self._paused
            and transport is not None
            and not transport.is_closing()
            and not transport.get_write_buffer_size()  # else it was answered before it was read
        )

    def send(self, head: bytes, body: bytes) -> None:
        """Send a whole request."""
        self.status = 0
        self.headers = {}
        self.complete = self._keeps = self._until_close = False
        self._silent = 0
        self.forget()
        if self._transport is None or self._transport.is_closing():
            self.fail(ConnectionResetError())
        elif len(body) < _WORTH_TWO:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)

    async def head(self) -> None:
        """Wait until `status` and `headers` are here. Raises what came instead."""
        while not self.status:
            if self._error is not None:
                raise self._error
            await self._wait()

    async def receive(self) -> bytes:
        """Return all that has arrived of the body, waiting where nothing has; empty at its end.

        Raises what broke it, once everything that had arrived was returned.
        """
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self.complete:
                return b""
            await self._wait()
        return self.arrived()

    def arrived(self) -> bytes:
        """Return what has arrived and was not received."""
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._unread = 0
        if self._paused:
            self._paused = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()
        return data

    def forget(self) -> None:
        """Let go of what was not received."""
        self._pieces.clear()
        self._unread = 0

    def fail(self, error: BaseException) -> None:
        """Raise `error` where something is waited for, else from the next call that does; what comes now is too late.

        The first error counts.
        """
        if self._error is None:
            self._error = error
        self._wake()

    def close(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self) -> None:
        self._waiter = self.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def data_received(self, data: bytes) -> None:
        """Take what the provider sent."""
        if self._error is not None:
            return
        before = len(self._pieces)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._break_off(error)
        else:
            if not self.complete:
                self._weigh(len(data), brought=len(self._pieces) > before)
        if self.complete:
            self._end()
        self._wake()

    def _weigh(self, size: int, *, brought: bool) -> None:
        """After a reading of `size` bytes, see that neither what is unread nor what says nothing grows too large."""
        if not brought:
            self._silent += size
            if self._silent > _MOST_SILENT:
                self._break_off(None)
            return
        self._silent = 0
        self._unread += size
        if self._unread > _MOST_UNREAD and not self._paused:
            self._paused = True
            cast("asyncio.Transport", self._transport).pause_reading()

    def _break_off(self, cause: Exception | None) -> None:
        """Hear no more of what is no HTTP; an answer that was complete before that stays complete."""
        self._keeps = False
        if not self.complete:
            self._error = NotHttp()
            self._error.__cause__ = cause
        self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that nothing more comes. A body without a length ends so."""
        self._keeps = False
        if not self.complete and self._error is None:
            if self._until_close and exc is None:
                self.complete = True
            else:
                self._error = exc if isinstance(exc, OSError) else ConnectionError()
        self._end()
        self._wake()
        self._lost(self)

    def _end(self) -> None:
        done, self.on_done = self.on_done, None
        if done is not None:
            done()

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Begin a response, if one was asked for."""
        if self.complete:
            raise NotHttp

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. What comes behind a chunked body is a trailer, which nobody reads."""
        if not self.status:
            self.headers.setdefault(name.lower(), value)

    def on_headers_complete(self) -> None:
        """Take the head; one that only announces another (1xx) says nothing."""
        status = self._parser.get_status_code()
        if status < 200:
            self.headers.clear()
            return
        self.status = status
        headers = self.headers
        chunked = headers.get(b"transfer-encoding", b"").lower().endswith(b"chunked")
        self._until_close = not (chunked or b"content-length" in headers)

    def on_message_complete(self) -> None:
        """Note the body's end."""
        if self.status:
            self.complete = True
            self._keeps = self._parser.should_keep_alive()


def _parser(connection: Connection) -> httptools.HttpResponseParser:
    parser = httptools.HttpResponseParser(connection)
    # Small servers of models end lines with a bare LF, or pad the size of a chunk. What is read here decides nothing
    # but where this answer ends, so there is nothing to smuggle.
    parser.set_dangerous_leniencies(
        lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
    )
    return parser
