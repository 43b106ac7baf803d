"""Who watches a run: counted here and on other instances, followed, and waited for by its producer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from tailrace.errors import RunNotFound
from tailrace.log.fleet import VIEWERS_KEPT
from tailrace.runs.letters import Letter, Word
from tests.support.instances import Instances
from tests.support.producers import Held, says
from tests.support.viewers import House

pytestmark = pytest.mark.anyio


async def test_whoever_reads_a_run_is_a_viewer_until_it_ends() -> None:
    async with House() as house:
        held, audience = Held("one"), house.runs.audience
        run = await house.start(held)
        assert await audience.viewers(run.id) == 0
        first, second = await house.view(run.id), await house.view(run.id)
        assert await audience.viewers(run.id) == 2
        first.leave()
        assert await audience.viewers(run.id) == 1
        assert await audience.goes_on(run.id)
        held.released.set()
        await second.ended()
        assert await audience.viewers(run.id) == 0
        assert not await audience.goes_on(run.id)


async def test_each_change_is_told_and_the_end_of_the_run_is_the_last_one() -> None:
    async with House() as house:
        held = Held("one")
        run = await house.start(held)
        async with aclosing(house.runs.audience.counts(run.id)) as counts:
            assert await anext(counts) == 0
            await house.view(run.id)
            assert await anext(counts) == 1
            held.released.set()
            assert [count async for count in counts] == [0]
        assert [count async for count in house.runs.audience.counts(run.id)] == [0]


async def test_who_watches_is_told_to_those_alone_who_may_have_the_run() -> None:
    async with House() as house:
        run, audience = await house.start(says("one"), owner="alice"), house.runs.audience
        for asked in (audience.viewers, audience.goes_on):
            with pytest.raises(RunNotFound):
                await asked(run.id, "bob")
        with pytest.raises(RunNotFound):
            await anext(audience.counts(run.id, "bob"))
        with pytest.raises(RunNotFound):
            await anext(audience.watched("nobody's"))
        await run.wait_closed()


async def test_the_last_viewer_counts_until_its_grace_is_over() -> None:
    async with House() as house:
        held = Held("one")
        run = await house.start(held)
        async with aclosing(house.runs.audience.watched(run.id, grace=0.4)) as watched:
            assert await anext(watched) is False
            viewer = await house.view(run.id)
            assert await anext(watched) is True
            viewer.leave()
            again = await house.view(run.id)  # between two connections it is nobody's last viewer
            waiting = asyncio.ensure_future(anext(watched))
            again.leave()
            assert await waiting is False
            held.released.set()
            assert [anybody async for anybody in watched] == []


async def test_who_stops_following_leaves_nothing_behind() -> None:
    async with House() as house:
        held = Held("one")
        run = await house.start(held)
        await house.settled(held.began.is_set)
        before = len(asyncio.all_tasks())
        for follow in (house.runs.audience.counts(run.id), house.runs.audience.watched(run.id)):
            await anext(follow)
            await follow.aclose()
        assert len(asyncio.all_tasks()) == before
        assert house.runs.audience._crowds == {}
        held.released.set()
        await run.wait_closed()


# A producer.


async def test_a_producer_rests_while_nobody_watches() -> None:
    async with House() as house:
        said = 0
        more = asyncio.Event()

        async def producer() -> AsyncIterator[str]:
            nonlocal said
            while True:
                await house.runs.audience.until_watched()
                said += 1
                yield f"{said} "
                await more.wait()
                more.clear()

        run = await house.start(producer)
        for _ in range(20):
            await asyncio.sleep(0)
        assert said == 0
        viewer = await house.view(run.id)
        await house.settled(lambda: said == 1)
        viewer.leave()
        more.set()
        for _ in range(20):
            await asyncio.sleep(0)
        assert said == 1
        viewer = await house.view(run.id)
        await house.settled(lambda: said == 2)
        await house.runs.cancel(run.id, None)
        await viewer.ended()


async def test_only_a_producer_can_wait_for_its_viewers() -> None:
    async with House() as house:
        with pytest.raises(LookupError):
            await house.runs.audience.until_watched()


async def test_a_producer_that_rests_is_ended_by_a_cancel() -> None:
    async with House() as house:
        closed = asyncio.Event()

        async def producer() -> AsyncIterator[str]:
            try:
                await house.runs.audience.until_watched()
                yield "never"
            finally:
                closed.set()

        run = await house.start(producer)
        await asyncio.sleep(0)
        await house.runs.cancel(run.id, None)
        await asyncio.wait_for(closed.wait(), 10)
        await run.wait_closed()


# Several instances.


async def test_an_instance_that_does_not_answer_has_the_one_viewer_that_is_known() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        held = Held("one")
        run = await a.start(held)
        viewers = [await b.view(run.id), await b.view(run.id)]
        assert await a.runs.audience.viewers(run.id) == 1  # b has not beaten since
        assert Letter.parse(fleet.sea.letters["b"][-1]) == Letter(Word.COUNT, run.id)
        await b.round()
        assert await a.runs.audience.viewers(run.id) == 2
        fleet.sea.viewing[f"run:{run.id}"]["b"] = "many"  # as another release may say it
        assert await a.runs.audience.viewers(run.id) == 1
        held.released.set()
        for viewer in viewers:
            await viewer.ended()
        await fleet.pass_time(20)  # nobody asks any more: what was told is taken back
        await b.settled(lambda: fleet.sea.viewing[f"run:{run.id}"]["b"] == "")


async def test_what_is_told_is_told_again_before_the_store_forgets_it() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        held = Held("one")
        run = await a.start(held)
        viewer = await b.view(run.id)
        assert b.runs.instance is not None
        asked = b.runs.instance._headcount.on_asked
        asked(run.id)
        told = fleet.sea.viewing[f"run:{run.id}"]
        await b.settled(lambda: told.get("b") == "1")
        told.clear()  # as Redis does with what is not renewed
        fleet.clock.advance(VIEWERS_KEPT / 2)
        asked(run.id)
        await b.settled(lambda: told.get("b") == "1")
        held.released.set()
        await viewer.ended()
        fleet.clock.advance(20)
        await b.quiet()
