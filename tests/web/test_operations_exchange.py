"""Who says how they are, to whom, and for how long: instances on one store, whose time stands still."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from tailrace.errors import StoreUnavailable
from tailrace.hub import Framing, Subscription
from tailrace.log import Entry, MemoryStore, NewState, Position
from tailrace.testing import FakeClock
from tailrace.web.operations.exchange import LOG, Exchange, Order
from tests.hub.rig import ListSink, new_hub, passes, received, settle

pytestmark = pytest.mark.anyio


class SharedStore(MemoryStore):
    """A store that several instances share, and that may be away."""

    shared = True
    away = False

    async def publish(
        self, log: str, entries: Any, operation: str | None = None, state: NewState | None = None
    ) -> Position:
        if self.away:
            raise StoreUnavailable("away")
        return await super().publish(log, entries, operation, state)


class One:
    """An instance: it reports how often it has reported."""

    def __init__(self, name: str, store: MemoryStore, clock: FakeClock) -> None:
        self.name = name
        self.hub = new_hub(store, clock)
        self.reports = 0
        self.broken = False
        self.orders: list[Order] = []
        self.exchange = Exchange(self.hub, self, name, self.orders.append)

    def report(self) -> dict[str, Any]:
        if self.broken:
            raise LookupError("broken")
        self.reports += 1
        return {"id": self.name, "number": self.reports}

    def look(self, cursor: str | None = None) -> tuple[Subscription, ListSink]:
        reading, sink = self.exchange.read(cursor), ListSink()
        sink.taken += reading.prelude
        subscription = reading.begin(Framing.PLAIN)
        subscription.bind(sink)
        return subscription, sink


class Fleet:
    def __init__(self, store: MemoryStore, clock: FakeClock) -> None:
        self.store = store
        self.clock = clock
        self.a, self.b = One("a", store, clock), One("b", store, clock)

    async def passes(self, seconds: int) -> None:
        """Let time pass for both, tick by tick."""
        for _ in range(10 * seconds):
            self.clock.advance(0.1001)  # a tick and the error of its sum
            for one in (self.a, self.b):
                passes(one.hub, 0)
            await settle()


@asynccontextmanager
async def fleet_on(make: type[MemoryStore]) -> AsyncIterator[Fleet]:
    clock = FakeClock()
    fleet = Fleet(make(clock=clock), clock)
    async with AsyncExitStack() as stack:
        for one in (fleet.a, fleet.b):
            one.exchange.start()
            stack.push_async_callback(one.exchange.close)
        yield fleet


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    async with fleet_on(SharedStore) as fleet:
        yield fleet


def seen(sink: ListSink) -> list[tuple[str, int]]:
    """Who is seen to say what."""
    reports = [json.loads(event.data) for event in received(sink) if event.event != "ready"]
    return [(each["id"], each["number"]) for each in reports]


async def test_nobody_says_anything_while_nobody_looks(fleet: Fleet) -> None:
    await fleet.passes(10)
    assert fleet.a.reports == fleet.b.reports == 0
    assert await fleet.store.head(LOG) is None
    assert not len(fleet.a.hub.wheel)


async def test_whoever_looks_sees_all_of_them_once_a_second(fleet: Fleet) -> None:
    _, sink = fleet.a.look()
    await settle()
    assert seen(sink) == [("a", 1), ("b", 1)]
    await fleet.passes(2)
    assert sorted(seen(sink)) == [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("b", 2), ("b", 3)]


async def test_all_fall_silent_soon_after_the_last_one_has_looked_away(fleet: Fleet) -> None:
    one, _ = fleet.a.look()
    two, _ = fleet.b.look()
    await fleet.passes(2)
    one.on_closed("gone")
    await fleet.passes(10)
    assert min(fleet.a.reports, fleet.b.reports) >= 12, "b still looks"
    two.on_closed("gone")
    before = fleet.a.reports, fleet.b.reports
    await fleet.passes(10)
    assert fleet.a.reports <= before[0] + 5
    assert fleet.b.reports <= before[1] + 5
    for each in (fleet.a, fleet.b):
        assert not len(each.hub.wheel)
        assert not each.hub._tails
        assert not each.exchange.known


async def test_whoever_comes_later_gets_what_all_have_said_last_at_once(fleet: Fleet) -> None:
    fleet.a.look()
    await fleet.passes(3)
    _, sink = fleet.b.look()
    (ready,) = received(sink)
    assert sorted(each["id"] for each in json.loads(ready.data)["reports"]) == ["a", "b"]


async def test_whoever_comes_back_goes_on_where_they_were(fleet: Fleet) -> None:
    subscription, sink = fleet.a.look()
    await fleet.passes(1)
    subscription.on_closed("gone")
    last = received(sink)[-1].id
    await fleet.passes(1)
    _, again = fleet.a.look(last)
    await fleet.passes(1)
    assert json.loads(received(again)[0].data)["reports"] == []
    for name in "ab":
        numbers = [number for who, number in seen(sink) + seen(again) if who == name]
        assert numbers == [*range(1, len(numbers) + 1)]
        assert len(numbers) >= 3


@pytest.mark.parametrize("cursor", ["b-1", "{epoch}-999", "x", ""])
async def test_a_cursor_of_another_instance_or_of_none_begins_anew(fleet: Fleet, cursor: str) -> None:
    subscription, _ = fleet.a.look()
    await settle()
    _, sink = fleet.a.look(cursor.format(epoch=subscription.epoch))
    assert len(json.loads(received(sink)[0].data)["reports"]) == 2
    assert seen(sink) == []


async def test_while_the_store_is_away_those_who_look_here_see_what_is_here(fleet: Fleet) -> None:
    store = fleet.store
    assert isinstance(store, SharedStore)
    store.away = True
    _, sink = fleet.a.look()
    await fleet.passes(2)
    assert seen(sink) == [("a", 1), ("a", 2), ("a", 3)]
    assert not await fleet.a.exchange.order(Order("drain", "b"))
    store.away = False
    await fleet.passes(1)
    assert ("b", 1) in seen(sink)


async def test_an_order_is_heard_by_all_and_shown_to_nobody(fleet: Fleet) -> None:
    _, sink = fleet.a.look()
    await settle()
    order = Order("cancel", "run", owner="key:web", admin=True)
    assert await fleet.a.exchange.order(order)
    await settle()
    assert fleet.b.orders == [order]
    assert {event.event for event in received(sink)} == {"ready", "watched", "report"}


async def test_what_another_release_says_is_passed_over(fleet: Fleet) -> None:
    _, sink = fleet.a.look()
    for data in ("{", '{"id": 5}', "[]", None):
        await fleet.store.publish(LOG, (Entry("watched", data), Entry("order", data)))
    await settle()
    assert seen(sink) == [("a", 1), ("b", 1)]


async def test_a_process_that_cannot_say_how_it_is_goes_on_trying(fleet: Fleet) -> None:
    _, sink = fleet.a.look()
    await settle()
    fleet.a.broken = True
    await fleet.passes(2)
    fleet.a.broken = False
    await fleet.passes(1)
    assert ("a", 2) in seen(sink)


async def test_a_store_of_this_process_alone_is_told_nothing() -> None:
    async with fleet_on(MemoryStore) as fleet:
        _, sink = fleet.a.look()
        await fleet.passes(1)
        assert seen(sink) == [("a", 1), ("a", 2)]
        assert await fleet.store.head(LOG) is None
