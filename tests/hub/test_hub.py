"""Tails and subscriptions of a process: opening, fan-out, fairness."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import pytest

from tailrace.errors import StoreUnavailable
from tailrace.hub import EventRenderer, Framing, Hub, HubOptions, Reading, Tail
from tailrace.log import Entry, Head, MemoryStore, Record, Retention
from tailrace.testing import FakeClock
from tests.hub.rig import ListSink, SlowStore, counted, new_hub, passes, read_on, received, settle
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio

LOG = "channel:a"


class GatedStore(MemoryStore):
    """A store that answers when `gate` is open, and then fails if `broken`."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.broken = False
        self.heads = 0

    async def head(self, log: str) -> Head | None:
        """Look, once the gate is open."""
        self.heads += 1
        await self.gate.wait()
        if self.broken:
            raise StoreUnavailable("away")
        return await super().head(log)

    async def ensure(self, log: str) -> Head:
        """Look, once the gate is open."""
        await self.head(log)
        return await super().ensure(log)


# Opening.


async def test_a_log_that_is_not_there_has_no_tail_and_leaves_none() -> None:
    hub = new_hub()
    assert await asyncio.gather(*[hub.open("run:gone") for _ in range(3)]) == [None] * 3
    assert not hub._tails
    assert not hub.store._waiting  # type: ignore[attr-defined]


async def test_a_log_that_is_not_there_yet_can_be_opened_once_it_is() -> None:
    hub = new_hub()
    assert await hub.open("run:r") is None
    await hub.store.create("run:r", "r", "meta")
    tail = await hub.open("run:r")
    assert tail is not None
    assert (tail.epoch, tail.meta, tail.head, tail.ended) == ("r", "meta", 0, False)
    hub.close(tail)


async def test_those_who_open_a_log_at_once_share_one_look_and_one_tail() -> None:
    store = GatedStore()
    hub = new_hub(store)
    opening = [asyncio.create_task(hub.open(LOG, create=True)) for _ in range(5)]
    await settle()
    store.gate.set()
    tails = await asyncio.gather(*opening)
    assert store.heads == 1
    assert len(set(tails)) == 1
    for tail in tails:
        assert tail is not None
        hub.close(tail)
    assert not hub._tails


async def test_a_store_that_is_away_is_said_to_everyone_who_waits_and_asked_anew_by_the_next() -> None:
    store = GatedStore()
    hub = new_hub(store)
    store.broken = True
    opening = [asyncio.create_task(hub.open(LOG, create=True)) for _ in range(3)]
    await settle()
    store.gate.set()
    assert [type(error) for error in await asyncio.gather(*opening, return_exceptions=True)] == [StoreUnavailable] * 3
    assert not hub._tails
    store.broken = False
    assert await hub.open(LOG, create=True) is not None


async def test_the_first_who_waits_may_leave_without_harm_to_the_others() -> None:
    store = GatedStore()
    hub = new_hub(store)
    first, second = [asyncio.create_task(hub.open(LOG, create=True)) for _ in range(2)]
    await settle()
    first.cancel()
    await settle()
    store.gate.set()
    tail = await second
    assert tail is not None
    assert tail.users == 1


async def test_when_all_who_wait_leave_nothing_is_left() -> None:
    store, tasks = GatedStore(), asyncio.all_tasks()
    hub = new_hub(store)
    opening = [asyncio.create_task(hub.open(LOG, create=True)) for _ in range(2)]
    await settle()
    for task in opening:
        task.cancel()
    await settle()
    assert not hub._tails
    assert not store._waiting
    assert asyncio.all_tasks() == tasks


async def test_a_run_that_is_produced_here_is_found_without_asking_the_store() -> None:
    hub = new_hub(GatedStore())
    tail = hub.produce("run:r", "r", "")
    assert await hub.open("run:r") is tail


# Fan-out.


async def test_what_is_published_in_one_turn_leaves_in_one_write() -> None:
    hub, sink = new_hub(), ListSink()
    await read_on(hub, LOG, sink)
    for _ in range(10):
        await hub.store.publish(LOG, [Entry("", "x")])
    await settle()
    assert len(sink.writes) == 1
    assert len(received(sink)) == 10
    hub.wheel.close()


async def test_readers_at_the_same_place_get_the_very_same_bytes() -> None:
    hub, sinks = new_hub(), [ListSink() for _ in range(100)]
    for sink in sinks:
        await read_on(hub, LOG, sink)
    for _ in range(3):
        await hub.store.publish(LOG, [Entry("", "x")] * 5)
        await settle()
    for written in zip(*[sink.writes for sink in sinks], strict=True):
        assert len({id(data) for data in written}) == 1
    hub.wheel.close()


async def test_a_record_is_rendered_once_for_all_who_see_the_same() -> None:
    rendered: list[int] = []

    class Counting(EventRenderer):
        def render(self, epoch: str, records: Sequence[Record]) -> list[bytes]:
            rendered.extend([record.offset for record in records])
            return super().render(epoch, records)

    hub, renderer = new_hub(), Counting()
    for _ in range(50):
        tail = await hub.open(LOG, create=True)
        assert tail is not None
        Reading(tail, renderer, tail.head).begin(Framing.PLAIN).bind(ListSink())
    for _ in range(20):
        await hub.store.publish(LOG, [Entry("", "x")])
        await settle(3)
    assert rendered == list(range(1, 21))
    hub.wheel.close()


