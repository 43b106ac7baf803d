"""What the hub's tests put around it: sinks that take what they like, a store that is slow, a reader's own view."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from tailrace.errors import StoreUnavailable
from tailrace.hub import Consumer, EventRenderer, Framing, Hub, HubOptions, Reading, Subscription
from tailrace.log import Entry, Follower, Head, MemoryStore, Page, Position, Record, Retention
from tailrace.log.memory import MemoryLog
from tailrace.observe import Counters
from tailrace.sse import Decoder, Event
from tailrace.testing import FakeClock

__all__ = ["Journal", "ListSink", "SlowStore", "body", "counted", "new_hub", "passes", "read_on", "received", "settle"]

EVERYTHING = 1 << 60


class ListSink:
    """Takes bytes into `taken`, as many at a write as `appetite` says; what is queued waits for `drain`.

    It holds its caller to the rules: nothing is written while it is full, nothing at all after the end.
    """

    def __init__(self, framing: Framing = Framing.PLAIN, appetite: Callable[[], int] = lambda: EVERYTHING) -> None:
        self.framing = framing
        self.appetite = appetite
        self.taken = bytearray()
        self.queued = bytearray()
        self.writes: list[bytes] = []
        self.ready = True
        self.finished = False
        self.aborted = False
        self.settled = 0
        self.dead = False
        self.consumer: Consumer | None = None
        self.acknowledges: Callable[[int], int] = lambda taken: taken

    def bind(self, consumer: Consumer) -> None:
        """Remember who feeds it."""
        self.consumer = consumer

    def write(self, data: bytes) -> int:
        """Take some of it."""
        assert self.ready, "written to while full"
        assert not self.finished, "written to after the end"
        assert data, "an empty write"
        if self.dead:
            raise BrokenPipeError
        count = min(self.appetite(), len(data))
        if count == 0:
            raise BlockingIOError
        self.writes.append(data)
        self.taken += data[:count]
        return count

    def queue(self, rest: bytes | memoryview) -> bool:
        """Take the rest, and be full."""
        assert not self.finished, "queued after the end"
        self.queued += rest
        self.ready = False
        return False

    def backlog(self) -> int:
        """What was queued and is not taken yet, and what was and is not acknowledged."""
        return len(self.queued) + len(self.taken) - self.acknowledged()

    def acknowledged(self) -> int:
        """What the peer has of it, by what `acknowledges` says."""
        return self.acknowledges(len(self.taken))

    def settle(self) -> None:
        """Count it."""
        self.settled += 1

    def finish(self) -> None:
        """Note the end."""
        assert not self.finished
        self.finished = True

    def abort(self) -> None:
        """Note the cut."""
        self.aborted = True
        self.finished = True

    def drain(self, count: int = EVERYTHING) -> None:
        """Take `count` bytes of what is queued; room again once it is all gone."""
        self.taken += self.queued[:count]
        del self.queued[:count]
        if not self.queued and not self.ready:
            self.ready = True
            if self.consumer is not None and not self.finished:
                self.consumer.on_writable()

    @property
    def all(self) -> bytes:
        """What the peer has, or will have."""
        return bytes(self.taken + self.queued)


def body(data: bytes) -> tuple[bytes, bool]:
    """Take the chunks of HTTP/1.1 off, strictly; the body, and whether its last chunk came."""
    pieces: list[bytes] = []
    while data:
        head, _, rest = data.partition(b"\r\n")
        size = int(head, 16)
        assert head == b"%x" % size
        assert len(rest) >= size + 2, "a chunk is torn"
        assert rest[size : size + 2] == b"\r\n"
        if size == 0:
            assert rest == b"\r\n", "something came after the last chunk"
            return b"".join(pieces), True
        pieces.append(rest[:size])
        data = rest[size + 2 :]
    return b"".join(pieces), False


def received(sink: ListSink) -> list[Event]:
    """The events that a sink's peer reads."""
    data = sink.all if sink.framing is Framing.PLAIN else body(sink.all)[0]
    return Decoder().receive(data)


class SlowStore(MemoryStore):
    """A memory store as if over a network: calls take some turns of the loop, and may fail.

    Followers hear late, sometimes twice, and (with `holes`) not of everything until `holes` is turned off.
    """

    def __init__(self, random: Random, retention: Retention | None = None, clock: FakeClock | None = None) -> None:
        super().__init__(retention, clock or FakeClock())
        self.random = random
        self.away = 0.0  # how likely a read fails
        self.holes = 0.0  # how likely a follower does not hear
        self.short = 0.0  # how likely a page has fewer records than there are
        self.reads = 0
        self.epochs: list[str] = []
        """All epochs there ever were, in their order; the tests use one log."""
        self._relays: dict[tuple[str, Follower], Relay] = {}

    def _add(self, log: str, fresh: MemoryLog) -> MemoryLog:
        self.epochs.append(fresh.epoch)
        return super()._add(log, fresh)

    async def _turns(self) -> None:
        for _ in range(self.random.choice([0, 0, 1, 3, 12])):
            await asyncio.sleep(0)

    async def head(self, log: str) -> Head | None:
        """Look, slowly."""
        await self._turns()
        head = await super().head(log)
        await self._turns()
        return head

    async def ensure(self, log: str) -> Head:
        """Look, slowly."""
        await self._turns()
        head = await super().ensure(log)
        await self._turns()
        return head

    async def read(self, log: str, after: int, limit: int) -> Page | None:
        """Read, slowly."""
        self.reads += 1
        await self._turns()
        if self.random.random() < self.away:
            raise StoreUnavailable("away")
        page = await super().read(log, after, limit)
        if page is not None and page.records and self.random.random() < self.short:
            page = replace(page, records=page.records[: self.random.randint(1, len(page.records))])
        await self._turns()
        return page

    def follow(self, log: str, follower: Follower) -> None:
        """Tell `follower`, late."""
        relay = self._relays[log, follower] = Relay(self, follower)
        super().follow(log, relay)

    def unfollow(self, log: str, follower: Follower) -> None:
        """Tell it no more."""
        relay = self._relays.pop((log, follower), None)
        if relay is not None:
            relay.over = True
            super().unfollow(log, relay)


