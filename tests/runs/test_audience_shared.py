"""Who watches a run, where two instances share a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from tailrace import Tailrace
from tailrace.runs import RunOptions
from tests.support.producers import Held
from tests.support.viewers import Viewer

pytestmark = pytest.mark.anyio


async def view(tail: Tailrace, run: str) -> Viewer:
    reading = await tail.runs.read(run, None)
    assert reading is not None
    return Viewer(reading)


async def reach(counts: AsyncIterator[int], viewers: int) -> None:
    """Read figures up to this one: an instance that is slow to answer is counted a moment later."""
    async with asyncio.timeout(10):
        while await anext(counts) != viewers:
            pass


async def test_viewers_are_counted_on_every_instance(instances: tuple[Tailrace, Tailrace]) -> None:
    one, other = instances
    held = Held("one")
    run = (await one.runs.start(held, RunOptions(grace=None))).id
    here, there = await view(one, run), await view(other, run)
    await view(other, run)
    for each in instances:
        async with aclosing(each.audience.counts(run)) as counts:
            await reach(counts, 3)
    async with aclosing(other.audience.counts(run)) as counts:
        await reach(counts, 3)
        here.leave()
        await reach(counts, 2)
        there.leave()
        await reach(counts, 1)
        held.released.set()
        assert [count async for count in counts][-1] == 0


async def test_a_producer_goes_on_for_viewers_elsewhere(instances: tuple[Tailrace, Tailrace]) -> None:
    one, other = instances
    said = asyncio.Event()

    async def producer() -> AsyncIterator[str]:
        await one.audience.until_watched()
        said.set()
        await one.audience.until_watched()  # seen a moment ago: nobody is asked
        yield "seen"

    run = (await one.runs.start(producer, RunOptions(grace=None))).id
    await asyncio.sleep(0.05)
    assert not said.is_set()
    viewer = await view(other, run)
    await asyncio.wait_for(said.wait(), 10)
    await viewer.ended()
    assert viewer.text == "seen"


async def test_one_that_leaves_while_others_ask_leaves_in_order(instances: tuple[Tailrace, Tailrace]) -> None:
    one, other = instances
    held = Held("one")
    run = (await one.runs.start(held, RunOptions(grace=None))).id
    await view(other, run)
    assert await one.audience.viewers(run) == 1
    await other.close()
    assert len(one.runs._tasks) == 0
    held.released.set()
