"""Reading what the tail does not hold: each page once, and not more of it than is used."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tailrace.errors import StoreUnavailable
from tailrace.hub import EventRenderer, Framing, Hub, Reading, Subscription, Tail
from tailrace.hub.pages import PAGE, Place
from tailrace.hub.shelf import PAGE_BYTES, READINGS, SHELF_BYTES
from tailrace.log import Entry, MemoryStore, Page, Retention
from tailrace.log.backoff import Backoff
from tailrace.log.record import size_of
from tests.hub.rig import ListSink, new_hub, read_on, received, settle
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio

LOG = "channel:a"
LARGE = 50_000


class Ledger(MemoryStore):
    """A memory store that notes what is read, and can keep its readers waiting. A page has about `most` bytes."""

    def __init__(self, most: int = 1 << 60) -> None:
        super().__init__(Retention(events=10_000, bytes=None))
        self.gate = asyncio.Event()
        self.gate.set()
        self.most = most
        self.reads: list[tuple[int, int]] = []
        """After which offset, and how many bytes came."""
        self.under_way = self.most_under_way = 0
        self.failures: list[Exception] = []

    async def read(self, log: str, after: int, limit: int) -> Page | None:
        """Read, noting it."""
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        page = await super().read(log, after, limit)
        await self.gate.wait()
        self.under_way -= 1
        if self.failures:
            raise self.failures.pop(0)
        while page is not None and len(page.records) > 1 and size_of(page.records) > self.most:
            page = replace(page, records=page.records[:-1])
        self.reads.append((after, size_of(page.records) if page is not None else 0))
        return page

    async def fill(self, count: int, size: int) -> None:
        """Publish events of that size."""
        for _ in range(count):
            await self.publish(LOG, [Entry("", "x" * size)])

    @property
    def bytes(self) -> int:
        """All that was read."""
        return sum(size for _, size in self.reads)


async def opened(hub: Hub) -> Tail:
    """The tail, with nothing noted of its opening."""
    tail = await hub.open(LOG, create=True)
    assert tail is not None
    store = hub.store
    assert isinstance(store, Ledger)
    store.reads.clear()
    return tail


def stuck() -> ListSink:
    """A sink that takes one frame at a time, and then nothing until it is drained."""
    return ListSink(appetite=lambda: 1)


async def drained(sinks: Sequence[ListSink], until: int) -> None:
    """Drain slowly until every sink's peer has that many events."""
    async with asyncio.timeout(10):
        while any(sink.all.count(b"\n\n") < until for sink in sinks):
            for sink in sinks:
                sink.drain()
            await settle(3)


async def test_what_a_slow_reader_reads_of_large_events_is_read_once() -> None:
    store = Ledger()
    hub, sink = new_hub(store), stuck()
    await store.fill(120, LARGE)
    await opened(hub)
    await read_on(hub, LOG, sink, 0)
    await drained([sink], 120)
    assert store.bytes <= 120 * (LARGE + 64)
    assert max(size for _, size in store.reads) <= PAGE_BYTES
    assert not len(hub.shelf)
    hub.wheel.close()


async def test_what_slow_readers_all_over_a_log_read_of_large_events_is_read_about_once_for_each() -> None:
    store = Ledger()
    hub, sinks = new_hub(store), [stuck() for _ in range(20)]
    await store.fill(120, LARGE)
    await opened(hub)
    for number, sink in enumerate(sinks):
        await read_on(hub, LOG, sink, number)
    await drained(sinks, 30)
    assert hub.shelf.bytes <= SHELF_BYTES
    assert store.bytes <= 20 * 40 * LARGE  # each has got 30 to 40 of them
    hub.abort_all()
    await settle()
    assert (len(hub.shelf), hub.shelf.bytes, hub.shelf.readers) == (0, 0, 0)
    hub.wheel.close()


async def test_readers_near_each_other_read_the_same_pages_however_far_apart_in_time() -> None:
    store = Ledger()
    hub, sinks = new_hub(store), [stuck() for _ in range(20)]
    await store.fill(2 * PAGE, 10)
    await opened(hub)
    for number, sink in enumerate(sinks):
        await read_on(hub, LOG, sink, number)
        await settle(5)
    assert [after for after, _ in store.reads] == [0]
    hub.abort_all()
    hub.wheel.close()


async def test_a_page_is_let_go_with_the_last_reader_in_it() -> None:
    store = Ledger()
    hub, sinks = new_hub(store), [stuck(), stuck()]
    await store.fill(3 * PAGE, 100)
    await opened(hub)
    readers = [await read_on(hub, LOG, sink, 0) for sink in sinks]
    await settle()
    assert len(hub.shelf) == 1
    readers[0].on_closed("gone")
    await settle()
    assert len(hub.shelf) == 1
    readers[1].on_closed("gone")
    await settle()
    assert len(hub.shelf) == 0
    hub.wheel.close()


