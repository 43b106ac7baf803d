"""Where a stream stands, and why: each reason that the operations page gives, brought about."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tailrace import Options, Tailrace
from tailrace.hub import Framing, Subscription
from tailrace.log import RESERVED
from tailrace.testing import FakeClock
from tailrace.web.operations.standing import standings
from tests.hub.rig import ListSink, settle
from tests.support.producers import Held, says

pytestmark = pytest.mark.anyio


class Looked:
    """A `Tailrace` whose time stands still, and what is seen of its streams."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock()
        self.tailrace = Tailrace(options=Options(**options), clock=self.clock)
        self.lines: dict[str, int] = {}

    def rows(self, most: int = 100) -> list[dict[str, Any]]:
        return standings(self.tailrace, self.lines, most, 0.0)

    def row(self) -> dict[str, Any]:
        (row,) = self.rows()
        return row

    async def reads(self, channel: str, sink: ListSink | None = None, reader: str = "") -> Subscription:
        reading = await self.tailrace.channels.read(channel)
        subscription = reading.begin(Framing.PLAIN)
        subscription.reader = reader
        subscription.bind(sink or ListSink())
        return subscription

    async def asks(self, producer: Any, *, watched: bool = True, sink: ListSink | None = None, **options: Any) -> str:
        options = {"provider": "up", "model": "m", **options}
        run = await self.tailrace.runs.start(producer, self.tailrace.run_options(**options))
        if watched:
            reading = await self.tailrace.runs.read(run.id, None)
            assert reading is not None
            reading.begin(Framing.PLAIN).bind(sink or ListSink())
        await settle()
        return run.id


@pytest.fixture
async def looked() -> AsyncIterator[Looked]:
    looked = Looked()
    async with looked.tailrace.lifespan():
        yield looked


async def test_a_reader_who_has_everything_has_no_reason_to_wait(looked: Looked) -> None:
    await looked.reads("news", reader="key:web")
    await looked.tailrace.publish("news", "one")
    await settle()
    looked.clock.advance(5)
    row = looked.row()
    assert (row["why"], row["records"], row["bytes"], row["reader"]) == ("", 0, 0, "key:web")
    assert row["opened"] == pytest.approx(looked.clock.time() - 5)


async def test_a_reader_whose_socket_is_full_is_that_many_events_and_bytes_behind(looked: Looked) -> None:
    sink = ListSink(appetite=lambda: 0)
    await looked.reads("news", sink)
    for _ in range(4):
        await looked.tailrace.publish("news", "x" * 50)
        await settle()
    looked.clock.advance(7)
    row = looked.row()
    assert (row["why"], row["seconds"], row["records"], row["bytes"]) == ("socket", 7, 3, 150)
    assert row["pending"] > 50


async def test_what_is_not_in_memory_any_more_is_estimated_by_what_is(looked: Looked) -> None:
    sink = ListSink(appetite=lambda: 0)
    await looked.reads("news", sink)
    for _ in range(400):
        await looked.tailrace.publish("news", "x" * 50)
    await settle()
    row = looked.row()
    assert row["records"] > 390
    assert row["bytes"] == 50 * row["records"]


async def test_a_reader_of_several_channels_is_as_far_behind_as_in_all_of_them(looked: Looked) -> None:
    reading = await looked.tailrace.channels.read_several(["a", "b"])
    reading.begin(Framing.PLAIN).bind(ListSink(appetite=lambda: 0))
    for name in "ababa":
        await looked.tailrace.publish(name, "x")
        await settle()
    row = looked.row()
    assert (row["log"], row["name"], row["why"], row["records"]) == ("channels", "a, b", "socket", 4)


async def test_the_furthest_behind_come_first_and_no_more_than_are_asked_for(looked: Looked) -> None:
    for number in range(5):
        await looked.reads("news" if number % 2 else "other", ListSink(appetite=lambda: 0))
    for _ in range(3):
        await looked.tailrace.publish("news", "x")
        await settle()
    assert [(row["name"], row["records"]) for row in looked.rows(3)] == [("news", 2), ("news", 2), ("other", 0)]


async def test_an_answer_says_whom_it_waits_for(looked: Looked) -> None:
    producer = Held("Hi")
    run = await looked.asks(producer)
    looked.clock.advance(0.5)
    assert looked.row()["why"] == ""
    looked.clock.advance(2)
    row = looked.row()
    assert (row["why"], row["seconds"], row["model"], row["name"]) == ("upstream", 2.5, "m", run[:10])


async def test_an_answer_that_has_said_nothing_waits_for_its_provider_or_for_a_place_there(looked: Looked) -> None:
    await looked.asks(Held())
    looked.clock.advance(2)
    assert looked.row()["why"] == "first"
    looked.lines = {"up": 3}
    assert looked.row()["why"] == "place"
    looked.lines = {"another": 3}
    assert looked.row()["why"] == "first"


async def test_an_answer_that_nobody_reads_is_told_too(looked: Looked) -> None:
    await looked.asks(Held("Hi"), watched=False, owner="key:web")
    row = looked.row()
    assert (row["why"], row["reader"], row["log"]) == ("unwatched", "key:web", "run")


async def test_an_end_in_the_producers_place_is_not_a_billion_events_away(looked: Looked) -> None:
    sink = ListSink(appetite=lambda: 0)
    subscription = await looked.reads("news", sink)
    subscription.view.tail.head = RESERVED + 2
    assert looked.row()["records"] == 2


async def test_names_that_have_no_end_are_cut_short(looked: Looked) -> None:
    await looked.asks(Held("Hi"), model="m" * 5000)
    assert looked.row()["model"] == "m" * 200


async def test_an_answer_that_is_held_back_for_its_reader_says_so() -> None:
    looked = Looked(max_ahead=1000)
    async with looked.tailrace.lifespan():
        await looked.asks(says(*["x" * 500] * 10), sink=ListSink(appetite=lambda: 0))
        looked.clock.advance(3)
        assert [row["why"] for row in looked.rows()] == ["socket"]
        assert looked.rows(1)[0]["seconds"] == 3


async def test_an_answer_that_is_too_far_ahead_of_a_reader_who_takes_his_time_says_so() -> None:
    looked = Looked(max_ahead=1000)
    async with looked.tailrace.lifespan():
        run = await looked.asks(says(*["x" * 500] * 10), sink=ListSink(appetite=lambda: 0))
        (subscription,) = looked.tailrace.hub.subscriptions
        subscription.full = False  # it has just begun to take something
        looked.clock.advance(3)
        assert (looked.row()["why"], looked.row()["name"]) == ("ahead", run[:10])
