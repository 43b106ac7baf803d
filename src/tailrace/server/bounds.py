"""What a client may cost before its request is whole: bounds in bytes and in time on top of uvicorn's HTTP/1.1.

uvicorn takes a head of any size, waits for its end for ever, and says "400" in the middle of an answer
when what follows the request is no HTTP. Here a head has a bound and a deadline, a body must not fall
silent, and a refusal never lands inside an answer. The body's size is the application's matter.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from enum import Enum, auto
from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tailrace.server.door import Door, Stay

__all__ = ["BoundedProtocol"]

HEAD_BYTES = 65_536
"""Request line and headers together. nginx takes 32 KB, node 16 KB, h11 16 KB; a JWT in a cookie fits."""
HEAD_SECONDS = 10.0
"""From a connection's, or a next request's, first byte to the end of its head."""
NEW_SECONDS = 1.0
"""How long a new connection's first request may be on its way: it follows the last step of TCP's handshake."""
BODY_SECONDS = 30.0
"""Silence in the middle of a request's body. nginx allows 60 s; a phone that changes networks needs about 10."""
PIPELINED = 16
"""Requests that a client may send ahead of their answers. Browsers send none, and one reading can hold thousands."""
LINGER_SECONDS = 2.0
"""How long a refused client is listened to: closing with unread bytes would reset the connection, answer and all."""


_FIRST_READING = -1


def _refusal(status: str, code: str, detail: str, retry_after: int = 0) -> bytes:
    problem = {"type": "about:blank", "title": status[4:], "status": int(status[:3]), "code": code, "detail": detail}
    body = json.dumps(problem).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\nconnection: close\r\n"
    head += "x-content-type-options: nosniff\r\n"
    head += f"retry-after: {retry_after}\r\ncontent-length: " if retry_after else "content-length: "
    return b"%b%d\r\n\r\n%b" % (head.encode(), len(body), body)


_MALFORMED = _refusal("400 Bad Request", "malformed", "This is not a valid HTTP/1.1 request.")
_HEAD_TOO_LARGE = _refusal(
    "431 Request Header Fields Too Large", "head_too_large", f"Request line and headers may be {HEAD_BYTES} bytes."
)
_HEAD_TOO_SLOW = _refusal("408 Request Timeout", "head_timeout", "The request's head did not arrive in time.")
_FULL = _refusal(
    "503 Service Unavailable", "too_many_connections", "There are too many connections; come again later.", 5
)
_LEAVING = _refusal("503 Service Unavailable", "draining", "The server is leaving; send the request again.")
_BODY_TOO_SLOW = _refusal("408 Request Timeout", "body_timeout", "The request's body stopped arriving.")


