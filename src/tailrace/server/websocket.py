"""The uvicorn protocol class of WebSockets: uvicorn's own, which can be written to directly.

What is broken is refused without a traceback, and while the process leaves, a connection's end is left to its
application. Pings are uvicorn's; whether a peer takes what it is sent is watched by its streams, or else the kernel.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, ClassVar, cast

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import State

from tailrace.asgi.wire import FRAMES, WireOutlet
from tailrace.server.sockets import watch

__all__ = ["SocketProtocol", "socket_options"]


def socket_options(heartbeat: float, write_timeout: float, max_body: int) -> dict[str, Any]:
    """uvicorn's options for WebSockets: pings after `heartbeat` seconds, messages of at most `max_body` bytes.

    Without compression: it takes 33 KB for each connection, and its frames are nobody else's.
    """
    return {
        "ws": type("SocketProtocol", (SocketProtocol,), {"write_timeout": write_timeout}),
        "ws_max_size": max_body,
        "ws_ping_interval": heartbeat,
        # A slow reader finds a ping behind all that was sent before. It is the kernel who knows whether it reads.
        "ws_ping_timeout": None,
        "ws_per_message_deflate": False,
    }


class SocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, with frames that are written past it."""

    write_timeout: ClassVar[float] = 30.0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._outlet: WireOutlet | None = None

    def handle_connect(self, event: Request) -> None:
        """Offer the wire with the handshake's scope; its application begins when this turn of the loop is over."""
        super().handle_connect(event)
        if self.scheme == "ws" and not self.handshake_complete:  # never past TLS, nor where it is refused already
            cast("dict[str, Any]", self.scope["extensions"])[FRAMES] = self

    # What the wire's user calls.

    def hand_over(self, outlet: WireOutlet) -> None:
        """Tell `outlet` of pauses and of the end."""
        self._outlet = outlet

    def watch_peer(self, *, watch: bool) -> None:
        """Have the kernel watch the peer, or not."""
        _watch(self.transport, self.write_timeout if watch else 0)

    def keep_no_longer(self) -> None:
        """Nothing: an application that is told of the end closes its WebSockets itself, with a word."""

    # What the transport tells.

    def pause_writing(self) -> None:
        """Note that bytes are queued."""
        super().pause_writing()
        if self._outlet is not None:
            self._outlet.pause_writing()

    def resume_writing(self) -> None:
        """Note that they are not any more."""
        super().resume_writing()
        if self._outlet is not None:
            self._outlet.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Take what the client sent; a frame behind the end of a connection would be a fault."""
        super().data_received(data)
        if not self.handshake_initiated and self.conn.handshake_exc is not None:
            self._refuse_handshake()
        if self._outlet is not None and self.conn.state is not State.OPEN:
            self._outlet.shut()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the outlet first: its descriptor is about to be closed."""
        if self._outlet is not None:
            self._outlet.shut()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close, as the server does."""
        if self._outlet is not None:
            self._outlet.shut()
        super().shutdown()

    # What a client may do wrong.

    def send_receive_event_to_app(self) -> None:
        """Pass a message on; text that is not UTF-8 ends the connection, as RFC 6455 (section 8.1) has it."""
        if self.curr_msg_data_type == "text" and not _is_text(self.frames) and not self.close_sent:
            self.frames = []
            self.conn.send_close(1007, "text that is not UTF-8")
            self.handle_parser_exception()
            return
        super().send_receive_event_to_app()

    def _refuse_handshake(self) -> None:
        """Say what uvicorn leaves unsaid, and close: it would wait for ever for a handshake that was refused."""
        self.handshake_complete = self.close_sent = True
        refusal = self.conn.reject(
            HTTPStatus.BAD_REQUEST, f"This is no WebSocket handshake: {self.conn.handshake_exc}.\n"
        )
        # The parser has given up, and with it the way to say so in its own words.
        self.transport.write(refusal.serialize())
        self.transport.close()

    async def send(self, message: ASGISendEvent) -> None:
        """Send what the application says. One that refuses a handshake completes it, which uvicorn overlooks."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            self.handshake_complete = True


def _is_text(pieces: list[bytes]) -> bool:
    try:
        b"".join(pieces).decode()
    except UnicodeDecodeError:
        return False
    return True


def _watch(transport: asyncio.Transport, silence: float) -> None:
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        watch(connection, silence)
