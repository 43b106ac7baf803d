"""Sending readers elsewhere."""

from __future__ import annotations

import pytest

from tailrace.hub import Departure, Hub, Subscription, Tail
from tests.hub.rig import ListSink, new_hub, passes, read_on, received, settle
from tests.log.store_contract import records

pytestmark = pytest.mark.anyio

GOODBYE = ("reconnect", {"reason": "draining"}, 700)


def departure(hub: Hub, *draws: float, window: float = 10.0) -> Departure:
    """A departure in which readers draw these moments, as parts of their window, in turn."""
    waiting = list(draws)
    return Departure(hub, lambda: GOODBYE, window, lambda: waiting.pop(0))


async def a_run(hub: Hub, name: str = "run:r") -> tuple[Tail, ListSink, Subscription]:
    """A run that is produced here, with a reader."""
    tail, sink = hub.produce(name, "e", ""), ListSink()
    tail.append(records(1, 2))
    subscription = await read_on(hub, name, sink, 0, lasting=False)
    return tail, sink, subscription


def sent_away(*sinks: ListSink) -> list[bool]:
    return [bool(received(sink)) and received(sink)[-1].event == "reconnect" and sink.finished for sink in sinks]


async def test_each_reader_goes_when_its_moment_comes_and_those_of_channels_within_seconds() -> None:
    hub = new_hub()
    (_, early, _), (_, late, _) = await a_run(hub, "run:1"), await a_run(hub, "run:2")
    news = ListSink()
    await read_on(hub, "channel:news", news)
    order = {id(each): each for each in hub.subscriptions}
    draws = [0.9 if each.lasting or each.view.tail.log == "run:2" else 0.1 for each in order.values()]
    leaving = departure(hub, *draws)
    seen = []
    for _ in range(10):
        leaving.step(elsewhere=True)
        seen.append(sent_away(early, news, late))
        passes(hub, 1)
    assert [column.index(True) for column in zip(*seen, strict=True)] == [1, 3, 9]


async def test_nobody_goes_while_there_is_nowhere_to_go_but_the_readers_of_channels_who_come() -> None:
    hub = new_hub()
    _, sink, _ = await a_run(hub)
    leaving = departure(hub, 0.0)
    leaving.step(elsewhere=False)
    news = ListSink()
    await read_on(hub, "channel:news", news)
    assert sent_away(sink, news) == [False, True]
    leaving.step(elsewhere=True)
    assert sent_away(sink) == [True]


async def test_where_the_last_other_process_leaves_too_the_readers_of_channels_do_not_wait_for_their_moment() -> None:
    hub = new_hub()
    _, sink, _ = await a_run(hub)
    news = ListSink()
    await read_on(hub, "channel:news", news)
    leaving = departure(hub, 0.9, 0.9)
    leaving.step(elsewhere=True)
    assert sent_away(sink, news) == [False, False]
    leaving.step(elsewhere=False)
    assert sent_away(sink, news) == [False, True]
    passes(hub, 10)
    leaving.step(elsewhere=False)
    assert sent_away(sink) == [False]


async def test_whose_answer_ends_before_its_moment_reads_that_end() -> None:
    hub = new_hub()
    tail, sink, _ = await a_run(hub)
    leaving = departure(hub, 0.5)
    leaving.step(elsewhere=True)
    tail.append(records(3, 3), ends=True)
    await settle()
    passes(hub, 6)
    leaving.step(elsewhere=True)
    assert sink.finished
    assert [event.event for event in received(sink)] == ["message"] * 3


async def test_who_is_slow_to_take_the_end_of_its_answer_is_not_sent_away_before_it() -> None:
    hub = new_hub(write_timeout=1000)
    tail, sink = hub.produce("run:r", "e", ""), ListSink(appetite=lambda: 0)
    await read_on(hub, "run:r", sink, 0, lasting=False)
    tail.append(records(1, 2))
    await settle()
    tail.append(records(3, 3), ends=True)
    leaving = departure(hub, 0.0)
    leaving.step(elsewhere=True)
    sink.appetite = lambda: 1 << 30
    sink.drain()
    await settle()
    assert [event.event for event in received(sink)] == ["message"] * 3


async def test_who_comes_meanwhile_is_told_what_is_there_and_sent_on() -> None:
    hub = new_hub()
    departure(hub).step(elsewhere=True)
    tail, sink, _ = await a_run(hub)
    assert sent_away(sink) == [True]
    tail.append(records(3, 3), ends=True)
    late = ListSink()
    await read_on(hub, "run:r", late, 0, lasting=False)
    assert [event.event for event in received(late)] == ["message"] * 3


async def test_it_stops_when_the_others_are_gone_too() -> None:
    hub = new_hub()
    _, sink, _ = await a_run(hub)
    leaving = departure(hub, 0.5)
    leaving.step(elsewhere=True)
    passes(hub, 6)
    leaving.step(elsewhere=False)
    assert sent_away(sink) == [False]
    _, other, _ = await a_run(hub, "run:other")
    assert sent_away(other) == [False]
