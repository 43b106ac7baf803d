"""The newest part of a log: following, filling holes, producing."""

from __future__ import annotations

import asyncio
import json
import logging
from random import Random

import pytest

from tailrace.errors import StoreError, StoreUnavailable
from tailrace.hub import EventRenderer, Framing, Hub, Reading, Tail
from tailrace.hub.pages import PAGE
from tailrace.hub.window import RUN_WINDOW, WINDOW
from tailrace.log import RESERVED, Batch, Entry, Head, MemoryStore, Page, Record, Retention
from tailrace.log.backoff import Backoff
from tailrace.testing import FakeClock
from tests.hub.rig import ListSink, SlowStore, new_hub, read_on, received, settle
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio

LOG = "channel:a"
MANY = Retention(events=10_000)


def run_records(first: int, last: int) -> list[Record]:
    """Records of a run."""
    return [Record(offset, "", str(offset), 0.0) for offset in range(first, last + 1)]


async def opened(hub: Hub, log: str = LOG) -> Tail:
    """The tail of a log, begun if need be."""
    tail = await hub.open(log, create=True)
    assert tail is not None
    return tail


def held(tail: Tail) -> list[int]:
    """The offsets in the window."""
    return [record.offset for record in tail._window._records]


class Deaf(MemoryStore):
    """A memory store of which followers hear only what is passed on by hand."""

    def __init__(self) -> None:
        super().__init__(MANY)
        self.failures: list[Exception] = []
        self.reads = 0

    def follow(self, log: str, follower: object) -> None:
        """Tell nobody."""

    async def read(self, log: str, after: int, limit: int) -> Page | None:
        """Read, or fail."""
        self.reads += 1
        if self.failures:
            raise self.failures.pop(0)
        return await super().read(log, after, limit)

    async def tell(self, tail: Tail, offset: int) -> None:
        """Pass on one record."""
        page = await super().read(tail.log, offset - 1, 1)
        assert page is not None
        tail.on_records(page.head.epoch, page.records)


async def test_a_tail_holds_the_newest_records_of_the_store() -> None:
    hub = new_hub(MemoryStore(MANY))
    await hub.store.publish(LOG, [Entry("", "x")] * 1000)
    tail = await opened(hub)
    assert held(tail) == list(range(1001 - WINDOW, 1001))
    assert tail.since(1000 - WINDOW) is not None
    assert tail.since(999 - WINDOW) is None
    for after in (1000, 2000):
        past = tail.since(after)
        assert past is not None
        assert not list(past)
    assert tail.position == (tail.epoch, 1000)


async def test_what_is_told_twice_or_in_part_again_is_taken_once() -> None:
    store = Deaf()
    hub = new_hub(store)
    tail = await opened(hub)
    sink = ListSink()
    await read_on(hub, LOG, sink)
    await store.publish(LOG, [Entry("", str(i)) for i in range(1, 7)])
    page = await store.read(LOG, 0, 10)
    assert page is not None
    for first, last in [(0, 2), (0, 2), (1, 4), (0, 1), (2, 6), (0, 6)]:
        tail.on_records(tail.epoch, page.records[first:last])
    await settle()
    assert [event.data for event in received(sink)] == list("123456")
    hub.wheel.close()


async def test_a_hole_is_filled_from_the_store_before_anything_after_it_is_shown() -> None:
    store = Deaf()
    hub, sink = new_hub(store), ListSink()
    tail = await opened(hub)
    await read_on(hub, LOG, sink)
    await store.publish(LOG, [Entry("", str(i)) for i in range(1, 3 * PAGE)])
    await store.tell(tail, 1)
    await store.tell(tail, 3 * PAGE - 1)
    await settle()
    assert [int(event.data) for event in received(sink)] == list(range(1, 3 * PAGE))
    hub.wheel.close()


@pytest.mark.parametrize("failure", [StoreUnavailable("away"), ZeroDivisionError("a bug")])
async def test_a_hole_is_filled_even_if_the_store_fails_at_first(
    failure: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Backoff, "wait", lambda self: 0.0)
    store = Deaf()
    hub, sink = new_hub(store), ListSink()
    tail = await opened(hub)
    await read_on(hub, LOG, sink)
    await store.publish(LOG, [Entry("", str(i)) for i in range(1, 6)])
    store.failures = [failure] * 5
    with caplog.at_level(logging.CRITICAL):
        await store.tell(tail, 4)
        await eventually(lambda: len(received(sink)) == 5)
    await store.publish(LOG, [Entry("", "6")])
    await store.tell(tail, 6)
    await settle()
    assert len(received(sink)) == 6
    hub.wheel.close()


