"""The end of a reader's right to its stream: it is told, and sent away; nobody else notices."""

from __future__ import annotations

import json

import pytest

from tailrace.hub import EventRenderer, Framing, Reading, expire
from tests.hub.rig import ListSink, counted, new_hub, passes, read_on, received

pytestmark = pytest.mark.anyio

LOG = "channel:news"


class Unspeaking(EventRenderer):
    """A view whose readers cannot be told anything, as those of others' dialects."""

    def control(self, *said: object) -> None:  # type: ignore[override]
        """Say nothing."""


async def test_a_reader_whose_right_ends_is_told_and_sent_away_and_the_others_stay() -> None:
    hub = new_hub()
    sinks = [ListSink(), ListSink()]
    first, _ = [await read_on(hub, LOG, sink) for sink in sinks]
    expire(first, hub.clock.time() + 20)
    for _ in range(19):
        passes(hub, 1)
    assert not received(sinks[0])
    passes(hub, 1.2)
    (goodbye,) = received(sinks[0])
    assert sinks[0].finished
    assert not sinks[0].aborted
    assert (goodbye.event, json.loads(goodbye.data), goodbye.id) == ("reconnect", {"reason": "expired"}, "")
    assert goodbye.retry is not None
    assert 500 <= goodbye.retry <= 3000
    assert not sinks[1].finished
    assert not received(sinks[1])
    assert counted(hub, "streams.ended", "expired") == 1


async def test_one_whose_right_has_ended_before_it_began_is_sent_away_at_once() -> None:
    hub = new_hub()
    sink = ListSink()
    expire(await read_on(hub, LOG, sink), hub.clock.time() - 100)
    passes(hub, 0.2)
    assert [event.event for event in received(sink)] == ["reconnect"]


async def test_a_clock_that_is_set_back_gives_time_and_one_that_is_set_on_takes_it() -> None:
    hub = new_hub(heartbeat=10_000, write_timeout=60_000)
    sinks = {seconds: ListSink() for seconds in (30, 3600)}
    for seconds, sink in sinks.items():
        expire(await read_on(hub, LOG, sink), hub.clock.time() + seconds)
    wall = hub.clock.time
    hub.clock.time = lambda: wall() - 1000  # type: ignore[method-assign]
    passes(hub, 31)
    assert not received(sinks[30])
    hub.clock.time = lambda: wall() + 10_000  # type: ignore[method-assign]
    passes(hub, 61)
    assert sinks[30].finished
    assert sinks[3600].finished


async def test_one_that_waits_for_its_first_byte_is_told_when_it_can_be() -> None:
    hub = new_hub()
    tail = await hub.open(LOG, create=True)
    assert tail is not None
    subscription = Reading(tail, EventRenderer(), 0, lasting=True).begin(Framing.PLAIN)
    expire(subscription, hub.clock.time())
    passes(hub, 5)
    sink = ListSink()
    subscription.bind(sink)
    passes(hub, 0.2)
    assert [event.event for event in received(sink)] == ["reconnect"]


async def test_one_who_would_take_it_for_a_broken_answer_reads_on() -> None:
    hub = new_hub()
    tail = await hub.open(LOG, create=True)
    assert tail is not None
    subscription = Reading(tail, Unspeaking(), 0, lasting=True).begin(Framing.PLAIN)
    sink = ListSink()
    subscription.bind(sink)
    expire(subscription, hub.clock.time() + 1)
    passes(hub, 5)
    assert not sink.finished
    assert not subscription.closed


async def test_nothing_is_left_of_one_that_has_gone_before() -> None:
    hub = new_hub()
    closed = []
    tail = await hub.open(LOG, create=True)
    assert tail is not None
    reading = Reading(tail, EventRenderer(), 0, lasting=True, on_closed=lambda: closed.append(True))
    subscription = reading.begin(Framing.PLAIN)
    subscription.bind(ListSink())
    expire(subscription, hub.clock.time() + 50)
    subscription.on_closed("gone")
    assert closed == [True]
    assert not len(hub.wheel)
