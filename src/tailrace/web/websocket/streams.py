"""What is followed over one WebSocket: each channel and each run has a subscription, as if it were alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final, TypeAlias

from tailrace.access.limits.place import Place
from tailrace.asgi.socket import Outlet, SocketSink
from tailrace.hub import Reading, Subscription
from tailrace.web.problems import Problem
from tailrace.web.websocket.views import ChannelFrames, RunFrames, prelude

__all__ = ["MOST_STREAMS", "Name", "Streams"]

MOST_STREAMS: Final = 256
"""Of one WebSocket: what may wait in the server for one that is full is an event of each."""

Name: TypeAlias = tuple[str, str]
"""A `channel` or a `run`, and which."""


class Streams:
    """The open streams of one WebSocket. `broke` hears of one that ended before its log did; `ended` of every end.

    `reader` is what operators call whoever reads.
    """

    def __init__(self, outlet: Outlet, broke: Callable[[Name], None], ended: Callable[[], None], reader: str) -> None:
        self._outlet = outlet
        self._reader = reader
        self._broke = broke
        self._ended = ended
        self._open: dict[Name, tuple[Subscription, SocketSink]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, name: Name) -> bool:
        return name in self._open

    def check_new(self, name: Name) -> None:
        """Refuse what is followed already. Raises `Problem`."""
        if name in self._open:
            detail = f"This connection follows the {name[0]} {name[1]} already; unsubscribe first."
            raise Problem(409, "already_subscribed", detail)

    def check_room(self) -> None:
        """Refuse one too many. Raises `Problem`."""
        if len(self._open) >= MOST_STREAMS:
            raise Problem(409, "too_many_subscriptions", f"One connection follows at most {MOST_STREAMS} streams.")

    def open(self, name: Name, reading: Reading, view: ChannelFrames | RunFrames, place: Place | None) -> None:
        """Begin to follow. `place` is what the stream counts as, until it is over."""
        first = prelude(view, reading.prelude)
        subscription = replace(reading, renderer=view, prelude=b"").begin(SocketSink.framing)
        subscription.reader = self._reader
        sink = SocketSink(self._outlet, partial(self._on_over, name))
        self._open[name] = subscription, sink
        subscription.also(partial(self._forget, name, subscription))
        if place is not None:
            subscription.also(place.keep())
        if first:
            self._outlet.say(first)
        subscription.bind(sink)

    def close(self, name: Name) -> None:
        """Follow it no longer. Raises `Problem` where it is not followed."""
        if name not in self._open:
            raise Problem(404, "not_subscribed", f"This connection does not follow the {name[0]} {name[1]}.")
        subscription, sink = self._open[name]
        sink.leave()
        subscription.on_closed("gone")

    def close_all(self) -> None:
        """Follow nothing any more: the client is gone."""
        for name in tuple(self._open):
            self.close(name)

    def _forget(self, name: Name, subscription: Subscription) -> None:
        if name in self._open and self._open[name][0] is subscription:
            del self._open[name]
            if not self._open:
                self._outlet.settle(streaming=False)
            self._ended()

    def _on_over(self, name: Name, complete: bool) -> None:
        if not complete:
            self._broke(name)
