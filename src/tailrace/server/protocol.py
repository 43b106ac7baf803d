"""The uvicorn protocol class of the direct lane, and what uvicorn leaves open in HTTP/1.

`LaneProtocol` hands a connection to the hub when the offered first bytes arrive unchanged, and takes it
back for the next request. It also gives HTTP/1.0 clients an answer without chunks, and a request head
a deadline and a bound. What it relies on in uvicorn is held by a test, so that an upgrade fails loudly.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from tailrace.asgi import EXTENSION, Offer
from tailrace.asgi.direct import DirectSink

__all__ = ["LaneProtocol"]

HEAD_BYTES = 65_536
"""Request line and headers together. nginx takes 32 KB, node 16 KB, h11 16 KB; a JWT in a cookie fits."""
HEAD_SECONDS = 10.0
"""From a connection's, or a next request's, first byte to the end of its head."""

_REFUSAL = (
    b"HTTP/1.1 %b\r\ncontent-type: application/problem+json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
)


def _refusal(status: str, code: str, detail: str) -> bytes:
    number = int(status.split(maxsplit=1)[0])
    problem = {"type": "about:blank", "title": status[4:], "status": number, "code": code, "detail": detail}
    body = json.dumps(problem).encode()
    return _REFUSAL % (status.encode(), len(body), body)


_MALFORMED = _refusal("400 Bad Request", "malformed", "This is not a valid HTTP/1.1 request.")
_TOO_LARGE = _refusal(
    "431 Request Header Fields Too Large", "head_too_large", f"Request line and headers may be {HEAD_BYTES} bytes."
)
_TOO_SLOW = _refusal(
    "408 Request Timeout", "head_timeout", f"The request's head did not arrive within {HEAD_SECONDS:g} seconds."
)


class Exchange:
    """One request and its answer, between the application and uvicorn's cycle."""

    __slots__ = ("_cycle", "_held", "_offer", "_protocol", "_until_close")

    def __init__(self, protocol: LaneProtocol, cycle: RequestResponseCycle) -> None:
        self._protocol = protocol
        self._cycle = cycle
        self._offer: Offer | None = None
        self._held: _Held | None = None
        self._until_close = False

    def offer(self, offer: Offer) -> None:
        """Remember what the application offers, and hold the head back to send it with the first bytes."""
        self._offer = offer

    async def send(self, message: Any) -> None:
        """Pass a message on to uvicorn, but for those of an offered stream."""
        cycle = self._cycle
        if message["type"] == "http.response.start":
            if cycle.scope["http_version"] == "1.0":
                self._answer_without_chunks(message)
            elif self._offer is not None:
                await self._hold_head(message)
                return
        elif self._held is not None:
            await self._first_body(self._held, message)
            return
        elif self._until_close:
            cycle.expected_content_length = len(message.get("body", b""))
        await cycle.send(message)

    def _answer_without_chunks(self, message: Any) -> None:
        """HTTP/1.0 knows no chunks: such an answer lasts until the connection closes."""
        if self._offer is not None:
            self._offer.decide(outcome=False)
        if not any(name.lower() == b"content-length" for name, _ in message.get("headers", ())):
            self._cycle.chunked_encoding = False
            self._until_close = True

    async def _hold_head(self, message: Any) -> None:
        cycle = self._cycle
        held = _Held()
        transport, cycle.transport = cycle.transport, cast("asyncio.Transport", held)
        try:
            await cycle.send(message)
        finally:
            cycle.transport = transport
        self._held = held

    async def _first_body(self, held: _Held, message: Any) -> None:
        cycle, offer = self._cycle, self._offer
        self._held = self._offer = None
        body = message.get("body", b"")
        if offer is not None and body is offer.first and message.get("more_body") and self._fits():
            self._protocol.hand_over(cycle, held.head + b"%x\r\n%b\r\n" % (len(body), body), offer)
            return
        if offer is not None:
            offer.decide(outcome=False)
        if not cycle.disconnected:
            cycle.transport.write(held.head)
        await cycle.send(message)

    def _fits(self) -> bool:
        cycle = self._cycle
        return bool(
            cycle.chunked_encoding
            and not cycle.disconnected
            and not cycle.flow.write_paused
            and not cycle.transport.is_closing()
        )


class _Held:
    """Stands in for the transport while uvicorn writes a head that is not to leave yet."""

    __slots__ = ("head",)

    def __init__(self) -> None:
        self.head = b""

    def write(self, data: bytes) -> None:
        self.head += data


class LaneProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol, with the direct lane."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._application = self.app
        self.app = self._serve
        self._sink: DirectSink | None = None
        self._in_head = True
        self._head_bytes = 0
        self._refusal = _MALFORMED
        self._head_timer: asyncio.TimerHandle | None = None

    async def _serve(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        # uvicorn hands its cycle's bound methods to the application; the cycle is what we need to steer.
        exchange = Exchange(self, send.__self__)  # type: ignore[attr-defined]
        if self.scheme == "http":  # never past TLS
            cast("dict[str, Any]", scope)["extensions"] = {EXTENSION: exchange}
        await self._application(scope, receive, exchange.send)

    # The request's head: bounded in bytes and in time.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._await_head()

    def _await_head(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._refuse_slow)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:
        """Take the head, if it is within its bound."""
        self._in_head = False
        self._stop_head_timer()
        if len(self.url) + sum([len(name) + len(value) for name, value in self.headers]) > HEAD_BYTES:
            self._refusal = _TOO_LARGE
            raise ValueError("head too large")  # the parser stops, and uvicorn has the request refused
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Parse what the client sent."""
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse(_TOO_LARGE)

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser did not take."""
        self._refuse(self._refusal)

    def _refuse_slow(self) -> None:
        self._head_timer = None
        if self._head_bytes:
            self._refuse(_TOO_SLOW)
        else:
            self.transport.close()  # it never asked anything

    def _refuse(self, answer: bytes) -> None:
        self._stop_head_timer()
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()

    # What the transport tells, while a sink has the connection but is not settled.

    def pause_writing(self) -> None:
        """Pass it on to whoever is writing."""
        if self._sink is not None:
            self._sink.pause_writing()
        else:
            super().pause_writing()

    def resume_writing(self) -> None:
        """Pass it on to whoever is writing."""
        if self._sink is not None:
            self._sink.resume_writing()
        else:
            super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the sink first: its descriptor is about to be closed."""
        self._stop_head_timer()
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.connection_lost(exc)
        super().connection_lost(exc)

    # The hand-over, and the way back.

    def hand_over(self, cycle: RequestResponseCycle, first: bytes, offer: Offer) -> None:
        """Give the connection to the hub: `first` goes out, and uvicorn's cycle counts as left alone.

        As disconnected, not as complete: uvicorn then queues a pipelined request by itself.
        """
        transport = self.transport
        transport.set_write_buffer_limits(high=0)
        self._sink = sink = DirectSink(self, transport)
        transport.write(first)
        cycle.disconnected = True
        self.flow.resume_reading()
        if offer.lasting:
            self.settle(sink)
        offer.decide(outcome=True)
        offer.accept(sink)

    def settle(self, sink: DirectSink) -> None:
        """Make the sink the transport's protocol; parser, scope and cycle are freed."""
        cycle = self.cycle
        if self._sink is not sink or self.pipeline or cycle.more_body or self._in_head:
            return
        self._sink = None
        self.connections.discard(self)
        self.connections.add(cast("Any", sink))
        sink.settled(Settled(self.config, self.server_state, self.app_state, keep_alive=cycle.keep_alive))
        self.transport.set_protocol(sink)
        cycle.on_response = _nothing  # or protocol and cycle would keep each other
        self.parser = self.cycle = self.scope = self.headers = None  # type: ignore[assignment]

    def lost(self, sink: DirectSink) -> None:
        """Nothing: it was this protocol that told the sink."""

    def resume(self, sink: DirectSink) -> None:
        """Take the connection back after an answer's last byte."""
        self._sink = None
        self.transport.set_write_buffer_limits()
        if sink.paused:
            self.flow.pause_writing()
        cycle = self.cycle
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()


class Settled:
    """What is kept of the HTTP side of a connection whose stream lasts: enough to begin anew."""

    __slots__ = ("_app_state", "_config", "_keep_alive", "_server_state")

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], *, keep_alive: bool
    ) -> None:
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self._keep_alive = keep_alive

    def settle(self, sink: DirectSink) -> None:
        """Nothing more to let go of."""

    def lost(self, sink: DirectSink) -> None:
        """Forget the connection."""
        self._server_state.connections.discard(cast("Any", sink))

    def shutdown(self) -> None:
        """Close instead of waiting for a next request."""
        self._keep_alive = False

    def resume(self, sink: DirectSink) -> None:
        """Give the connection a new HTTP protocol, beginning with what the client has sent already."""
        self._server_state.connections.discard(cast("Any", sink))
        protocol = LaneProtocol(self._config, self._server_state, self._app_state)
        transport = sink.transport
        transport.set_protocol(protocol)
        transport.set_write_buffer_limits()
        protocol.connection_made(transport)
        if sink.paused:
            protocol.pause_writing()
        if not self._keep_alive:
            transport.close()
            return
        protocol.on_response_complete()
        transport.resume_reading()
        if sink.early:
            protocol.data_received(sink.early)


def _nothing() -> None:
    """Stands where a reference would keep a connection's parts alive."""
