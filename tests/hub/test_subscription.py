"""One reader: silence, fullness, falling behind, being sent away, leaving."""

from __future__ import annotations

import gc
import logging
from collections.abc import Sequence
from random import Random

import pytest

from tailrace.hub import Departure, EventRenderer, Framing, Hub, Joined, Reading, Subscription, Tail, View
from tailrace.log import Batch, Entry, MemoryStore, Position, Record, Retention
from tailrace.log.backoff import Backoff
from tailrace.sse import HEARTBEAT
from tailrace.testing import FakeClock
from tests.hub.rig import ListSink, SlowStore, body, counted, new_hub, passes, read_on, received, settle
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio

LOG = "channel:a"


async def say(hub: Hub, text: str = "x", event: str = "", count: int = 1) -> None:
    """Publish, and let it be delivered."""
    await hub.store.publish(LOG, [Entry(event, text)] * count)
    await settle(3)


def produced(hub: Hub, framing: Framing = Framing.CHUNKED) -> tuple[Tail, ListSink]:
    """A log that is produced here, and a sink that reads it."""
    tail = hub.produce("run:r", "r", "")
    tail.users += 1
    sink = ListSink(framing)
    Reading(tail, EventRenderer(), 0).begin(framing).bind(sink)
    return tail, sink


def record(offset: int, text: str = "x") -> Record:
    """A record of a run."""
    return Record(offset, "", text, 0.0)


def texts(sink: ListSink) -> list[str]:
    """The data that a peer reads."""
    return [event.data for event in received(sink)]


# Silence.


async def test_a_heartbeat_comes_after_silence_and_again_after_more() -> None:
    hub, sink = new_hub(heartbeat=10), ListSink()
    await read_on(hub, LOG, sink)
    passes(hub, 9.8)
    assert sink.all == b""
    passes(hub, 0.4)
    assert sink.all == HEARTBEAT
    passes(hub, 9.5)
    assert sink.all == HEARTBEAT
    passes(hub, 0.9)
    assert sink.all == HEARTBEAT * 2
    hub.wheel.close()


async def test_what_is_said_puts_the_heartbeat_off() -> None:
    hub, sink = new_hub(heartbeat=10), ListSink()
    await read_on(hub, LOG, sink)
    for _ in range(5):
        passes(hub, 8)
        await say(hub)
    assert HEARTBEAT not in sink.all
    passes(hub, 8)
    assert HEARTBEAT not in sink.all
    passes(hub, 2.2)
    assert sink.all.endswith(HEARTBEAT)
    hub.wheel.close()


async def test_what_is_hidden_does_not_put_the_sign_of_life_off() -> None:
    hub, sink = new_hub(heartbeat=10), ListSink()
    await read_on(hub, LOG, sink, only=["tick"])
    for _ in range(6):
        passes(hub, 2)
        await say(hub, event="other")
    assert [event.event for event in received(sink)] == ["cursor"]
    assert received(sink)[0].id.endswith("-5")
    hub.wheel.close()


async def test_a_filtered_reader_whose_position_is_known_gets_plain_heartbeats() -> None:
    hub, sink = new_hub(heartbeat=10), ListSink()
    await read_on(hub, LOG, sink, only=["tick"])
    await say(hub, event="tick")
    passes(hub, 11)
    assert sink.all.endswith(HEARTBEAT)
    hub.wheel.close()


async def test_the_position_of_a_filtered_reader_is_told_when_a_quarter_of_what_is_kept_is_hidden() -> None:
    hub, sink = new_hub(history=Retention(events=200, bytes=None, age=None)), ListSink()
    await read_on(hub, LOG, sink, only=["tick"])
    await say(hub, event="other", count=49)
    assert not received(sink)
    await say(hub, event="other")
    (told,) = received(sink)
    assert (told.event, told.data, told.id.partition("-")[2]) == ("cursor", "{}", "50")
    await say(hub, event="other", count=49)
    await say(hub, event="tick")
    await say(hub, event="other", count=49)
    assert [event.event for event in received(sink)] == ["cursor", "tick"]
    hub.wheel.close()


async def test_large_hidden_events_count_by_their_bytes() -> None:
    hub, sink = new_hub(history=Retention(events=None, bytes=40_000, age=None)), ListSink()
    await read_on(hub, LOG, sink, only=["tick"])
    await say(hub, "x" * 4000, event="other")
    assert not received(sink)
    await say(hub, "x" * 4000, event="other")
    assert [event.event for event in received(sink)] == ["cursor"]
    hub.wheel.close()


