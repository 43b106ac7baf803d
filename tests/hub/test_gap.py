"""What a connected reader is told where the log does not hold any more what it had not had yet."""

from __future__ import annotations

import pytest

from tailrace.hub import EventRenderer, Framing, Reading
from tailrace.hub.gap import skip_to
from tailrace.log import Entry, MemoryStore, Record, Retention
from tailrace.sse import HEARTBEAT
from tailrace.testing import FakeClock
from tests.hub.rig import ListSink, body, counted, new_hub, passes, read_on, received, settle

pytestmark = pytest.mark.anyio

LOG = "channel:a"


class Speechless(EventRenderer):
    """A view of somebody else's format, which has no word for a gap but one for an error."""

    def broken(self) -> bytes | None:
        return b"event: error\ndata: broken\n\n"


async def test_a_slow_reader_is_told_what_was_trimmed_away_under_it() -> None:
    clock = FakeClock()
    hub = new_hub(MemoryStore(Retention(events=10), clock), clock, write_timeout=1e6)
    sink = ListSink(appetite=lambda: 0)
    await read_on(hub, LOG, sink)
    for number in range(1, 301):
        await hub.store.publish(LOG, [Entry("", str(number))])
    await settle()
    sink.appetite = lambda: 1 << 60
    sink.drain()
    await settle(50)
    events = received(sink)
    assert events[0].data == "1"
    assert [event.event for event in events].count("gap") == 1
    gap = events[1]
    assert gap.data == f'{{"missed":{300 - 1 - (len(events) - 2)},"reason":"trimmed"}}'
    assert events[-1].data == "300"
    assert counted(hub, "gaps", "trimmed") == 1
    hub.wheel.close()


async def test_a_reader_is_told_when_the_history_is_dropped_and_reads_the_new_one() -> None:
    hub, sink = new_hub(), ListSink()
    await read_on(hub, LOG, sink)
    await hub.store.publish(LOG, [Entry("", "old")] * 3)
    await settle()
    head = await hub.store.drop(LOG)
    await settle()
    assert received(sink)[-1].event == "gap"
    await hub.store.publish(LOG, [Entry("", "new")])
    await settle()
    events = received(sink)
    assert [event.data for event in events] == ["old"] * 3 + ['{"missed":null,"reason":"unknown"}', "new"]
    assert [event.id for event in events[3:]] == [f"{head.epoch}-0", f"{head.epoch}-1"]
    assert counted(hub, "gaps", "unknown") == 1
    hub.wheel.close()


async def test_a_cursor_of_an_epoch_that_is_over_is_not_taken_for_a_place_in_the_next() -> None:
    hub, sink = new_hub(), ListSink()
    await hub.store.publish(LOG, [Entry("", "old")] * 2)
    tail = await hub.open(LOG)
    assert tail is not None
    reading = Reading(tail, EventRenderer(), tail.head, lasting=True)
    await hub.store.drop(LOG)
    await hub.store.publish(LOG, [Entry("", "new")] * 3)
    await settle()
    reading.begin(Framing.PLAIN).bind(sink)
    assert [event.event for event in received(sink)] == ["gap", "message", "message", "message"]
    hub.wheel.close()


async def test_a_position_that_a_gap_has_told_is_not_told_again_to_a_reader_with_a_filter() -> None:
    hub, sink = new_hub(heartbeat=10), ListSink()
    await hub.store.publish(LOG, [Entry("other", "hidden")] * 3)
    subscription = await read_on(hub, LOG, sink, only=["tick"])
    skip_to(subscription, 7)
    passes(hub, 11)
    assert [event.event for event in received(sink)] == ["gap"]
    assert sink.all.endswith(HEARTBEAT)
    hub.wheel.close()


@pytest.mark.parametrize("lost", ["epoch", "trimmed"])
async def test_a_reader_of_a_foreign_view_that_missed_something_is_ended_by_its_error(lost: str) -> None:
    hub = new_hub()
    tail = hub.produce("run:r", "r", "")
    tail.users += 1
    sink = ListSink(Framing.CHUNKED)
    subscription = Reading(tail, Speechless(), 0).begin(Framing.CHUNKED)
    subscription.bind(sink)
    tail.append([Record(1, "", "a", 0.0)])
    await settle()
    if lost == "epoch":
        tail.begin_epoch("another")
    else:
        skip_to(subscription, 7)
    await settle()
    assert [event.data for event in received(sink)] == ["a", "broken"]
    assert body(sink.all)[1], "the stream ended in order"
    assert not hub.subscriptions