async def test_those_who_come_back_together_share_one_reading_of_the_history() -> None:
    store = SlowStore(Random(3), Retention(events=10_000))
    hub, sinks = new_hub(store), [ListSink() for _ in range(500)]
    await store.publish(LOG, [Entry("", "x")] * 600)
    tail = await hub.open(LOG)
    assert tail is not None
    before = store.reads
    for number, sink in enumerate(sinks):
        await read_on(hub, LOG, sink, 300 + number % 20)
    await settle(50)
    assert [len(received(sink)) for sink in sinks] == [300 - number % 20 for number in range(500)]
    assert store.reads - before <= 2
    hub.wheel.close()


async def test_a_reader_that_takes_nothing_changes_nothing_for_the_others() -> None:
    hub = new_hub(write_timeout=1e6)
    stuck, sinks = ListSink(appetite=lambda: 0), [ListSink() for _ in range(10)]
    for sink in (*sinks[:5], stuck, *sinks[5:]):
        await read_on(hub, LOG, sink)
    for number in range(500):
        await hub.store.publish(LOG, [Entry("", "x" * 1000)])
        await settle(2)
        assert all(len(sink.writes) == number + 1 for sink in sinks)
    (tail,) = hub._tails.values()
    assert len(tail._window) <= 128
    assert len(stuck.queued) < 1200
    hub.wheel.close()


class TickingClock(FakeClock):
    """A clock by which each look takes a millisecond."""

    def monotonic(self) -> float:
        """Look."""
        self.advance(0.001)
        return super().monotonic()


async def test_delivery_to_very_many_lets_others_have_their_turn() -> None:
    hub = new_hub(clock=TickingClock())
    sinks = [ListSink() for _ in range(2000)]
    for sink in sinks:
        await read_on(hub, LOG, sink)
    await hub.store.publish(LOG, [Entry("", "x")])
    turns = 0
    while not all(sink.writes for sink in sinks):
        turns += 1
        await asyncio.sleep(0)
    assert turns > 5
    await settle(50)
    assert all(len(sink.writes) == 1 for sink in sinks)
    hub.wheel.close()


@pytest.mark.parametrize("framing", Framing)
async def test_a_heartbeat_that_is_cut_in_the_middle_of_a_long_delivery_is_whole_before_the_event(
    framing: Framing,
) -> None:
    hub = new_hub(clock=TickingClock(), heartbeat=10)
    sinks = [ListSink(framing) for _ in range(1000)]
    for sink in sinks:
        await read_on(hub, LOG, sink)
    await hub.store.publish(LOG, [Entry("", "x")])
    await eventually(lambda: sinks[0].writes)
    slow = sinks[-1]
    assert not slow.writes
    slow.appetite = lambda: 4
    passes(hub, 11)
    assert slow.taken == slow.all[:4]
    slow.appetite = lambda: 1 << 60
    await settle(100)
    slow.drain()
    await settle()
    assert [event.data for event in received(slow)] == ["x"]
    assert not slow.aborted
    hub.wheel.close()


async def test_who_comes_in_the_middle_of_a_long_delivery_gets_everything_once() -> None:
    hub = new_hub(clock=TickingClock())
    sinks = [ListSink() for _ in range(500)]
    for sink in sinks:
        await read_on(hub, LOG, sink)
    late: list[ListSink] = []
    for _ in range(20):
        await hub.store.publish(LOG, [Entry("", "x")])
        late.append(ListSink())
        await read_on(hub, LOG, late[-1], 0)
    await settle(200)
    assert all(len(received(sink)) == 20 for sink in (*sinks, *late))
    hub.wheel.close()


async def test_a_log_whose_delivery_fails_keeps_no_other_from_being_delivered(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, sinks = new_hub(), [ListSink(), ListSink()]
    await read_on(hub, LOG, sinks[0])
    await read_on(hub, "channel:b", sinks[1])
    deliver = Tail.deliver

    def failing(tail: Tail) -> Iterator[None]:
        yield
        if tail.log == LOG:
            raise ZeroDivisionError
        yield from deliver(tail)

    monkeypatch.setattr(Tail, "deliver", failing)
    with caplog.at_level(logging.ERROR):
        await hub.store.publish(LOG, [Entry("", "x")])
        await hub.store.publish("channel:b", [Entry("", "x")])
        await settle()
    assert len(received(sinks[1])) == 1
    hub.wheel.close()


# Leaving.


async def test_whoever_is_still_here_can_be_cut() -> None:
    hub, sinks = new_hub(), [ListSink() for _ in range(3)]
    for sink in sinks:
        await read_on(hub, LOG, sink)
    hub.abort_all()
    assert all(sink.aborted for sink in sinks)
    assert not hub.subscriptions
    assert not hub._tails
    assert counted(hub, "streams.ended", "leaving") == counted(hub, "streams.opened") == 3


async def test_idle_readers_cost_a_heartbeat_each_and_no_task() -> None:
    hub, sinks, tasks = new_hub(heartbeat=10), [ListSink() for _ in range(100)], asyncio.all_tasks()
    for sink in sinks:
        await read_on(hub, LOG, sink)
    await settle()
    assert asyncio.all_tasks() == tasks
    passes(hub, 11)
    assert all(len(sink.writes) == 1 for sink in sinks)
    hub.wheel.close()


@pytest.mark.parametrize("options", [{"heartbeat": 0.0}, {"write_timeout": 0.0}])
def test_options_that_would_spin_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        HubOptions(**options)


def test_a_hub_needs_no_running_loop_to_be_made() -> None:
    assert not Hub(MemoryStore()).subscriptions
