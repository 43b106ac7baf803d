"""The memory store and its coordination."""

from __future__ import annotations

import pytest

from tailrace.log import Batch, Entry, MemoryCoordination, MemoryStore, Position, Retention
from tailrace.testing import FakeClock
from tests.log.state_contract import StateContract
from tests.log.store_contract import CoordinationContract, Ear, RetentionContract, StoreContract, records

pytestmark = pytest.mark.anyio


class TestMemoryStore(StoreContract):
    """Keeps what every store promises."""

    def new_store(self, clock: FakeClock, retention: Retention) -> MemoryStore:
        return MemoryStore(retention, clock)


class TestMemoryRetention(RetentionContract):
    """Bounds channels by count, bytes and age."""

    def new_store(self, clock: FakeClock, retention: Retention) -> MemoryStore:
        return MemoryStore(retention, clock)


class TestMemoryState(StateContract):
    """Keeps states."""

    def new_store(self, clock: FakeClock, retention: Retention) -> MemoryStore:
        return MemoryStore(retention, clock)


class TestMemoryCoordination(CoordinationContract):
    """Keeps what every coordination promises."""

    def new_coordination(self, clock: FakeClock) -> MemoryCoordination:
        return MemoryCoordination(clock)


async def test_records_carry_the_clocks_time() -> None:
    clock = FakeClock(5.5)
    store = MemoryStore(clock=clock)
    await store.publish("a", [Entry("", "x")])
    page = await store.read("a", 0, 1)
    assert page is not None
    assert page.records[0].at == 5.5


async def test_channels_that_fell_silent_are_forgotten_while_others_are_used() -> None:
    clock = FakeClock()
    store = MemoryStore(Retention(age=60), clock)
    for number in range(1000):
        await store.ensure(f"tried once {number}")
        await store.publish(f"said once {number}", [Entry("", "x")])
    clock.advance(200)
    for _ in range(2100):
        await store.publish("busy", [Entry("", "x")])
    assert list(store._logs) == ["busy"]


async def test_a_channel_without_events_keeps_its_epoch_for_a_while_even_without_an_age() -> None:
    clock = FakeClock()
    store = MemoryStore(Retention(age=None), clock)
    head = await store.ensure("a")
    clock.advance(60)
    await store.ensure("b")
    assert await store.head("a") == head


async def test_a_channel_that_somebody_follows_is_not_forgotten() -> None:
    clock = FakeClock()
    store = MemoryStore(Retention(age=60), clock)
    head = await store.ensure("a")
    store.follow("a", Ear())
    clock.advance(1000)
    for _ in range(10):
        await store.ensure("b")
    assert await store.head("a") == head


async def test_runs_past_their_keeping_are_forgotten_while_others_begin() -> None:
    clock = FakeClock()
    store = MemoryStore(clock=clock)
    for number in range(100):
        await store.create(f"r{number}", "e", "")
        await store.append([Batch(f"r{number}", "e", records(1, 3), ends=True, keep=10)])
    clock.advance(20)
    for number in range(60):
        await store.create(f"new{number}", "e", "")
    assert all(log.startswith("new") for log in store._logs)


async def test_whoever_follows_a_run_that_was_forgotten_hears_of_it_when_it_begins_anew() -> None:
    clock = FakeClock()
    store = MemoryStore(clock=clock)
    ear = Ear()
    store.follow("r", ear)
    await store.create("r", "e", "")
    await store.append([Batch("r", "e", records(1, 1), ends=True, keep=1)])
    clock.advance(2)
    assert await store.head("r") is None
    await store.create("r", "f", "")
    await store.append([Batch("r", "f", records(1, 1))])
    assert ear.has(Position("f", 1))


async def test_operations_are_remembered_for_about_as_many_events_as_are_kept() -> None:
    store = MemoryStore(Retention(events=10))
    first = await store.publish("a", [Entry("", "x")], "first")
    for number in range(9):
        await store.publish("a", [Entry("", "x")], str(number))
    assert await store.publish("a", [Entry("", "x")], "first") == first
    await store.publish("a", [Entry("", "x")], "one more")
    assert (await store.publish("a", [Entry("", "x")], "first")).offset == 12


async def test_a_store_that_was_closed_holds_nothing() -> None:
    store = MemoryStore()
    await store.publish("a", [Entry("", "x")])
    await store.close()
    assert await store.head("a") is None


async def test_names_that_ran_out_are_forgotten_while_others_are_claimed() -> None:
    clock = FakeClock()
    coordination = MemoryCoordination(clock)
    for number in range(100):
        await coordination.claim(f"old {number}", "x", 1)
    clock.advance(2)
    for number in range(60):
        await coordination.claim(f"new {number}", "x", 100)
    assert len(coordination._names) == 60
