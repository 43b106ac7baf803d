"""Whatever happens in whatever order, a reader of several channels gets each in order, or is told what it missed."""

from __future__ import annotations

import asyncio
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from random import Random
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.channels import Channels
from tailrace.errors import StoreUnavailable
from tailrace.hub import Framing, Hub, SeveralReading, Subscription
from tailrace.log import Entry, Position, Retention
from tailrace.log.content import as_json, is_json, name_of
from tailrace.log.memory import MemoryLog
from tailrace.log.positions import Positions, positions_in
from tailrace.sse import Decoder, Event
from tailrace.testing import FakeClock
from tests.hub.rig import Journal, ListSink, SlowStore, body, new_hub, passes, settle
from tests.support.small import small_hub

NAMES = "abc"
EXAMPLES = 2000 if os.environ.get("TAILRACE_CHAOS") else 100
OFTEN = "aaabbc"
SETS = ("a", "ab", "ba", "ab", "ba", "abc")

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 12)),
        st.tuples(st.just("publish"), st.integers(1, 12)),
        st.tuples(st.just("publish"), st.integers(1, 3)),
        st.tuples(st.just("burst"), st.integers(1, 8)),
        st.tuples(st.just("drop"), st.just(0)),
        st.tuples(st.just("open"), st.integers(0, 100)),
        st.tuples(st.just("open"), st.integers(0, 100)),
        st.tuples(st.just("come back"), st.integers(0, 9)),
        st.tuples(st.just("come back"), st.integers(0, 9)),
        st.tuples(st.just("drain"), st.integers(0, 9)),
        st.tuples(st.just("drain"), st.integers(0, 9)),
        st.tuples(st.just("leave"), st.integers(0, 9)),
        st.tuples(st.just("time"), st.integers(1, 20)),
        st.tuples(st.just("time"), st.just(11)),
        st.tuples(st.just("turns"), st.integers(0, 30)),
        st.tuples(st.just("turns"), st.integers(0, 30)),
    ),
    min_size=20,
    max_size=80,
)


class Logs(SlowStore):
    """A slow store that remembers which epochs each log had."""

    def __init__(self, random: Random, retention: Retention, clock: FakeClock) -> None:
        super().__init__(random, retention, clock)
        self.epochs_of: defaultdict[str, list[str]] = defaultdict(list)

    def _add(self, log: str, fresh: MemoryLog) -> MemoryLog:
        self.epochs_of[log].append(fresh.epoch)
        return super()._add(log, fresh)


class Reader:
    """A reader under test: what it asked for, what it was told first, and what its sink got."""

    def __init__(self, random: Random, channels: str, cursor: str | None) -> None:
        self.channels = channels
        self.cursor = cursor
        self.only = frozenset({"tick"}) if random.random() < 0.4 else frozenset[str]()
        self.sink = ListSink(random.choice(list(Framing)), self._appetite)
        self.random = random
        self.greedy = random.random() < 0.3
        self.prelude = b""
        self.place = Positions()
        self.subscription: Subscription | None = None
        self.left = False

    def _appetite(self) -> int:
        return 1 << 60 if self.greedy else self.random.choice([0, 1, 5, 40, 200, 1 << 60])

    async def begin(self, hub: Hub, *, earliest: bool) -> None:
        """Read, as soon as the store has answered."""
        while True:
            try:
                reading = await Channels(hub).read_several(
                    self.channels, self.cursor, earliest=earliest, only=self.only
                )
                break
            except StoreUnavailable:
                continue
        assert isinstance(reading, SeveralReading)
        self.prelude, self.place = reading.prelude, reading.place
        await settle(self.random.choice([0, 2, 9]))
        self.subscription = reading.begin(Framing.PLAIN)
        if self.random.random() < 0.5:  # as an answer does, which sends some with its head
            joined = self.subscription.first()
            self.prelude += joined.data if joined is not None else b""
        await settle(self.random.choice([0, 2, 30]))
        self.subscription.bind(self.sink)

    @property
    def events(self) -> list[Event]:
        """What its client has read, the first event included."""
        data = self.sink.all if self.sink.framing is Framing.PLAIN else body(self.sink.all)[0]
        return list(Decoder().receive(self.prelude + data)) if self.prelude else []

    @property
    def last_id(self) -> str | None:
        """The id that its client comes back with."""
        ids = [event.id for event in self.events if event.id]
        return ids[-1] if ids else self.cursor


