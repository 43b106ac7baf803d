"""Reading a run's records for one whole thing that is made of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence

import pytest

from tailrace.errors import ErrorType, ProviderError, RunError, RunNotFound
from tailrace.hub import Reading, Tail
from tailrace.log import Record
from tailrace.runs import Finish, Run, RunOptions, Text, follow, opening
from tailrace.runs.native import NativeRenderer
from tests.support.producers import Held, says
from tests.support.viewers import House, Viewer

pytestmark = pytest.mark.anyio


async def _reading(house: House, run: Run) -> Reading:
    return await house.runs.read_as(run.id, None, lambda tail: NativeRenderer())


async def test_the_records_of_a_long_run_come_in_order_to_its_end_whether_it_goes_on_or_is_over() -> None:
    async with House() as house:
        run = await house.start(says(*["x"] * 3000))
        reading = await _reading(house, run)
        for _ in ("live", "over"):
            offsets = [record.offset async for records in follow(reading.tail) for record in records]
            assert offsets == list(range(1, 3004))
        reading.close()


async def test_a_run_that_fails_before_it_says_anything_tells_so() -> None:
    async with House() as house:
        busy = ProviderError(ErrorType.PROVIDER_RATE_LIMITED, "slow down", status=429, retry_after=3)
        reading = await _reading(house, await house.start(says(busy)))
        error = await opening(reading.tail, 5)
        assert isinstance(error, ProviderError)
        assert (error.type, error.status, error.retry_after) == (ErrorType.PROVIDER_RATE_LIMITED, 429, 3)
        reading.close()


async def test_a_run_that_said_something_or_ended_well_can_be_opened() -> None:
    async with House() as house:
        broken = says(Text("a"), ProviderError(ErrorType.PROVIDER_CUT, "cut"))
        for producer in (broken, says(Finish("stop"))):
            reading = await _reading(house, await house.start(producer))
            assert await opening(reading.tail, 5) is None
            reading.close()


async def test_who_waits_for_a_silent_run_waits_for_so_long() -> None:
    async with House() as house:
        producer = Held()
        run = await house.start(producer)
        reading = await _reading(house, run)
        assert reading.prelude == b":heartbeat\n", "somebody is there"
        assert await opening(reading.tail, 0.01) is None
        waiting = asyncio.create_task(opening(reading.tail, 60))
        await house.runs.cancel(run.id, None)
        error = await waiting
        assert error is not None
        assert error.type == ErrorType.CALLER_CANCELLED
        reading.close()


async def test_whoever_reads_in_another_view_is_a_viewer_like_all_others() -> None:
    async with House() as house:
        run = await house.start(Held("a"), grace=0)
        reading = await _reading(house, run)
        assert run.viewers == 1
        viewer = Viewer(reading)
        await viewer.saw("message")
        viewer.leave()
        await house.settled(lambda: run.ended)


async def test_a_view_that_cannot_be_made_leaves_nothing_behind() -> None:
    def refuse(tail: Tail) -> NativeRenderer:
        raise ValueError(tail.epoch)

    async with House() as house:
        run = await house.start(says("a"))
        with pytest.raises(ValueError, match=run.id):
            await house.runs.read_as(run.id, None, refuse)
        with pytest.raises(RunNotFound):
            await house.runs.read_as("nobodys", None, refuse)
        await house.whole(run.id)


async def test_who_follows_a_run_that_the_store_has_lost_is_told() -> None:
    async with House() as house:
        run = await house.start(Held("a"))
        reading = await _reading(house, run)
        records = follow(reading.tail)
        assert [record.event for record in await anext(records)] == ["start"]
        more = asyncio.create_task(_rest(records))
        await house.settled(lambda: run.tail.head == 2)
        run.tail.begin_epoch("another")
        with pytest.raises(RunError, match="is lost"):
            await more
        reading.close()
        await house.runs.cancel(run.id, None)


async def _rest(records: AsyncIterator[Sequence[Record]]) -> None:
    async for _ in records:
        pass


async def test_a_run_that_never_began_is_no_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tailrace")
    async with House() as house:
        await house.runs.refuse(RunOptions())
    assert not caplog.records