async def test_no_heartbeat_goes_into_a_frame_that_was_cut() -> None:
    hub, sink = new_hub(heartbeat=10, write_timeout=100), ListSink(appetite=lambda: 5)
    await read_on(hub, LOG, sink)
    await say(hub, "hello")
    passes(hub, 50)
    assert HEARTBEAT not in sink.all
    sink.drain()
    assert texts(sink) == ["hello"]
    passes(hub, 11)
    assert sink.all.endswith(HEARTBEAT)
    hub.wheel.close()


@pytest.mark.parametrize("framing", Framing)
async def test_a_heartbeat_that_was_cut_is_whole_before_anything_else(framing: Framing) -> None:
    hub, sink = new_hub(heartbeat=10, write_timeout=100), ListSink(framing, appetite=lambda: 4)
    await read_on(hub, LOG, sink)
    passes(hub, 11)
    await say(hub, "hello")
    sink.appetite = lambda: 1 << 60
    sink.drain()
    assert texts(sink) == ["hello"]
    data = sink.all if framing is Framing.PLAIN else body(sink.all)[0]
    assert data.startswith(HEARTBEAT + b"id: ")
    hub.wheel.close()


async def test_a_reader_that_lasts_has_its_sink_settled_at_its_first_timer() -> None:
    hub, sink = new_hub(heartbeat=10), ListSink()
    await read_on(hub, LOG, sink)
    assert sink.settled == 0
    passes(hub, 11)
    assert sink.settled == 1
    hub.wheel.close()


# Fullness.


async def test_a_sink_that_is_full_from_the_beginning_is_waited_for() -> None:
    hub, sink = new_hub(write_timeout=30), ListSink()
    sink.queue(b"a head")
    await read_on(hub, LOG, sink)
    await say(hub, "hello")
    assert sink.all == b"a head"
    sink.drain()
    assert b"hello" in sink.all
    sink.ready = False
    hub.wheel.close()


async def test_bytes_behind_a_full_sink_are_not_taken_from_the_log() -> None:
    hub, sink = new_hub(write_timeout=1e6), ListSink(appetite=lambda: 0)
    subscription = await read_on(hub, LOG, sink)
    for number in range(1000):
        await hub.store.publish(LOG, [Entry("", f"{number:0100}")])
    await settle()
    assert len(sink.queued) < 200
    assert subscription.view.tail.head - subscription.cursor == 999
    sink.appetite = lambda: 1 << 60
    sink.drain()
    await settle(50)
    assert [int(text) for text in texts(sink)] == list(range(1000))
    hub.wheel.close()


async def test_a_sink_whose_queue_leaves_at_once_gets_the_rest_without_waiting_for_more() -> None:
    class Lucky(ListSink):
        def queue(self, rest: bytes | memoryview) -> bool:
            self.taken += rest
            return True

    hub, sink = new_hub(), Lucky(appetite=lambda: 10)
    await read_on(hub, LOG, sink)
    await say(hub, "hello", count=5)
    assert texts(sink) == ["hello"] * 5
    hub.wheel.close()


async def test_a_peer_that_turns_out_to_be_gone_leaves_nothing_behind() -> None:
    hub, sink = new_hub(), ListSink()
    await read_on(hub, LOG, sink)
    sink.dead = True
    await say(hub)
    assert sink.aborted
    assert counted(hub, "streams.ended", "gone") == 1
    assert not hub.subscriptions
    assert not hub._tails


# Falling behind.


async def test_readers_behind_wait_for_a_store_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backoff, "wait", lambda self: 0.0)
    store = SlowStore(Random(1), Retention(events=10_000))
    hub, sink = new_hub(store), ListSink()
    await hub.store.publish(LOG, [Entry("", "x")] * 1000)
    tail = await hub.open(LOG, create=True)
    assert tail is not None
    store.away = 1.0
    await read_on(hub, LOG, sink, 0)
    reads = store.reads
    await eventually(lambda: store.reads > reads + 5)
    assert not sink.aborted
    store.away = 0.0
    await eventually(lambda: len(received(sink)) == 1000)
    hub.wheel.close()


async def test_a_reader_behind_whose_log_is_gone_is_cut() -> None:
    clock = FakeClock()
    store = MemoryStore(clock=clock)
    hub, sink = new_hub(store, clock), ListSink(appetite=lambda: 0)
    await store.create("run:r", "r", "")
    await store.append([Batch("run:r", "r", [record(i) for i in range(1, 500)])])
    tail = await hub.open("run:r")
    assert tail is not None
    await store.append([Batch("run:r", "r", [record(500)], ends=True, keep=5)])
    clock.advance(10)
    Reading(tail, EventRenderer(), 0).begin(Framing.PLAIN).bind(sink)
    await settle()
    assert sink.aborted
    assert counted(hub, "streams.ended", "store") == 1
    assert not hub.subscriptions


