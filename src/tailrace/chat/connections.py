"""The connections of this process to one provider: which are open, which are free, and for how long.

How many there may be is not decided here but by the places of each `Upstream`: a pool would queue unseen and
for ever. There are never more than places, but for the second in which an answer's body ends.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from tailrace.chat import failures
from tailrace.chat.dialing import Dialer, Origin
from tailrace.chat.places import NO_QUEUE, Queue

if TYPE_CHECKING:
    from tailrace.chat.connection import Connection

__all__ = ["Connections"]

_LINGER = 1.0
"""Seconds that a finished answer gets to end its body, so that the connection can be used again."""
_IDLE: Final = 15.0
"""Seconds that a free connection is kept. Its other end closes it at some time too, and a request may be on its way."""


class Receiving(Protocol):
    """An answer being received."""

    def cut(self) -> None:
        """Fail whoever waits in it."""
        ...


class Connections:
    """The connections of this process to one provider, made in the loop that first uses them.

    `queue` is the line in which each of its endpoints lets those wait whom it has no place for.
    """

    def __init__(self, queue: Queue = NO_QUEUE) -> None:
        self.queue = queue
        self.exchanges: set[Receiving] = set()
        """The answers being received, so that `close` can tell those who wait in them."""
        self.closings = 0
        """How often these were closed: whoever waited over one has nothing to go on with."""
        self._dialers: dict[Origin, Dialer] = {}
        self._free: dict[Origin, list[Connection]] = {}
        self._open: dict[Connection, Origin] = {}
        self._lingering: dict[Connection, asyncio.TimerHandle] = {}
        self._sweep: asyncio.TimerHandle | None = None

    @property
    def open(self) -> int:
        """Return how many there are, free or not."""
        return len(self._open)

    def free(self, origin: Origin) -> Connection | None:
        """Take a free connection, the one used last: the others may be closed sooner."""
        free = self._free.get(origin)
        while free:
            connection = free.pop()
            if connection.usable:
                return connection
            connection.close()
        return None

    async def dial(self, origin: Origin) -> Connection:
        """Open a new connection. Raises `OSError`; a `ProviderError` where these were closed meanwhile."""
        dialer = self._dialers.get(origin)
        if dialer is None:
            dialer = self._dialers[origin] = Dialer(origin)
        closings = self.closings
        connection = await dialer.dial(self._lost)
        if closings != self.closings:
            connection.close()
            raise failures.closed_here()
        if connection.gone:
            raise ConnectionResetError
        self._open[connection] = origin
        return connection

    def release(self, connection: Connection) -> None:
        """Take a connection back whose answer was received, or is not wanted any more."""
        if not connection.usable or connection not in self._open:
            connection.close()
            return
        connection.forget()
        connection.idle_since = connection.loop.time()
        self._free.setdefault(self._open[connection], []).append(connection)
        if self._sweep is None:
            self._sweep = connection.loop.call_later(_IDLE, self._close_idle, connection.loop)

    def linger(self, connection: Connection) -> None:
        """Let a connection whose answer is complete end its body by itself, then take it back."""
        self._lingering[connection] = connection.loop.call_later(_LINGER, self._give_up, connection)
        connection.on_done = lambda: self._ended(connection)

    async def close(self) -> None:
        """Close every connection; who waits for an answer learns that it was cut. A later use opens new ones."""
        self.closings += 1
        for exchange in tuple(self.exchanges):
            exchange.cut()
        for connection in tuple(self._lingering):
            self._give_up(connection)
        for connection in tuple(self._open):
            connection.fail(failures.closed_here())
            connection.close()
        self._open.clear()
        self._free.clear()
        self._dialers.clear()
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    def _ended(self, connection: Connection) -> None:
        timer = self._lingering.pop(connection, None)
        if timer is not None:
            timer.cancel()
            self.release(connection)

    def _give_up(self, connection: Connection) -> None:
        self._lingering.pop(connection).cancel()
        connection.on_done = None
        connection.close()

    def _lost(self, connection: Connection) -> None:
        origin = self._open.pop(connection, None)
        free = self._free.get(origin, []) if origin is not None else []
        if connection in free:
            free.remove(connection)

    def _close_idle(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweep = None
        oldest = loop.time() - _IDLE
        for origin, free in self._free.items():
            for connection in free:
                if connection.idle_since <= oldest:
                    connection.close()
            self._free[origin] = [connection for connection in free if connection.idle_since > oldest]
        left = [connection.idle_since for free in self._free.values() for connection in free]
        if left:
            self._sweep = loop.call_later(min(left) + _IDLE - loop.time() + 1, self._close_idle, loop)
