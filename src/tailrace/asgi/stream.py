"""A subscription as an ASGI answer: over the direct lane where the server offers it, else over `send`."""

from __future__ import annotations

from collections.abc import Sequence

from tailrace.asgi.lane import EXTENSION, Lane, Offer
from tailrace.asgi.sink import AsgiSink, Receive, Scope, Send
from tailrace.hub import Framing, Reading, expire

__all__ = ["HEADERS", "PLACE", "READER", "EventStream"]

HEADERS = (
    (b"content-type", b"text/event-stream"),
    # no-transform keeps proxies from compressing, and so from buffering; the other one is nginx's own word.
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)

PLACE = "tailrace.place"
"""Where a scope has what is to be kept until the stream is over: its `keep()` returns what is called then. A connection
that was handed over lives on when its request's call has returned."""

READER = "tailrace.reader"
"""Where a scope has what operators call whoever asks."""

_LARGE = 65_536
"""A prelude of more bytes (a long answer's snapshot) goes out as the object that it is: its readers share it."""

_PATIENCE = 1.0  # seconds for middleware to pass the first bytes on


class EventStream:
    """Answers one request with a reading, and with what comes. `headers` are added to those of every stream.

    At `until` (Unix seconds), if that is given, its reader is sent away.
    """

    def __init__(
        self, reading: Reading, headers: Sequence[tuple[bytes, bytes]] = (), until: float | None = None
    ) -> None:
        self._prelude = reading.prelude
        self._headers = headers
        self._subscription = reading.begin(Framing.PLAIN)
        if until is not None:
            expire(self._subscription, until)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        subscription = self._subscription
        subscription.reader = scope.get(READER, "")
        place = scope.get(PLACE)
        if place is not None:
            subscription.also(place.keep())
        offer, complete = None, False
        try:
            first, complete = self._first()
            lane: Lane | None = scope.get("extensions", {}).get(EXTENSION)
            offer = Offer(first, subscription.bind, lasting=subscription.lasting)
            if lane is not None:
                if complete:
                    lane.hold()
                else:
                    lane.offer(offer)
            await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS, *self._headers]})
            await send({"type": "http.response.body", "body": first, "more_body": not complete})
            if complete:
                return
            if lane is not None and await offer.decided(_PATIENCE):
                subscription.hub.meter.add("streams.direct")
                return
            sink = AsgiSink(send)
            subscription.bind(sink)
            await sink.pump(receive)
        finally:
            if offer is not None:
                offer.decide(outcome=False)  # an application that was cancelled takes nothing back later
            if not subscription.bound:
                subscription.on_closed("ended" if complete else "gone")

    def _first(self) -> tuple[bytes, bool]:
        """What can be sent with the head: the prelude and what the tail holds past the cursor."""
        subscription = self._subscription
        tail = subscription.view.tail
        if len(self._prelude) > _LARGE:
            return self._prelude, False
        joined = subscription.first()
        if joined is None:
            return self._prelude, False
        return self._prelude + joined.data, tail.ended and joined.last == tail.head
