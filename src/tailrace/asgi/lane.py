"""The direct lane, as the two sides of it see each other.

A server that can hand a connection over puts a `Lane` into `scope["extensions"]` under `EXTENSION`.
The application offers a subscription with the very bytes object that it is about to send as its first
body message. If that object arrives at the server, nothing in between changed the stream, and the
server hands the connection to the hub; if something else arrives, the offer is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from tailrace.hub import Sink

__all__ = ["EXTENSION", "Lane", "Offer"]

EXTENSION = "tailrace.direct"


class Offer:
    """A subscription offered to the server with its first bytes."""

    __slots__ = ("_waiter", "accept", "first", "lasting", "outcome")

    def __init__(self, first: bytes, accept: Callable[[Sink], None], *, lasting: bool) -> None:
        self.first = first
        self.accept = accept
        self.lasting = lasting
        """Whether the stream has no end of its own, so that the connection serves no second request."""
        self.outcome: bool | None = None
        self._waiter: asyncio.Future[None] | None = None

    def decide(self, outcome: bool) -> None:
        """Say what became of it; only the first word counts."""
        if self.outcome is None:
            self.outcome = outcome
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(None)

    async def decided(self, patience: float) -> bool:
        """What became of it. Middleware that holds everything back for `patience` seconds has refused it."""
        if self.outcome is None:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await asyncio.wait_for(self._waiter, patience)
            except TimeoutError:
                self.decide(outcome=False)
        return bool(self.outcome)


class Lane(Protocol):
    """What a server offers for one request."""

    def offer(self, offer: Offer) -> None:
        """Take an offer, before the answer's head is sent."""
        ...

    def hold(self) -> None:
        """Have the answer's head leave with its first bytes, which follow it at once: they are all there is."""
        ...