# Records that cannot be shown.


class Breaking(EventRenderer):
    """A renderer that breaks on `bad`."""

    def render(self, epoch: str, records: Sequence[Record]) -> list[bytes]:
        """Render, unless it breaks."""
        if any(record.data == "bad" for record in records):
            raise ZeroDivisionError
        return [b"data: x\n\n" for _ in records]


@pytest.mark.parametrize("live", [True, False])
async def test_readers_of_a_view_that_breaks_are_cut_and_others_go_on(
    live: bool, caplog: pytest.LogCaptureFixture
) -> None:
    hub, sinks, other = new_hub(), [ListSink(), ListSink()], ListSink()
    await read_on(hub, LOG, other)
    tail = await hub.open(LOG)
    assert tail is not None
    if not live:
        await say(hub, "bad")
    for sink in sinks:
        tail.users += 1
        Reading(tail, Breaking(), 0, lasting=True).begin(Framing.PLAIN).bind(sink)
    with caplog.at_level(logging.ERROR):
        await say(hub, "bad")
        await say(hub, "good")
    assert all(sink.aborted for sink in sinks)
    assert texts(other)[-2:] == ["bad", "good"]
    assert len(hub.subscriptions) == 1
    hub.wheel.close()


# The end.


async def test_the_last_event_and_the_last_chunk_leave_in_one_write() -> None:
    hub = new_hub()
    tail, sink = produced(hub)
    tail.append([record(1)])
    await settle()
    tail.append([record(2), record(3, "end")], ends=True)
    await settle()
    assert len(sink.writes) == 2
    assert sink.finished
    assert not sink.aborted
    assert body(sink.all)[1]
    assert texts(sink) == ["x", "x", "end"]
    assert counted(hub, "streams.ended", "ended") == 1


async def test_a_slow_reader_of_an_ended_log_gets_it_to_its_end() -> None:
    hub = new_hub(write_timeout=1e6)
    tail, sink = produced(hub)
    sink.appetite = lambda: 3
    tail.append([record(i) for i in range(1, 50)])
    tail.append([record(50, "end")], ends=True)
    await settle()
    while not sink.finished:
        sink.drain()
    assert body(sink.all)[1]
    assert len(received(sink)) == 50


async def test_a_reader_that_begins_at_the_end_gets_the_end_alone() -> None:
    hub = new_hub()
    tail, _ = produced(hub)
    tail.append([record(1)], ends=True)
    await settle()
    sink = ListSink(Framing.CHUNKED)
    tail.users += 1
    Reading(tail, EventRenderer(), 1).begin(Framing.CHUNKED).bind(sink)
    assert sink.all == Framing.CHUNKED.end
    assert sink.finished


# Being sent away, and leaving.


async def test_a_reader_that_is_sent_away_hears_it_last() -> None:
    hub, sink = new_hub(), ListSink(Framing.CHUNKED)
    await read_on(hub, LOG, sink)
    await say(hub)
    hub.dismiss_lasting(lambda: ("reconnect", {"reason": "draining"}, 700))
    assert received(sink)[-1][:2] == ('{"reason":"draining"}', "reconnect")
    assert b"retry: 700" in sink.writes[-1]
    assert body(sink.all)[1]
    assert sink.finished
    assert not hub.subscriptions


async def test_a_full_reader_that_is_sent_away_hears_it_after_its_frame() -> None:
    hub, sink = new_hub(), ListSink(Framing.CHUNKED, appetite=lambda: 9)
    await read_on(hub, LOG, sink)
    await say(hub)
    hub.dismiss_lasting(lambda: ("reconnect", {"reason": "draining"}, 700))
    sink.drain()
    assert [event.event for event in received(sink)] == ["message", "reconnect"]
    assert body(sink.all)[1]
    assert sink.finished
    assert not sink.aborted


async def test_who_comes_while_readers_are_sent_away_is_sent_away_too() -> None:
    hub, sink = new_hub(), ListSink()
    hub.dismiss_lasting(lambda: ("reconnect", {}, 700))
    await read_on(hub, LOG, sink)
    assert [event.event for event in received(sink)] == ["reconnect"]
    assert sink.finished


async def test_readers_of_a_log_that_ends_are_not_sent_away() -> None:
    hub = new_hub()
    tail, sink = produced(hub)
    hub.dismiss_lasting(lambda: ("reconnect", {}, 700))
    tail.append([record(1, "end")], ends=True)
    await settle()
    assert texts(sink) == ["end"]


