"""What the hub counts, and how often: once for each turn of delivering, however many read."""

from __future__ import annotations

import pytest

from tailrace.hub import Hub
from tailrace.log import Entry, MemoryStore, Retention
from tailrace.observe import Counters, Spread
from tailrace.testing import FakeClock
from tests.hub.rig import ListSink, counted, new_hub, read_on, settle

pytestmark = pytest.mark.anyio

LOG = "channel:a"


def spread(hub: Hub, name: str) -> Spread:
    assert isinstance(hub.meter, Counters)
    return hub.meter.snapshot().spreads[name, ()]


async def test_events_of_one_tick_are_one_turn_of_fan_out_however_many_read() -> None:
    hub = new_hub()
    for _ in range(40):
        await read_on(hub, LOG, ListSink())
    before = sum(spread(hub, "fan_out.seconds").counts)
    for text in ("one", "two", "three"):
        await hub.store.publish(LOG, [Entry("", text)])
    await settle()
    assert sum(spread(hub, "fan_out.seconds").counts) - before == 1
    hub.abort_all()


async def test_the_delay_is_from_a_records_time_to_the_write_and_of_live_records_alone() -> None:
    clock = FakeClock()
    hub = new_hub(clock=clock)
    await hub.store.publish(LOG, [Entry("", "old")])
    clock.advance(3600)
    await read_on(hub, LOG, ListSink(), after=0)
    await settle()
    assert not sum(spread(hub, "publish_delay.seconds").counts), "what is read again was not published now"
    await hub.store.publish(LOG, [Entry("", "new")])
    clock.advance(0.25)
    await settle()
    clock.advance(9)
    tail = await hub.open(LOG)
    assert tail is not None
    hub.mark(tail)  # which has nothing new
    await settle()
    hub.close(tail)
    assert (sum(spread(hub, "publish_delay.seconds").counts), spread(hub, "publish_delay.seconds").total) == (1, 0.25)
    hub.abort_all()


async def test_a_clock_of_another_machine_that_is_ahead_makes_no_delay_below_none() -> None:
    clock = FakeClock()
    hub = new_hub(MemoryStore(clock=clock), clock=clock)
    await read_on(hub, LOG, ListSink())
    await hub.store.publish(LOG, [Entry("", "new")])
    hub.clock = FakeClock()  # which begins anew
    await settle()
    assert spread(hub, "publish_delay.seconds").total >= 0
    hub.abort_all()


async def test_streams_are_counted_by_dialect_and_by_how_they_ended() -> None:
    hub = new_hub()
    first, second = [await read_on(hub, LOG, ListSink()) for _ in range(2)]
    first.on_closed("gone")
    second.abort("write_timeout")
    assert counted(hub, "streams.opened", "events") == 2
    assert (counted(hub, "streams.ended", "gone"), counted(hub, "streams.ended", "write_timeout")) == (1, 1)
    assert counted(hub, "cuts") == counted(hub, "cuts", "write_timeout") == 1


async def test_a_reader_who_missed_something_is_counted_with_the_reason() -> None:
    clock = FakeClock()
    hub = new_hub(MemoryStore(Retention(events=2), clock), clock=clock)
    for number in range(5):
        await hub.store.publish(LOG, [Entry("", str(number))])
    await read_on(hub, LOG, ListSink(), after=1)
    await settle()
    await hub.store.drop(LOG)
    await settle()
    assert (counted(hub, "gaps", "trimmed"), counted(hub, "gaps", "unknown")) == (1, 1)
    hub.abort_all()
