"""One request and its answer, between the application and uvicorn: where the direct lane is offered and taken.

The head of an offered stream, and of an answer that says how long it is, is held back until the first bytes of
the body are here: the two leave in one write. Only those bytes tell whether anything between the application and
us has changed the stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from tailrace.asgi import Offer
from tailrace.asgi.direct import reset
from tailrace.hub import Framing

__all__ = ["Exchange", "HandOver"]

HandOver = Callable[[RequestResponseCycle, Sequence[bytes], Offer], None]
"""Gives a connection to the hub: the cycle, the bytes to begin with, and who takes it."""


_WORTH_SHARING = 65_536


class Exchange:
    """The application's side of a cycle: its `send`, and the lane that it may offer a stream to."""

    __slots__ = ("_cycle", "_hand_over", "_held", "_holds", "_offer", "_streamed", "_until_close")

    def __init__(self, cycle: RequestResponseCycle, hand_over: HandOver) -> None:
        self._cycle = cycle
        self._hand_over = hand_over
        self._offer: Offer | None = None
        self._held: _Held | None = None
        self._holds = False
        self._streamed = False
        self._until_close = False

    def offer(self, offer: Offer) -> None:
        """Remember what the application offers, and hold the head back to send it with the first bytes."""
        self._offer = offer
        self._streamed = self._holds = True

    def hold(self) -> None:
        """Send the head with the first bytes: the application has them all."""
        self._holds = True

    async def send(self, message: Any) -> None:
        """Pass a message on to uvicorn, but for those of an offered stream."""
        cycle = self._cycle
        if message["type"] == "http.response.start":
            if cycle.scope["http_version"] == "1.0":
                self._answer_without_chunks(message)
            elif self._holds or _has_length(message):
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
        if not _has_length(message):
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
        if offer is not None:
            # An offer that was decided already was given up: its application has gone on over `send`.
            if offer.outcome is None and body is offer.first and message.get("more_body") and self._fits():
                self._hand_over(cycle, _begin(held.head, body), offer)
                return
            offer.decide(outcome=False)
        await self._send_behind(held.head, message)

    async def _send_behind(self, head: bytes, message: Any) -> None:
        """Send the first piece of a body, and a held head with it."""
        cycle = self._cycle
        transport = cycle.transport
        behind = _Behind(transport, head)
        if cycle.scope["method"] == "HEAD":  # nothing is going to be written
            behind.write(b"")
        cycle.transport = cast("asyncio.Transport", behind)
        try:
            await cycle.send(message)
        finally:
            cycle.transport = transport
            if not cycle.disconnected:
                behind.write(b"")  # the head alone, of a body that was refused

    def _fits(self) -> bool:
        cycle = self._cycle
        return bool(
            cycle.chunked_encoding
            and not cycle.disconnected
            and not cycle.flow.write_paused
            and not cycle.transport.is_closing()
        )

    def close(self) -> None:
        """Note that the application is done. A stream that it gave up is cut.

        Closing, as uvicorn does, would wait for a reader that takes nothing, which may be why it was given up.
        """
        cycle = self._cycle
        if self._streamed and cycle.response_started and not (cycle.response_complete or cycle.disconnected):
            asyncio.get_running_loop().call_soon(reset, cycle.transport)


def _has_length(message: Any) -> bool:
    return any(name.lower() == b"content-length" for name, _ in message.get("headers", ()))


def _begin(head: bytes, body: bytes) -> Sequence[bytes]:
    """The answer's first bytes, in one piece; a large body stays the object that it is, which others may share."""
    if len(body) < _WORTH_SHARING:
        return (head + Framing.CHUNKED.wrap([body])[0],)
    return (head + b"%x\r\n" % len(body), body, b"\r\n")


class _Held:
    """Stands in for the transport while uvicorn writes a head that is not to leave yet."""

    __slots__ = ("head",)

    def __init__(self) -> None:
        self.head = b""

    def write(self, data: bytes) -> None:
        self.head += data


class _Behind:
    """Stands in for the transport while uvicorn writes what a held head is to leave with."""

    __slots__ = ("_head", "_transport")

    def __init__(self, transport: asyncio.Transport, head: bytes) -> None:
        self._transport = transport
        self._head = head

    def write(self, data: bytes) -> None:
        head, self._head = self._head, b""
        if head and len(data) >= _WORTH_SHARING:
            self._transport.write(head)
            head = b""
        if head or data:
            self._transport.write(head + data if head else data)

    def close(self) -> None:
        self._transport.close()
