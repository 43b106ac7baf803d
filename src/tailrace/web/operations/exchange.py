"""Where the processes that share a store tell each other how they are, while somebody looks, and pass orders on.

Who looks reads a log of this process's own, `tailrace:operations`, which no caller can name: what is said here and
what is heard from the others stands in it, so that the page works while the store is away. The others hear through a
log of the same name in the store. A process reports once a second while it has readers, and while another has some:
that one's reports say so. Nobody who has stopped looking keeps anything going, and while nobody looks nothing is said.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, Protocol

import msgspec

from tailrace.errors import StoreError
from tailrace.hub import EventRenderer, Hub, Reading, Tail, control
from tailrace.log import Entry, Position, Record, new_epoch
from tailrace.observe import BOUNDS

__all__ = ["LOG", "Exchange", "Order", "Reports"]

log = logging.getLogger("tailrace")

LOG: Final = "tailrace:operations"
"""In the store and here. A channel's log begins with `channel:`, a run's with `run:`."""

_PERIOD: Final = 0.9
"""Seconds between two reports; with the wheel's ticks that comes to one a second."""
_LOOKED_AT: Final = 3.5
"""Seconds for which one report of a process that has readers makes the others report: two of them may be lost."""
_PATIENCE: Final = 0.8
"""Seconds for the store to take a report. While it is away the page shows what is here, and at its usual pace."""
_RETRY: Final = 1000
_WATCHED: Final = "watched"
"""The event of a report from where somebody looks."""
_REPORT: Final = "report"
_ORDER: Final = "order"


class Reports(Protocol):
    """What says how this process is."""

    def report(self) -> dict[str, Any]:
        """Everything of this moment, in what JSON can carry; `id` is the process's name."""
        ...


class _Said(msgspec.Struct, frozen=True):
    """As much of a report as has to be known here."""

    id: str


class Order(msgspec.Struct, frozen=True):
    """What a process is to do: to `drain` (`target` is its name), or to `cancel` a run (`target` its beginning).

    `owner` is whose order it is, for a run that belongs to somebody; `admin` may cancel everybody's.
    """

    do: str
    target: str
    owner: str | None = None
    admin: bool = False


class Exchange:
    """This process's part in it, under the name `name`. `obey` is called with the orders that others give."""

    def __init__(self, hub: Hub, reporter: Reports, name: str, obey: Callable[[Order], None]) -> None:
        self._hub = hub
        self._reporter = reporter
        self._name = name
        self._obey = obey
        self._tail: Tail | None = None  # while somebody looks here, or did a moment ago
        self._newest: dict[str, tuple[float, str]] = {}  # of each process: when it was heard here, and what it said
        self._readers = 0
        self._until = 0.0  # till when it is as if somebody looked: elsewhere, or here once more
        self._reporting: asyncio.Task[None] | None = None
        self.slot = -1

    def start(self) -> None:
        """Begin to listen, in the running event loop."""
        if self._hub.store.shared:
            self._hub.store.follow(LOG, self)

    async def close(self) -> None:
        """Say no more."""
        if self._hub.store.shared:
            self._hub.store.unfollow(LOG, self)
        self._hub.wheel.cancel(self)
        if self._reporting is not None:
            self._reporting.cancel()
            await asyncio.wait((self._reporting,))
        self._let_go()

    @property
    def known(self) -> Collection[str]:
        """The processes that have reported lately."""
        return self._newest.keys()

    # Who looks.

    def read(self, cursor: str | None) -> Reading:
        """Begin to look; from `cursor` where that is of this process, else with what everybody said last."""
        tail = self._tail = self._tail or self._hub.produce(LOG, new_epoch(), "")
        self._readers += 1
        self._begin_reporting()
        after, prelude = self._begin(tail, cursor)
        return Reading(self._hub.share(tail), EventRenderer(), after, prelude, lasting=True, on_closed=self._leave)

    def _begin(self, tail: Tail, cursor: str | None) -> tuple[int, bytes]:
        told: dict[str, Any] = {"bounds": BOUNDS, "here": self._name, "reports": []}
        position = Position.parse(cursor) if cursor is not None else None
        if position is not None and position.epoch == tail.epoch and _holds(tail, position.offset):
            return position.offset, control("ready", told, position=position, retry=_RETRY)
        told["reports"] = [msgspec.json.decode(text) for _, text in self._newest.values()]
        return tail.head, control("ready", told, position=tail.position, retry=_RETRY)

    def _leave(self) -> None:
        self._readers -= 1
        self._until = self._now() + _LOOKED_AT  # who has lost the connection comes back

    def _let_go(self) -> None:
        tail, self._tail = self._tail, None
        self._newest.clear()
        if tail is not None:
            self._hub.close(tail)

    # What is said.

    def _now(self) -> float:
        return self._hub.clock.monotonic()

    def _begin_reporting(self) -> None:
        if self.slot < 0 and (seconds := self.on_timer(self._now())) is not None:
            self._hub.wheel.schedule(self, seconds)

    def on_timer(self, now: float) -> float | None:
        """Report, if somebody looks still."""
        if not self._readers and now >= self._until:
            self._let_go()
            return None
        if self._reporting is None or self._reporting.done():
            self._reporting = asyncio.create_task(self._report(), name="operations")
        return _PERIOD

    async def _report(self) -> None:
        await asyncio.sleep(0)  # what has come in this tick is delivered first, or all readers of it would seem behind
        self._forget_silent()
        try:
            text = msgspec.json.encode(self._reporter.report()).decode()
        except Exception:
            log.exception("this process could not say how it is")
            return
        event = _WATCHED if self._readers else _REPORT
        self._take(self._name, event, text)
        await self._tell(event, text)

    def _forget_silent(self) -> None:
        oldest = self._now() - _LOOKED_AT
        self._newest = {name: each for name, each in self._newest.items() if each[0] >= oldest}

    async def _tell(self, event: str, text: str) -> bool:
        """Tell the other processes, where there may be any; whether the store took it."""
        if not self._hub.store.shared:
            return False
        with contextlib.suppress(StoreError, TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self._hub.store.publish(LOG, (Entry(event, text),))
                return True
        return False

    def _take(self, name: str, event: str, text: str) -> None:
        """Show a report to those who look here, or do so again in a moment."""
        self._newest[name] = self._now(), text
        tail = self._tail
        if tail is not None:
            tail.append((Record(tail.head + 1, event, text, self._hub.clock.time()),))
            # Nobody reads it from a store: it is kept as long as this window goes.
            tail.on_stored(tail.head)

    # What is heard: this is a follower of the log in the store.

    def on_records(self, epoch: str, records: Sequence[Record], *, ends: bool = False) -> None:
        """Take what others say."""
        for record in records:
            try:
                self._hear(record.event, record.data or "")
            except msgspec.DecodeError:
                log.warning("another instance says of its operations what this release does not know: %.80r", record)

    def on_dropped(self, epoch: str) -> None:
        """Nothing that was said is needed again."""

    def _hear(self, event: str, text: str) -> None:
        if event == _ORDER:
            self._obey(msgspec.json.decode(text, type=Order))
            return
        said = msgspec.json.decode(text, type=_Said)
        if said.id == self._name:
            return
        self._take(said.id, event, text)
        if event == _WATCHED:
            self._until = self._now() + _LOOKED_AT
            self._begin_reporting()

    async def order(self, order: Order) -> bool:
        """Have another process do something; whether the store took the order."""
        return await self._tell(_ORDER, msgspec.json.encode(order).decode())


def _holds(tail: Tail, offset: int) -> bool:
    return offset <= tail.head and tail.since(offset) is not None
