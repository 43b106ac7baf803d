"""Whatever happens in whatever order, every reader gets the log in order or is told what it missed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from random import Random
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailrace.errors import StoreUnavailable
from tailrace.hub import Framing, Hub, Subscription
from tailrace.log import Entry, Position, Retention
from tailrace.sse import Event
from tailrace.testing import FakeClock
from tests.hub.rig import Journal, ListSink, SlowStore, new_hub, passes, read_on, received, settle
from tests.support.small import small_hub

LOG = "channel:a"

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 12)),
        st.tuples(st.just("publish"), st.integers(1, 12)),
        st.tuples(st.just("publish at once"), st.integers(1, 5)),
        st.tuples(st.just("drop"), st.just(0)),
        st.tuples(st.just("open"), st.integers(0, 100)),
        st.tuples(st.just("open"), st.integers(0, 100)),
        st.tuples(st.just("drain"), st.integers(0, 9)),
        st.tuples(st.just("drain"), st.integers(0, 9)),
        st.tuples(st.just("leave"), st.integers(0, 9)),
        st.tuples(st.just("time"), st.integers(1, 20)),
        st.tuples(st.just("time"), st.just(11)),
        st.tuples(st.just("turns"), st.integers(0, 30)),
        st.tuples(st.just("turns"), st.integers(0, 30)),
    ),
    max_size=30,
)


class RestlessClock(FakeClock):
    """A clock by which a look may take longer than a slice of delivering, so that others come in between."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self.random = random

    def monotonic(self) -> float:
        """Look."""
        self.advance(self.random.choice([0.0, 0.0, 0.01]))
        return super().monotonic()