async def test_what_is_told_while_a_hole_is_read_is_bounded_and_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backoff, "wait", lambda self: 0.0)
    store = Deaf()
    hub, sink = new_hub(store), ListSink()
    tail = await opened(hub)
    await read_on(hub, LOG, sink)
    await store.publish(LOG, [Entry("", str(i)) for i in range(1, 6)])
    store.failures = [StoreUnavailable("away")] * 1000
    await store.tell(tail, 4)
    for number in range(6, 6 + 3 * PAGE):
        await store.publish(LOG, [Entry("", str(number))])
        page = await MemoryStore.read(store, LOG, number - 1, 1)
        assert page is not None
        tail.on_records(page.head.epoch, page.records)
        assert len(tail._early or ()) <= PAGE
    store.failures.clear()
    await eventually(lambda: len(received(sink)) == 5 + 3 * PAGE)
    hub.wheel.close()


async def test_news_of_an_epoch_that_is_over_lead_nobody_back_to_it() -> None:
    store = Deaf()
    hub, sink = new_hub(store), ListSink()
    tail = await opened(hub)
    await read_on(hub, LOG, sink)
    old = tail.epoch
    new = (await store.drop(LOG)).epoch
    await store.publish(LOG, [Entry("", "new")])
    tail.on_dropped(new)
    await settle()
    tail.on_records(old, run_records(1, 3))
    tail.on_dropped(old)
    await settle()
    assert tail.epoch == new
    assert [(event.event, event.data) for event in received(sink)][1:] == [("message", "new")]
    hub.wheel.close()


async def test_a_run_that_grows_and_ends_while_it_is_opened_is_read_to_its_end() -> None:
    class Growing(MemoryStore):
        async def head(self, log: str) -> Head | None:
            head = await super().head(log)
            if head is not None and not head.ended and head.last:
                await self.append([Batch(log, "r", run_records(head.last + 1, 900), ends=True)])
            return head

        def follow(self, log: str, follower: object) -> None:
            """Tell nobody: as if all of it was lost on the way."""

    store = Growing()
    await store.create("run:r", "r", "")
    await store.append([Batch("run:r", "r", run_records(1, 10))])
    hub, sink = new_hub(store), ListSink(Framing.CHUNKED)
    tail = await hub.open("run:r")
    assert tail is not None
    assert tail.ended
    Reading(tail, EventRenderer(), 0).begin(Framing.CHUNKED).bind(sink)
    await settle(50)
    assert [int(event.data) for event in received(sink)] == list(range(1, 901))
    assert sink.all.endswith(b"\r\n0\r\n\r\n")
    assert sink.finished


async def test_a_reader_behind_reads_no_further_than_the_tail_has_heard() -> None:
    store = Deaf()
    await store.create("run:r", "r", "")
    await store.append([Batch("run:r", "r", run_records(1, 300))])
    hub, sink = new_hub(store), ListSink(Framing.CHUNKED)
    tail = await hub.open("run:r")
    assert tail is not None
    await store.append([Batch("run:r", "r", run_records(301, 310), ends=True)])
    Reading(tail, EventRenderer(), 0).begin(Framing.CHUNKED).bind(sink)
    await settle(50)
    assert [int(event.data) for event in received(sink)] == list(range(1, 301))
    tail.on_records("r", run_records(310, 310), ends=True)
    await settle(50)
    assert [int(event.data) for event in received(sink)] == list(range(1, 311))
    assert sink.all.endswith(b"\r\n0\r\n\r\n")
    assert sink.finished


async def test_a_log_has_not_ended_for_a_reader_before_its_last_record_is_here() -> None:
    store = SlowStore(Random(5), MANY)
    await store.create("run:r", "r", "")
    hub, sink = new_hub(store), ListSink(Framing.CHUNKED)
    tail = await hub.open("run:r")
    assert tail is not None
    Reading(tail, EventRenderer(), 0).begin(Framing.CHUNKED).bind(sink)
    store.holes = 0.5
    for first in range(1, 400, 10):
        await store.append([Batch("run:r", "r", run_records(first, first + 9))])
        await settle(1)
    store.holes = 0.0
    await store.append([Batch("run:r", "r", run_records(401, 401), ends=True)])
    await eventually(lambda: sink.finished)
    assert [int(event.data) for event in received(sink)] == list(range(1, 402))
    assert not sink.aborted


async def test_a_history_that_was_trimmed_to_nothing_unread_is_passed_over_and_told() -> None:
    clock = FakeClock()
    store = SlowStore(Random(7), Retention(age=30), clock)
    hub, sink = new_hub(store, clock), ListSink()
    await read_on(hub, LOG, sink)
    store.holes = 1.0
    await store.publish(LOG, [Entry("", "x")] * 8)
    clock.advance(40)
    store.holes = 0.0
    await store.drop(LOG)
    store.holes = 1.0
    await store.publish(LOG, [Entry("", "x")] * 8)
    clock.advance(40)
    tail = await opened(hub)
    await eventually(lambda: tail.head == 8)
    await settle(50)
    assert [json.loads(event.data)["missed"] for event in received(sink)] == [None, 8]
    hub.wheel.close()


