"""The uvicorn protocol class of the direct lane.

`LaneProtocol` hands a connection to the hub when the offered first bytes arrive unchanged, and takes it
back for the next request. Whether they do is found out by `exchange`; bounds on requests are kept by
`bounds`. What all three rely on in uvicorn is held by a test, so that an upgrade fails loudly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from tailrace.asgi import EXTENSION, Offer
from tailrace.asgi.direct import DirectSink
from tailrace.server.bounds import BoundedProtocol
from tailrace.server.door import Door, Stay
from tailrace.server.exchange import Exchange
from tailrace.server.sockets import watch

__all__ = ["LaneProtocol", "lane_protocol"]


def lane_protocol(write_timeout: float, door: Door | None = None) -> type[LaneProtocol]:
    """Make the protocol class for a server whose connections may take nothing for `write_timeout` seconds.

    `door` counts them; None: there may be any number.
    """
    return type("LaneProtocol", (LaneProtocol,), {"write_timeout": write_timeout, "door": door})


class LaneProtocol(BoundedProtocol):
    """uvicorn's HTTP/1.1 protocol, with the direct lane."""

    write_timeout: ClassVar[float] = 30.0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._sink: DirectSink | None = None
        # The one that was handed over: `cycle` is the newest request's, which a pipelining client may be past.
        self._streaming: RequestResponseCycle | None = None
        self._unwatched = False  # whether the kernel minds no deadline of this connection

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        # As `self.app` it would keep its own protocol, and what each connection leaves would be the collector's.
        super()._start_asgi_task(cycle, self._serve if app is self.app else app)

    async def _serve(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        # uvicorn hands its cycle's bound methods to the application; the cycle is what we need to steer.
        exchange = Exchange(send.__self__, self.hand_over)  # type: ignore[attr-defined]
        extensions = cast("dict[str, Any]", scope).setdefault("extensions", {})
        if self.scheme == "http":  # never past TLS
            extensions[EXTENSION] = exchange
        try:
            await self.app(scope, receive, exchange.send)
        finally:
            exchange.close()
            extensions.pop(EXTENSION, None)  # or the request and its exchange would keep each other

    def on_headers_complete(self) -> None:
        """Take a head. Behind a pipelined one uvicorn stops reading; while we stream, only that tells who has left."""
        super().on_headers_complete()
        if self._sink is not None:
            self.flow.resume_reading()

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
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.connection_lost(exc)
        if self._streaming is not None:
            self._streaming.message_event.set()
        super().connection_lost(exc)

    # The hand-over, and the way back.

    def hand_over(self, cycle: RequestResponseCycle, first: Sequence[bytes], offer: Offer) -> None:
        """Give the connection to the hub: `first` goes out, and uvicorn's cycle counts as left alone.

        As disconnected, not as complete: uvicorn then queues a pipelined request by itself.
        """
        transport = self.transport
        # The sink first: it must hear of what an earlier answer has left in the transport.
        self._sink = sink = DirectSink(self, transport)
        self._streaming = cycle
        transport.set_write_buffer_limits(high=0)
        for piece in first:
            transport.write(piece)
        cycle.disconnected = True
        self.flow.resume_reading()
        if offer.lasting:
            self.settle(sink)
        offer.decide(outcome=True)
        offer.accept(sink)

    def settle(self, sink: DirectSink) -> None:
        """Make the sink the transport's protocol; parser, scope and cycle are freed.

        From here on the hub alone watches the peer. A stream that is over sooner never needed it.
        """
        if not self._unwatched:
            self._unwatched = True
            watch(self.transport.get_extra_info("socket"), 0)
        cycle = self.cycle
        if self._sink is not sink or self._streaming is not cycle or cycle.more_body or self._begun:
            return
        self._sink = self._streaming = None
        self.connections.discard(self)
        self.connections.add(cast("Any", sink))
        stay, self._stay = self._stay, None
        kept = cycle.keep_alive
        sink.settled(Settled(self.config, self.server_state, self.app_state, keep_alive=kept, stay=stay))
        self.transport.set_protocol(sink)
        cycle.on_response = _nothing  # or protocol and cycle would keep each other
        cycle.message_event.set()  # whoever waits for this request to end will hear nothing more here
        self.parser = self.cycle = self.scope = self.headers = None  # type: ignore[assignment]

    def lost(self, sink: DirectSink) -> None:
        """Nothing: it was this protocol that told the sink."""

    def resume(self, sink: DirectSink) -> None:
        """Take the connection back after an answer's last byte."""
        cycle = cast("RequestResponseCycle", self._streaming)
        self._sink = self._streaming = None
        self.take_back()
        if sink.paused:
            self.flow.pause_writing()
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def take_back(self, *, unwatched: bool = False) -> None:
        """Write as HTTP does again, and have the kernel watch the peer if it does not."""
        self.transport.set_write_buffer_limits()
        if unwatched or self._unwatched:
            self._unwatched = False
            watch(self.transport.get_extra_info("socket"), self.write_timeout)


class Settled:
    """What is kept of the HTTP side of a connection whose stream lasts: enough to begin anew."""

    __slots__ = ("_app_state", "_config", "_keep_alive", "_server_state", "_stay")

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        *,
        keep_alive: bool,
        stay: Stay | None = None,
    ) -> None:
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self._keep_alive = keep_alive
        self._stay = stay

    def settle(self, sink: DirectSink) -> None:
        """Nothing more to let go of."""

    def lost(self, sink: DirectSink) -> None:
        """Forget the connection."""
        self._server_state.connections.discard(cast("Any", sink))
        self._end_stay()

    def _end_stay(self) -> None:
        if self._stay is not None:
            self._stay.end()

    def shutdown(self) -> None:
        """Close instead of waiting for a next request."""
        self._keep_alive = False

    def resume(self, sink: DirectSink) -> None:
        """Give the connection a new HTTP protocol, beginning with what the client has sent already."""
        self._server_state.connections.discard(cast("Any", sink))
        self._end_stay()  # the protocol enters anew
        transport = sink.transport
        make = cast("type[LaneProtocol]", self._config.http_protocol_class)
        protocol = make(self._config, self._server_state, self._app_state)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.take_back(unwatched=True)
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