async def test_a_subscription_that_is_over_cuts_the_sink_it_is_given() -> None:
    hub, sink = new_hub(), ListSink()
    tail = await hub.open(LOG, create=True)
    assert tail is not None
    subscription = Reading(tail, EventRenderer(), 0).begin(Framing.PLAIN)
    subscription.on_closed("gone")
    subscription.bind(sink)
    assert sink.aborted
    subscription.on_writable()
    assert not sink.all


async def test_leaving_is_said_once_whoever_says_it() -> None:
    hub, sink, left = new_hub(), ListSink(), list[bool]()
    tail = await hub.open(LOG, create=True)
    assert tail is not None
    subscription = Reading(tail, EventRenderer(), 0, on_closed=lambda: left.append(True)).begin(Framing.PLAIN)
    subscription.bind(sink)
    for _ in range(2):
        subscription.on_closed("gone")
        subscription.abort("gone")
        subscription.dismiss("reconnect", {}, 1)
    assert left == [True]
    assert not sink.all


async def test_whoever_asks_to_be_told_of_the_end_is_told_once_also_when_it_was_before() -> None:
    hub, told = new_hub(), list[str]()
    tail = await hub.open(LOG, create=True)
    assert tail is not None
    reading = Reading(tail, EventRenderer(), 0, on_closed=lambda: told.append("reading"))
    subscription = reading.begin(Framing.PLAIN)
    subscription.also(lambda: told.append("first"))
    subscription.also(lambda: told.append("second"))
    subscription.on_closed("gone")
    subscription.on_closed("gone")
    assert told == ["reading", "first", "second"]
    subscription.also(lambda: told.append("late"))
    assert told[3:] == ["late"]


@pytest.mark.parametrize("state", ["live", "full", "behind", "waiting for the store"])
async def test_a_viewer_that_leaves_leaves_nothing_behind(state: str) -> None:
    before = _kept()  # by tracebacks of other tests, which pytest holds on to
    store = SlowStore(Random(2), Retention(events=10_000))
    hub = new_hub(store, write_timeout=1e6)
    await store.publish(LOG, [Entry("", "x")] * 2000)
    sink = ListSink(appetite=(lambda: 0) if state in {"full", "behind"} else (lambda: 1 << 60))
    subscription = await read_on(hub, LOG, sink, None if state in {"live", "full"} else 0)
    await say(hub)
    if state == "waiting for the store":
        store.away = 1.0
        await settle(3)
    subscription.on_closed("gone")
    await settle(60)
    assert not hub.subscriptions
    assert not hub._tails
    assert not store._relays
    assert len(hub.wheel) == 0
    del subscription, sink
    assert not _kept() - before
    hub.wheel.close()


def _kept() -> set[int]:
    gc.collect()
    return {id(thing) for thing in gc.get_objects() if isinstance(thing, Subscription | View | Tail | Joined)}


# A view whose readers know nothing of the hub's own events.


class Foreign(EventRenderer):
    """A view of somebody else's format, with its own signs."""

    @property
    def heartbeat(self) -> bytes:
        return b"event: ping\ndata: {}\n\n"

    def control(self, event: str, data: object, position: Position | None, retry: int | None) -> bytes | None:  # type: ignore[override]  # None is what is tried
        return None

    def broken(self) -> bytes | None:
        return b"event: error\ndata: broken\n\n"


def foreign(tail: Tail, framing: Framing = Framing.CHUNKED) -> ListSink:
    sink = ListSink(framing)
    tail.users += 1
    Reading(tail, Foreign(), 0).begin(framing).bind(sink)
    return sink


async def test_a_foreign_view_is_kept_alive_by_its_own_sign() -> None:
    hub = new_hub(heartbeat=10)
    tail = hub.produce("run:r", "r", "")
    sink = foreign(tail)
    passes(hub, 11)
    assert [event.event for event in received(sink)] == ["ping"]
    hub.abort_all()


async def test_readers_of_a_foreign_view_are_kept_to_the_end_while_others_are_sent_away() -> None:
    hub = new_hub()
    tail = hub.produce("run:r", "r", "")
    native, kept = ListSink(), foreign(tail)
    tail.users += 1
    Reading(tail, EventRenderer(), 0).begin(Framing.PLAIN).bind(native)
    leaving = Departure(hub, lambda: ("reconnect", {}, 500), 1, lambda: 0.0)
    leaving.step(elsewhere=True)
    late = foreign(tail)
    assert (native.finished, kept.finished, late.finished) == (True, False, False)
    tail.append([record(1, "a"), record(2, "b")], ends=True)
    await settle()
    for sink in (kept, late):
        assert texts(sink) == ["a", "b"]
        assert body(sink.all)[1], "the stream ended in order"