class World:
    """A hub over a slow store, its readers, and the truth."""

    def __init__(self, seed: int, retention: Retention) -> None:
        self.random = Random(seed)
        self.clock = FakeClock()
        self.store = Logs(self.random, retention, self.clock)
        self.store.away = self.random.choice([0.0, 0.3])
        self.store.holes = self.random.choice([0.0, 0.3])
        self.store.short = self.random.choice([0.0, 0.5])
        self.hub = new_hub(self.store, self.clock, heartbeat=10, write_timeout=1e9)
        self.journals = {name: Journal(self.store.epochs_of[f"channel:{name}"]) for name in NAMES}
        self.kinds: defaultdict[str, list[bool]] = defaultdict(list)
        self.readers: list[Reader] = []
        self.opening: list[asyncio.Task[None]] = []

    async def do(self, step: str, number: int) -> None:
        """Have something happen."""
        match step:
            case "publish":
                await self.publish(self.random.choice(OFTEN), number)
            case "burst":
                for _ in range(number):
                    await self.publish(self.random.choice(OFTEN), 1)
                    await settle(self.random.choice([0, 0, 3]))
            case "drop":
                await self.store.drop(f"channel:{self.random.choice(OFTEN)}")
            case "open":
                self.open(None, earliest=number % 2 == 0)
            case "come back" | "drain" | "leave":
                for reader in self.readers[number : number + 1]:
                    self.do_with(reader, step)
            case "time":
                passes(self.hub, number)
            case "turns":
                await settle(number)

    def do_with(self, reader: Reader, step: str) -> None:
        """Have a reader do something."""
        if step == "drain":
            reader.sink.drain(self.random.choice([1, 10, 1 << 60]))
        elif step == "leave":
            self.leave(reader)
        elif not (reader.left and reader.sink.framing is Framing.CHUNKED):
            self.open(reader.last_id, earliest=False)

    def open(self, cursor: str | None, *, earliest: bool) -> None:
        """Have somebody begin to read."""
        reader = Reader(self.random, self.random.choice(SETS), cursor)
        self.readers.append(reader)
        self.opening.append(asyncio.create_task(reader.begin(self.hub, earliest=earliest)))

    async def publish(self, name: str, count: int) -> None:
        """Publish some events, a few of them large, some of them text that looks like JSON."""
        entries = []
        for _ in range(count):
            event = self.random.choice(["tick", "other"])
            text = "x" * self.random.choice([0, 3, 90, 700])
            entries.append(self.random.choice([Entry(event, text), Entry(event, "5"), Entry(as_json(event), "5")]))
        position = await self.store.publish(f"channel:{name}", entries)
        self.journals[name].publish(position, [Entry(name_of(event), data) for event, data in entries])
        self.kinds[position.epoch] += [is_json(event) for event, _ in entries]

    def leave(self, reader: Reader) -> None:
        """Have a reader's peer go away."""
        if reader.subscription is not None and not reader.left:
            reader.left = True
            reader.subscription.on_closed("gone")

    async def calm(self) -> None:
        """Have everything heard, taken and read."""
        self.store.away = self.store.holes = 0.0
        await asyncio.gather(*self.opening)
        for name in NAMES:
            await self.publish(name, 1)
        while not all(map(self.through, self.readers)):
            for reader in self.readers:
                reader.greedy = True
                reader.sink.drain()
            await settle(2)

    def through(self, reader: Reader) -> bool:
        """Whether a reader is in step with a head that has everything."""
        subscription = reader.subscription
        if reader.left or subscription is None or subscription.closed:
            return True
        tail = subscription.view.tail
        heads = [self.end(name) for name in sorted(set(reader.channels))]
        there = list(getattr(tail, "positions", ())) == heads
        return there and subscription.cursor == tail.head and not reader.sink.queued

    def end(self, name: str) -> Position:
        """Where a channel ends."""
        journal = self.journals[name]
        return Position(journal.epochs[-1], len(journal.said[journal.epochs[-1]]))

    # Holding what a reader got against what happened.

    def check(self, reader: Reader, firsts: dict[str, int]) -> None:
        """Each channel's events are the next that it is to be shown, or say what was missed of it."""
        names = sorted(set(reader.channels))
        places = dict(zip(names, self.begin(reader), strict=True))
        for event in reader.events[1:]:
            now = dict(zip(names, Positions.parse(event.id), strict=True))
            moved = [name for name in names if now[name] != places[name]]
            data = json.loads(event.data)
            own = data.get("channel")
            assert own in moved or event.event == "cursor"
            assert reader.only or event.event == "cursor" or moved == [own], "what is not shown is passed over"
            for name in moved:
                places[name] = self.journals[name].check(
                    places[name], [self.alone(event, data, name, now[name])], reader.only, firsts[name]
                )
        if not reader.left:
            for name in names:
                end, at = self.end(name), places[name]
                assert at.epoch == end.epoch
                assert not self.journals[name].shown(end.epoch, at.offset, end.offset, reader.only), (
                    "the end is missing"
                )

    def alone(self, event: Event, data: dict[str, object], name: str, at: Position) -> Event:
        """An event as a reader of its channel alone would have got it."""
        if data.get("channel") != name:  # what comes of others has moved the position past what is hidden
            return Event("{}", "cursor", str(at))
        if event.event == "gap":
            return Event(json.dumps(data), "gap", str(at))
        value = data["data"]
        # A number is told from a text that looks like one.
        assert isinstance(value, str) != self.kinds[at.epoch][at.offset - 1]
        return Event(value if isinstance(value, str) else json.dumps(value), event.event, str(at))

    def begin(self, reader: Reader) -> Positions:
        """Where a reader began, which must be what it was told."""
        (first, *_) = reader.events
        told = json.loads(first.data)
        if reader.cursor is None:
            assert (first.event, told) == ("ready", {"channels": list(dict.fromkeys(reader.channels))})
            assert first.id == str(reader.place)
            return reader.place
        known = positions_in(reader.cursor)
        assert known is not None
        assert (first.event, sorted(told["channels"])) == ("resume", sorted(set(reader.channels)))
        assert told["recovered"] == all(each["recovered"] for each in told["channels"].values()) == (not first.id)
        if first.id:
            assert first.id == str(reader.place)
        for name, at in zip(sorted(told["channels"]), reader.place, strict=True):
            verdict, part = told["channels"][name], known.get(at.epoch)
            match verdict["reason"]:
                case "ok":
                    assert part == at
                case "trimmed":
                    assert part is not None
                    assert at.offset == part.offset + verdict["missed"]
                case reason:
                    assert (reason, part) == ("unknown", None)
        return reader.place


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
    firsts = {}
    for name in NAMES:
        page = await world.store.read(f"channel:{name}", 0, 1)
        assert page is not None
        firsts[name] = page.head.first
    for reader in world.readers:
        assert not reader.sink.aborted or reader.left  # it may leave before it has a sink
        if not (reader.left and reader.sink.framing is Framing.CHUNKED):
            world.check(reader, firsts)
    await settle(200)
    for reader in world.readers:
        world.leave(reader)
    await settle()
    assert not world.hub.subscriptions
    assert not world.hub._tails
    assert not world.hub._confluences
    assert len(world.hub.wheel) == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


RETENTIONS = st.builds(
    Retention, events=st.sampled_from([3, 20, 1000]), bytes=st.just(1_000_000), age=st.sampled_from([None, 30.0])
)


@settings(max_examples=EXAMPLES)
@given(st.integers(0, 1 << 32), RETENTIONS, STEPS)
def test_every_reader_gets_each_channel_in_order_or_is_told_what_it_missed(
    seed: int, retention: Retention, steps: list[tuple[str, int]]
) -> None:
    with mock.patch("tailrace.hub.tail.FEW", seed % 4):
        asyncio.run(live(seed, retention, steps))