async def test_a_store_whose_pages_do_not_reach_its_own_head_is_not_asked_for_ever() -> None:
    class Lagging(MemoryStore):
        async def read(self, log: str, after: int, limit: int) -> Page | None:
            page = await super().read(log, after, limit)
            return page and Page(page.head, ())

    store = Lagging()
    hub = new_hub(store)
    await store.publish(LOG, [Entry("", "x")])
    with pytest.raises(StoreError, match="nothing past 0"):
        await hub.open(LOG)
    assert not hub._tails


async def test_what_the_store_has_not_got_yet_stays_in_memory() -> None:
    hub = new_hub()
    tail = hub.produce("run:r", "r", "")
    for number in range(1, 501):
        tail.append(run_records(number, number))
        await settle(1)
    assert held(tail) == list(range(1, 501))
    tail.on_stored(400)
    assert held(tail)[0] == 401
    tail.on_stored(500)
    assert held(tail) == list(range(501 - RUN_WINDOW, 501))
    hub.close(tail)


async def test_few_large_records_are_held_less_long_than_many_small_ones() -> None:
    hub = new_hub(MemoryStore(MANY))
    tail = await opened(hub)
    for _ in range(20):
        await hub.store.publish(LOG, [Entry("", "x" * 20_000)])
        await settle(2)
    assert held(tail) == [18, 19, 20]
    await hub.store.publish(LOG, [Entry("", "x" * 200_000)])
    await settle(2)
    assert held(tail) == [21]


async def test_a_burst_is_shown_from_memory_however_large_it_is() -> None:
    store = SlowStore(Random(6), MANY)
    hub, sink = new_hub(store), ListSink()
    await read_on(hub, LOG, sink)
    reads = store.reads
    await store.publish(LOG, [Entry("", "x" * 100)] * 3000)
    await settle(50)
    assert len(received(sink)) == 3000
    assert store.reads == reads
    (tail,) = hub._tails.values()
    assert len(held(tail)) <= WINDOW
    hub.wheel.close()


async def test_a_closed_tail_reads_no_more() -> None:
    store, tasks = Deaf(), asyncio.all_tasks()
    hub = new_hub(store)
    tail = await opened(hub)
    await store.publish(LOG, [Entry("", "x")] * 5)
    store.failures = [StoreUnavailable("away")] * 1000
    await store.tell(tail, 5)
    await settle()
    hub.close(tail)
    await settle()
    assert asyncio.all_tasks() == tasks


# An end that its producer did not write.


def end_of(offset: int) -> list[Record]:
    """An end above everything."""
    return [Record(offset + 1, "error", "{}", 0.0), Record(offset + 2, "done", "", 0.0)]


@pytest.mark.parametrize("readers", [1, 20])
async def test_who_has_everything_goes_over_the_hole_before_such_an_end_and_misses_nothing(readers: int) -> None:
    hub, sinks = new_hub(), [ListSink() for _ in range(readers)]
    tail = hub.produce("run:a", "e", "")
    tail.append(run_records(1, 3))
    for sink in sinks:
        await read_on(hub, "run:a", sink, 0, lasting=False)
    tail.append(end_of(RESERVED), ends=True)
    await settle()
    for sink in sinks:
        assert [event.event for event in received(sink)] == ["message"] * 3 + ["error", "done"]
        assert sink.finished


async def test_a_hole_within_what_is_appended_together_is_found_as_well() -> None:
    tail = new_hub().produce("run:a", "e", "")
    tail.append([*run_records(1, 3), *end_of(RESERVED)], ends=True)
    assert [tail.over(offset) for offset in (0, 2, 3, 4, RESERVED)] == [0, 2, RESERVED, 4, RESERVED]


async def test_waiting_for_a_tail_ends_with_what_is_waited_for_or_with_the_time() -> None:
    tail = new_hub().produce("run:a", "e", "")
    waiting = [asyncio.create_task(tail.wait_for(lambda: tail.head >= 2, 5)) for _ in range(3)]
    await settle()
    waiting[0].cancel()
    tail.append(run_records(1, 1))
    await settle()
    assert not waiting[1].done()
    tail.append(run_records(2, 2))
    assert await asyncio.gather(*waiting[1:]) == [True, True]
    assert not await tail.wait_for(lambda: tail.ended, 0.01)
    assert await tail.wait_for(lambda: True, 0)