class Reader:
    """A subscription under test: where it began, and what its sink got."""

    def __init__(self, random: Random) -> None:
        self.only = frozenset({"tick"}) if random.random() < 0.4 else frozenset[str]()
        self.sink = ListSink(random.choice(list(Framing)), self._appetite)
        self.random = random
        self.greedy = random.random() < 0.3
        self.start = Position("", 0)
        self.subscription: Subscription | None = None
        self.left = False

    def _appetite(self) -> int:
        return 1 << 60 if self.greedy else self.random.choice([0, 1, 5, 40, 200, 1 << 60])

    async def begin(self, hub: Hub, part: int) -> None:
        """Read on from `part` percent of the log, as soon as the store has answered."""
        while True:
            try:
                tail = await hub.open(LOG, create=True)
            except StoreUnavailable:
                continue
            if tail is not None:
                break
        self.start = Position(tail.epoch, tail.head * part // 100)
        # This does not wait, since the tail is here: the start is of the same epoch.
        self.subscription = await read_on(hub, LOG, self.sink, self.start.offset, only=tuple(self.only))
        hub.close(tail)


class World:
    """A hub over a slow store, its readers, and the truth."""

    def __init__(self, seed: int, retention: Retention) -> None:
        self.random = Random(seed)
        self.clock = RestlessClock(self.random)
        self.store = SlowStore(self.random, retention, self.clock)
        self.store.away = self.random.choice([0.0, 0.3])
        self.store.holes = self.random.choice([0.0, 0.3])
        self.store.short = self.random.choice([0.0, 0.5])
        self.hub = new_hub(self.store, self.clock, heartbeat=10, write_timeout=1e9)
        self.journal = Journal(self.store.epochs)
        self.readers: list[Reader] = []
        self.opening: list[asyncio.Task[None]] = []

    async def do(self, step: str, number: int) -> None:
        """Have something happen."""
        match step:
            case "publish":
                await self.publish(number)
            case "publish at once":
                for _ in range(number):
                    await self.publish(1)
            case "drop":
                await self.store.drop(LOG)
            case "open":
                reader = Reader(self.random)
                self.readers.append(reader)
                self.opening.append(asyncio.create_task(reader.begin(self.hub, number)))
            case "drain" if number < len(self.readers):
                self.readers[number].sink.drain(self.random.choice([1, 10, 1 << 60]))
            case "leave" if number < len(self.readers):
                self.leave(self.readers[number])
            case "time":
                passes(self.hub, number)
            case "turns":
                await settle(number)
        assert self.hub.shelf.bytes <= 6000 or len(self.hub.shelf) == 1

    async def publish(self, count: int) -> None:
        """Publish some events, a few of them large."""
        entries = [
            Entry(self.random.choice(["tick", "other"]), "x" * self.random.choice([0, 3, 90, 700]))
            for _ in range(count)
        ]
        self.journal.publish(await self.store.publish(LOG, entries), entries)

    def leave(self, reader: Reader) -> None:
        """Have a reader's peer go away."""
        if reader.subscription is not None and not reader.left:
            reader.left = True
            reader.subscription.on_closed("gone")

    async def calm(self) -> None:
        """Have everything heard, taken and read."""
        self.store.away = self.store.holes = 0.0
        await asyncio.gather(*self.opening)
        await self.publish(1)
        while True:
            for reader in self.readers:
                reader.greedy = True
                reader.sink.drain()
            await settle(2)
            if all(self.through(reader) for reader in self.readers):
                return

    def through(self, reader: Reader) -> bool:
        """Whether a reader has everything there is."""
        subscription, (epoch, last) = reader.subscription, self.end
        if reader.left or subscription is None or subscription.closed:
            return True
        return (subscription.epoch, subscription.cursor) == (epoch, last) and not reader.sink.queued

    @property
    def end(self) -> Position:
        """Where the log ends."""
        epoch = self.journal.epochs[-1]
        return Position(epoch, len(self.journal.said[epoch]))


@pytest.fixture(autouse=True, scope="module")
def small() -> Iterator[None]:
    with small_hub():
        yield


async def live(seed: int, retention: Retention, steps: list[tuple[str, int]]) -> None:
    """Let the steps happen, then hold what every reader got against what happened."""
    world = World(seed, retention)
    for step, number in steps:
        await world.do(step, number)
    await asyncio.wait_for(world.calm(), 10)
    page = await world.store.read(LOG, 0, 1)
    assert page is not None
    end = world.end
    for reader in world.readers:
        assert not reader.sink.aborted
        at = world.journal.check(reader.start, received_whole(reader), reader.only, page.head.first)
        if not reader.left:
            assert at.epoch == end.epoch
            assert not world.journal.shown(end.epoch, at.offset, end.offset, reader.only), "the last events are missing"
    await settle(200)  # news that come late are looked into
    check_bounds(world.hub)
    for reader in world.readers:
        world.leave(reader)
    await settle()
    assert_nothing_left(world.hub)


def received_whole(reader: Reader) -> list[Event]:
    """What the peer of a reader gets, as far as it stayed for it: of one that left, the last frame may be cut."""
    if reader.left and reader.sink.framing is Framing.CHUNKED:
        return []
    return list(received(reader.sink))


def check_bounds(hub: Hub) -> None:
    """What a log holds in memory is bounded by constants, whatever its readers did."""
    for tail in hub._tails.values():
        assert len(tail._window) <= 5
        assert not tail._pages
        assert tail._early is None
        for view in tail._views.values():
            assert len(view._joins) <= 4
    assert not len(hub.shelf)
    assert hub.shelf.bytes == hub.shelf.readers == 0


def assert_nothing_left(hub: Hub) -> None:
    """Readers who left leave nothing behind."""
    assert not hub.subscriptions
    assert not hub._tails
    assert len(hub.wheel) == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


RETENTIONS = st.builds(
    Retention, events=st.sampled_from([3, 20, 1000]), bytes=st.just(1_000_000), age=st.sampled_from([None, 30.0])
)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 1 << 32), RETENTIONS, STEPS)
def test_every_reader_gets_the_log_in_order_or_is_told_what_it_missed(
    seed: int, retention: Retention, steps: list[tuple[str, int]]
) -> None:
    with mock.patch("tailrace.hub.tail.FEW", seed % 4):
        asyncio.run(live(seed, retention, steps))
