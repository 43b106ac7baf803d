"""All runs: reading them from any place, and what a snapshot leaves out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailrace.errors import StoreUnavailable
from tailrace.log import MemoryStore, Page
from tailrace.runs import Item, Text, Thinking, ToolCall
from tests.support.producers import Counted
from tests.support.viewers import House

pytestmark = pytest.mark.anyio


async def test_a_cursor_gets_exactly_the_rest_and_the_end_gets_nothing() -> None:
    async with House() as house:

        async def produce() -> AsyncIterator[Item]:
            for word in "abc":
                yield word

        run = await house.start(produce)
        whole = await house.whole(run.id)
        for seen, event in enumerate(whole.events[:-1], 1):
            rest = await house.view(run.id, event.id)
            await rest.ended()
            assert rest.said(rest.events[0]) == {"recovered": True, "reason": "ok", "missed": 0}
            assert (rest.events[0].id, rest.events[1:]) == ("", whole.events[seen:])
        assert await house.runs.read(run.id, None, whole.events[-1].id) is None


@pytest.mark.parametrize(
    ("offset", "reason"), [("99", "ahead"), ("x", "malformed"), ("-1", "malformed"), ("01", "malformed")]
)
async def test_a_cursor_that_names_no_place_begins_at_the_start_and_says_so(offset: str, reason: str) -> None:
    async with House() as house:
        run = await house.start(Counted())
        whole = await house.whole(run.id)
        viewer = await house.view(run.id, f"{run.id}-{offset}")
        await viewer.ended()
        assert viewer.said(viewer.events[0]) == {"recovered": False, "reason": reason, "missed": None}
        assert viewer.events[0].id == f"{run.id}-0"
        assert viewer.events[1:] == whole.events


async def test_a_snapshot_of_a_run_that_has_ended_tells_how_it_ended_too() -> None:
    async with House() as house:
        run = await house.start(Counted())
        await house.whole(run.id)
        viewer = await house.view(run.id, snapshot=True)
        await viewer.ended()
        assert viewer.names == ["snapshot", "finish", "done"]
        assert viewer.text == "hello"
        assert viewer.events[0].id == f"{run.id}-2"


async def test_a_cursor_counts_more_than_the_wish_for_a_snapshot() -> None:
    async with House() as house:
        run = await house.start(Counted())
        await house.whole(run.id)
        viewer = await house.view(run.id, f"{run.id}-2", snapshot=True)
        assert viewer.names == ["resume", "finish", "done"]


async def test_a_store_that_fails_while_a_snapshot_is_read_leaves_nothing_behind() -> None:
    class Failing(MemoryStore):
        async def read(self, log: str, after: int, limit: int) -> Page | None:
            if after == 0:
                raise StoreUnavailable("away")
            return await super().read(log, after, limit)

    async with House(store=Failing()) as house:

        async def produce() -> AsyncIterator[Item]:
            for _ in range(500):
                yield "x"

        run = await house.start(produce)
        await house.settled(lambda: not house.left)
        for attempt in (house.runs.read(run.id, None, snapshot=True), house.runs.summary(run.id, None)):
            with pytest.raises(StoreUnavailable):
                await attempt


ITEMS = st.lists(
    st.lists(
        st.text(max_size=3).map(Text)
        | st.text(max_size=3).map(Thinking)
        | st.builds(ToolCall, st.integers(0, 2), st.just("c"), st.just("f"), st.text(max_size=3)),
        min_size=1,
        max_size=3,
    ),
    max_size=8,
)


@given(ITEMS, st.integers(0, 8), st.booleans())
@settings(deadline=None, max_examples=100)
def test_a_snapshot_and_what_follows_it_are_the_whole(items: list[list[Text]], said: int, resumed: bool) -> None:
    async def scenario() -> None:
        async with House() as house:
            go_on = asyncio.Event()

            async def produce() -> AsyncIterator[Item]:
                for number, item in enumerate(items):
                    if number == said:
                        await go_on.wait()
                    yield item

            run = await house.start(produce)
            for _ in range(4):
                await asyncio.sleep(0)
            viewer = await house.view(run.id, snapshot=True)
            go_on.set()
            await viewer.ended()
            whole, snapshot = await house.whole(run.id), viewer.said(viewer.events[0])
            assert viewer.text == whole.text
            assert snapshot["thinking"] + parts(viewer.events, "thinking", "text") == parts(
                whole.events, "thinking", "text"
            )
            calls = "".join([call["arguments"] for call in snapshot.get("tools", ())])
            tools = parts(viewer.events, "tool", "arguments")
            assert sorted(calls + tools) == sorted(parts(whole.events, "tool", "arguments"))
            after = int(viewer.events[0].id.rpartition("-")[2])
            assert viewer.events[1:] == whole.events[after:]
            assert viewer.names[-2:] == ["finish", "done"]
            if resumed:  # a snapshot's id is a cursor like any other
                again = await house.view(run.id, viewer.events[0].id)
                assert again.events[1:] == viewer.events[1:]

    asyncio.run(scenario())


def parts(events: list[Any], event: str, field: str) -> str:
    return "".join([json.loads(it.data)[field] for it in events if it.event == event])


STEPS = st.lists(st.integers(0, 5), min_size=1, max_size=8)


@given(st.lists(st.text("ab\n\r\u2028é", max_size=4), max_size=400), STEPS)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_any_sequence_of_drops_and_resumes_gives_exactly_the_log(words: list[str], steps: list[int]) -> None:
    async def scenario() -> None:
        async with House() as house:
            turns = asyncio.Semaphore(0)

            async def produce() -> AsyncIterator[Item]:
                for number, word in enumerate(words):
                    if number % 50 == 0:
                        await turns.acquire()
                    yield word

            run = await house.start(produce)
            got: list[Any] = []
            cursor = None
            for step in steps:
                viewer = await house.view(run.id, cursor)
                turns.release()
                for _ in range(step):
                    await asyncio.sleep(0)
                fresh = viewer.events[1 if cursor else 0 :][: step * 20]
                if not viewer.finished.is_set():
                    viewer.leave()
                got += fresh
                cursor = got[-1].id if got else None
                if got and got[-1].event == "done":
                    assert await house.runs.read(run.id, None, cursor) is None
                    break
            for _ in range(len(words)):
                turns.release()
            whole = await house.whole(run.id)
            assert got == whole.events[: len(got)]

    asyncio.run(scenario())