def _is_ambiguous(target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether somebody before us may have read this head in another way, and let pass what it would have stopped.

    RFC 9112, 3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that
    [...] contains more than one Host header field line". A target has no fragment; the parser would cut it off.
    Codings of the body other than `chunked` nobody here can decode, and proxies disagree on where such bodies end.
    """
    names = [name for name, _ in headers]
    if b"#" in target or names.count(b"host") > 1:
        return True
    return b"transfer-encoding" in names and [
        value.lower() for name, value in headers if name == b"transfer-encoding"
    ] != [b"chunked"]


def _framing(headers: Sequence[tuple[bytes, bytes]]) -> tuple[bytes, bytes] | None:
    """The header that says how long a request's body is; None where it has none."""
    for header in headers:
        if header[0] == b"transfer-encoding" or (header[0] == b"content-length" and header[1].strip(b"0")):
            return header
    return None


class _Body:
    """What is heard of the body of a request whose head another parser has read: no head of another one."""

    def __init__(self, request: HttpToolsProtocol) -> None:
        self.on_body = request.on_body
        self.on_message_complete = request.on_message_complete


class _Awaited(Enum):
    """What the client owes us."""

    NOTHING = auto()
    HEAD = auto()
    BODY = auto()


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol for clients that may be slow, endless or broken on purpose."""

    door: ClassVar[Door | None] = None
    """Who counts connections, where anybody does."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._begun = False  # a head that is not complete
        self._head_bytes = 0
        self._trailer_bytes = 0
        self._answering: RequestResponseCycle | None = None  # the request whose turn it is
        self._deaf = False  # whatever the client says now is not heard
        self._refusal = _MALFORMED
        self._awaited = _Awaited.NOTHING
        self._timer: asyncio.TimerHandle | None = None
        self._heard_at = 0.0
        self._made_at = 0.0
        self._stay: Stay | None = None
        self._reading = b""
        self._last = False  # the next answer, whose request is not here yet, is the connection's last

    @property
    def is_new(self) -> bool:
        """Whether it was made a moment ago and has not asked anything yet."""
        return self._newest is None and not self._deaf and self.loop.time() < self._made_at + NEW_SECONDS

    @property
    def _newest(self) -> RequestResponseCycle | None:
        """The request whose head came last; None before the first."""
        return self.cycle

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._made_at = self.loop.time()
        self._await(_Awaited.HEAD)
        if self.door is not None:
            self._stay = self.door.enter(self.client[0] if self.client else "", len(self.connections))
            if not self._stay.welcome:
                self._refuse(_FULL)

    def _end_stay(self) -> None:
        if self._stay is not None:
            self._stay.end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more, and tell every request: uvicorn tells the newest one only."""
        self._await(_Awaited.NOTHING)
        self._end_stay()
        for cycle in (self._answering, *[cycle for cycle, _ in self.pipeline]):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. What comes behind a chunked body is a trailer, which nobody here reads."""
        if self._begun:
            super().on_header(name, value)
            return
        self._trailer_bytes += len(name) + len(value) + 4
        if self._trailer_bytes > HEAD_BYTES:
            self._refusal = _HEAD_TOO_LARGE
            raise ValueError("trailers too large")

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._begun = True
        self._trailer_bytes = 0
        self._head_bytes = _FIRST_READING

    def on_headers_complete(self) -> None:
        """Take the head, if it is within its bound."""
        self._begun = False
        self._await(_Awaited.NOTHING)
        if len(self.pipeline) >= PIPELINED:
            raise ValueError("too many requests ahead")
        if len(self.url) + sum([len(name) + len(value) + 4 for name, value in self.headers]) > HEAD_BYTES:
            self._refusal = _HEAD_TOO_LARGE
            raise ValueError("head too large")  # the parser stops, and uvicorn has the request refused
        if self.parser.get_http_version() not in {"1.1", "1.0"}:
            raise ValueError("not HTTP/1")
        if _is_ambiguous(self.url, self.headers):
            raise ValueError("ambiguous")
        super().on_headers_complete()
        if self._last:
            self.cycle.keep_alive = False

    def keep_no_longer(self) -> None:
        """Close after the present answer; where there is none, after the next one, as its request may be on its way."""
        request = self._newest
        if request is None or request.response_complete:
            self._last = True
        else:
            request.keep_alive = False

    def stop_waiting(self) -> None:
        """Refuse a request whose body is still on its way: the process is about to end."""
        request = self._newest
        waits = request is not None and request is self._answering and request.more_body
        if request is not None and waits and not request.response_started:
            self._refuse(_LEAVING)
            self.transport.close()

    def on_message_complete(self) -> None:
        """Note that the request is whole, also where it was answered before."""
        if self.parser.should_upgrade() and _framing(self.headers):
            return  # so the parser says of it, and is wrong: see `_ignore_upgrade`
        super().on_message_complete()
        if (request := self._newest) is not None:
            request.more_body = False

    def data_received(self, data: bytes) -> None:
        """Parse what the client sent."""
        if not self._deaf:
            self._reading = data
            super().data_received(data)
            self._reading = b""
            self._review(len(data))

    def _unsupported_upgrade_warning(self) -> None:
        # uvicorn calls this where the parser has stopped for the sake of a protocol that is not spoken here.
        stopped = sys.exc_info()[1]
        self._ignore_upgrade(self._reading[stopped.args[0] if stopped is not None else len(self._reading) :])

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Go on behind the head of a request that asked for another protocol, as RFC 9110, 7.8 lets a server.

        The parser takes all behind it for the other protocol's, and then reads a body as the next request: whoever
        has a proxy pass `Upgrade: h2c` on would have their body answered as a request that no proxy has seen. Java's
        own client sends it with each request.
        """
        framing = _framing(self.headers)
        if framing:
            self.cycle.keep_alive = False
            self.parser = httptools.HttpRequestParser(_Body(self))
            self.parser.feed_data(b"POST / HTTP/1.1\r\n%b: %b\r\n\r\n" % framing)
        if rest:
            super().data_received(rest)

    def _review(self, size: int) -> None:
        """After a reading of `size` bytes, see what the client owes us now."""
        if self._deaf or self.transport.is_closing():
            return
        self._heard_at = self.loop.time()
        if self._begun:
            # Of the reading in which it began nobody knows how much is its own: at most a quarter of a MiB.
            self._head_bytes = 0 if self._head_bytes == _FIRST_READING else self._head_bytes + size
            if self._head_bytes > HEAD_BYTES:
                self._refuse(_HEAD_TOO_LARGE)
                return
        self._await(self._owed())

    def _owed(self) -> _Awaited:
        if self._begun:
            return _Awaited.HEAD
        request = self._newest
        if request is not None and request.more_body:
            return _Awaited.BODY
        # What came belongs to no request (line feeds), but has stopped uvicorn's own timer of an idle connection.
        idle = request is None or request.response_complete
        return _Awaited.HEAD if idle else _Awaited.NOTHING

    def _await(self, awaited: _Awaited) -> None:
        if awaited is self._awaited and awaited is not _Awaited.NOTHING:
            return
        self._awaited = awaited
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if awaited is _Awaited.HEAD:
            self._timer = self.loop.call_later(HEAD_SECONDS, self._on_head_late)
        elif awaited is _Awaited.BODY:
            self._timer = self.loop.call_later(BODY_SECONDS, self._on_body_late)

    def _on_head_late(self) -> None:
        if self._begun:
            self._refuse(_HEAD_TOO_SLOW)
        else:
            self.transport.close()  # it asked nothing

    def _on_body_late(self) -> None:
        cycle = self.cycle
        left = self._heard_at + BODY_SECONDS - self.loop.time()
        answering = cycle.response_started and not cycle.response_complete
        if left <= 0 and not (self.flow.read_paused or cycle.waiting_for_100_continue or answering):
            self._refuse(_BODY_TOO_SLOW)
        else:  # it was heard meanwhile, or it is not the client who is late
            self._timer = self.loop.call_later(left if left > 0 else BODY_SECONDS, self._on_body_late)

    def handle_websocket_upgrade(self) -> None:
        """Leave the connection to another protocol, and its deadlines too.

        Not while an answer is owed: whoever writes it would never hear that the connection is gone, and its
        descriptor would soon be another client's.
        """
        request = self._newest
        if self.pipeline or (request is not None and not request.response_complete):
            self._refuse(_MALFORMED)
            return
        self._deaf = True
        self._end_stay()
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]  # or the two would keep each other

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser did not take."""
        self._refuse(self._refusal)

    def _refuse(self, answer: bytes) -> None:
        """Say `answer` and close. An answer that is under way is finished first, and says it all by closing then."""
        self._await(_Awaited.NOTHING)
        self._begun = False
        self._deaf = True
        request, answering = self._newest, self._answering
        if self.transport.is_closing():
            return
        if (
            answering is not None
            and not answering.response_complete
            and (answering is not request or not request.more_body)
        ):
            answering.keep_alive = False
        elif request is not None and request.response_started and request.more_body:
            self.transport.close()
        else:
            self._say_last(answer)

    def _say_last(self, answer: bytes) -> None:
        request = self._newest
        if request is not None and not request.response_complete:
            # The application may be waiting for the rest of the body.
            request.disconnected = True
            request.message_event.set()
        transport = self.transport
        transport.write(answer)
        if transport.can_write_eof():
            transport.write_eof()
            self._timer = self.loop.call_later(LINGER_SECONDS, transport.close)
        else:
            transport.close()