async def test_a_page_that_falls_short_of_its_reader_is_read_anew_from_its_place() -> None:
    store = Ledger(most=3 * LARGE)
    hub, sink = new_hub(store), ListSink()
    await store.fill(100, LARGE)
    await store.fill(PAGE, 1)
    await opened(hub)
    await read_on(hub, LOG, sink, 50)
    await eventually(lambda: len(received(sink)) == 50 + PAGE)
    assert [after for after, _ in store.reads[:3]] == [0, 50, 52]
    hub.wheel.close()


async def test_opening_a_tail_of_large_records_reads_only_the_newest_of_them() -> None:
    store = Ledger(most=3 * LARGE)
    hub = new_hub(store)
    await store.fill(300, LARGE)
    tail = await hub.open(LOG)
    assert tail is not None
    assert tail.head == 300
    assert store.bytes <= 8 * LARGE
    assert tail.since(299) is not None
    hub.close(tail)


async def test_only_so_many_pages_are_read_at_a_time() -> None:
    store = Ledger()
    hub = new_hub(store)
    await store.fill(200, LARGE)
    tail = await opened(hub)
    store.gate.clear()
    tasks = [asyncio.create_task(_read_once(tail, number)) for number in range(0, 200, 16)]
    await settle()
    assert store.under_way == READINGS
    store.gate.set()
    pages = await asyncio.gather(*tasks)
    assert store.most_under_way == READINGS
    assert [page and page.records[-1].offset > number * 16 for number, page in enumerate(pages)] == [True] * 13
    hub.close(tail)


async def _read_once(tail: Tail, after: int) -> Page | None:
    with Place(tail) as place:
        return await place.read(after)


async def test_a_reader_shares_no_page_that_was_read_before_there_was_what_it_needs() -> None:
    store = Ledger()
    hub = new_hub(store)
    await store.fill(5, 1)
    tail = await opened(hub)
    store.gate.clear()
    early = asyncio.create_task(_read_once(tail, 0))
    await settle()
    await store.fill(1, 1)
    late = asyncio.create_task(_read_once(tail, 5))
    await settle()
    store.gate.set()
    pages = await asyncio.gather(early, late)
    assert [page and page.records[-1].offset for page in pages] == [5, 6]
    assert not len(tail.pages)


async def test_no_page_of_an_epoch_that_is_over_is_kept() -> None:
    store = Ledger()
    hub = new_hub(store)
    await store.fill(5, 1)
    tail = await opened(hub)
    store.gate.clear()
    with Place(tail) as place:
        reading = asyncio.create_task(place.read(0))
        await settle()
        await store.drop(LOG)
        tail.begin_epoch("another")
        store.gate.set()
        page = await reading
        assert page is not None
        assert page.head.epoch != "another"
        assert not len(hub.shelf)
    hub.close(tail)


async def test_readers_wait_for_a_store_that_is_away_and_say_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Backoff, "wait", lambda self: 0.0)
    store = Ledger()
    hub, sink = new_hub(store), ListSink()
    await store.fill(3 * PAGE, 1)
    await opened(hub)
    store.failures = [StoreUnavailable("away")] * 10
    await read_on(hub, LOG, sink, 0)
    await eventually(lambda: len(received(sink)) == 3 * PAGE)
    assert [record.getMessage() for record in caplog.records] == ["readers of channel:a wait for the store: away"]
    hub.wheel.close()


async def test_a_reader_whose_page_had_to_go_reads_it_again() -> None:
    store = Ledger()
    hub, sink = new_hub(store), stuck()
    await store.fill(120, LARGE)
    tail = await opened(hub)
    await read_on(hub, LOG, sink, 0)
    await settle()
    (page,) = tail.pages._shelved
    hub.shelf.remove(page)
    await drained([sink], 120)
    assert [event.id.rpartition("-")[2] for event in received(sink)] == [str(offset) for offset in range(1, 121)]
    hub.wheel.close()


async def test_a_reader_of_large_events_that_is_cut_leaves_nothing() -> None:
    store = Ledger()
    hub, sink = new_hub(store), stuck()
    await store.fill(120, LARGE)
    tail = await opened(hub)
    subscription: Subscription = Reading(hub.share(tail), EventRenderer(), 0, lasting=True).begin(Framing.PLAIN)
    subscription.bind(sink)
    await settle()
    assert len(hub.shelf) == 1
    subscription.abort("write_timeout")
    await settle()
    assert (len(hub.shelf), hub.shelf.readers) == (0, 0)
    hub.close(tail)
    hub.wheel.close()