class Relay:
    """Passes on what a store tells, in order but late."""

    def __init__(self, store: SlowStore, follower: Follower) -> None:
        self.store = store
        self.follower = follower
        self.over = False
        self.waiting: deque[Callable[[], None]] = deque()

    def on_records(self, epoch: str, records: Sequence[Record], *, ends: bool = False) -> None:
        """Pass on records, or some of them twice."""
        self._late(lambda: self.follower.on_records(epoch, records, ends=ends))
        if self.store.random.random() < 0.2:
            self._late(lambda: self.follower.on_records(epoch, records, ends=ends))

    def on_dropped(self, epoch: str) -> None:
        """Pass on a new epoch."""
        self._late(lambda: self.follower.on_dropped(epoch))

    def _late(self, say: Callable[[], None]) -> None:
        if self.store.random.random() < self.store.holes:
            return
        self.waiting.append(say)
        asyncio.get_running_loop().call_soon(self._after, self.store.random.choice([0, 1, 4, 15]))

    def _after(self, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._after, turns - 1)
        elif not self.over:
            self.waiting.popleft()()


def new_hub(store: MemoryStore | None = None, clock: FakeClock | None = None, **options: Any) -> Hub:
    """A hub whose time is `clock`."""
    clock = clock or FakeClock()
    return Hub(store or MemoryStore(clock=clock), HubOptions(**options), clock=clock)


def passes(hub: Hub, seconds: float) -> None:
    """Let time pass for a hub's timers."""
    assert isinstance(hub.clock, FakeClock)
    hub.clock.advance(seconds)
    hub.wheel.advance()


def counted(hub: Hub, name: str, label: str | None = None) -> float:
    """What a hub counted, of one label's value alone where that is given."""
    assert isinstance(hub.meter, Counters)
    sums = hub.meter.snapshot().sums
    return sum(value for (each, labels), value in sums.items() if each == name and label in (None, *labels))


async def read_on(
    hub: Hub, log: str, sink: ListSink, after: int | None = None, *, only: Sequence[str] = (), lasting: bool = True
) -> Subscription:
    """Feed `sink` with a channel past the offset `after`, else with what comes from now on."""
    tail = await hub.open(log, create=True)
    assert tail is not None
    renderer = EventRenderer(frozenset(only))
    reading = Reading(tail, renderer, tail.head if after is None else after, lasting=lasting)
    subscription = reading.begin(Framing.PLAIN)
    subscription.bind(sink)
    return subscription


async def settle(turns: int = 20) -> None:
    """Let everything that is under way come to its end."""
    for _ in range(turns):
        await asyncio.sleep(0)


class Journal:
    """What really happened to a channel, against which what readers got is held."""

    def __init__(self, epochs: Sequence[str]) -> None:
        self.epochs = epochs
        self.said: defaultdict[str, list[Entry]] = defaultdict(list)

    def publish(self, position: Position, entries: Sequence[Entry]) -> None:
        """Note what was published."""
        said = self.said[position.epoch]
        said += entries
        assert len(said) == position.offset

    def shown(self, epoch: str, after: int, upto: int, only: frozenset[str]) -> list[int]:
        """The offsets that a reader is to be shown of (after, upto]."""
        said = self.said[epoch]
        return [i for i in range(after + 1, upto + 1) if not only or said[i - 1].event in only]

    def check(self, start: Position, events: Sequence[Event], only: frozenset[str], first: int) -> Position:
        """Hold a reader's events against what happened; where it stands now.

        Every event is the next one that it is to be shown, or says what it missed.
        """
        epoch, cursor = start
        for event in events:
            position = Position.parse(event.id)
            assert position is not None
            if event.event == "gap":
                missed = json.loads(event.data)["missed"]
                if missed is None:
                    assert self.epochs.index(position.epoch) > self.epochs.index(epoch), "back to an older history"
                    assert position.offset == 0
                else:
                    assert position.epoch == epoch
                    assert 0 < missed <= position.offset - cursor
                    assert not self.shown(epoch, cursor, position.offset - missed, only), "more was missed than said"
                    assert epoch != self.epochs[-1] or position.offset < first, "what is said to be missed is there"
            elif event.event == "cursor":
                assert position.epoch == epoch
                assert position.offset > cursor
                assert not self.shown(epoch, cursor, position.offset, only), "what was not shown is passed over"
            else:
                assert position.epoch == epoch
                assert self.shown(epoch, cursor, position.offset, only) == [position.offset], "lost or repeated"
                assert (event.event, event.data) == self.said[epoch][position.offset - 1]
            epoch, cursor = position
        return Position(epoch, cursor)
