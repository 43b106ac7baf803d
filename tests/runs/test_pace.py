"""A run that is ahead of everybody who reads it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.hub import EventRenderer, Framing, Reading
from tailrace.runs import Run, follow
from tailrace.runs.pace import Pace
from tests.hub.rig import ListSink, settle
from tests.support.viewers import House

PIECE = "x" * 1000
MOST = 20_000


@given(st.lists(st.integers(1, 400), min_size=1), st.data())
def test_where_a_reader_is_is_known_to_an_eighth_of_what_is_allowed(sizes: list[int], data: st.DataObject) -> None:
    pace, said, bytes_at = Pace(1000), 0, [0]
    for offset, size in enumerate(sizes, 1):
        said += size
        bytes_at.append(said)
        pace.note(offset, said)
    read = data.draw(st.integers(0, len(sizes)))
    ahead = said - bytes_at[read]
    if ahead > 1000 + 125:
        assert pace.exceeded(read)
    if ahead <= 1000 - 400:  # a mark may stand one piece further on
        assert not pace.exceeded(read)


class Talker:
    """Says a piece whenever it is asked for the next one, for ever, and counts them."""

    def __init__(self) -> None:
        self.said = 0

    async def __call__(self) -> AsyncIterator[str]:
        while True:
            self.said += 1
            yield PIECE


async def _watched(house: House, talker: Talker, **options: float | None) -> tuple[Run, ListSink]:
    """A run, and a viewer who takes nothing."""
    run = await house.start(talker, max_ahead=MOST, max_bytes=10_000_000, **options)
    sink = ListSink(appetite=lambda: 0)
    run.watch()
    reading = Reading(house.hub.share(run.tail), EventRenderer(), 0, on_closed=run.unwatch)
    reading.begin(Framing.PLAIN).bind(sink)
    return run, sink


async def _stands(house: House, talker: Talker) -> int:
    """How much is said when nothing more is."""
    await house.settled(lambda: talker.said > MOST // 2000)
    before = -1
    while talker.said != before:
        before = talker.said
        await settle(100)
    return before


async def _take_all(sink: ListSink) -> None:
    """Take what comes, to the end."""
    sink.appetite = lambda: 1 << 30
    while not sink.finished:
        sink.drain()
        await settle()


@pytest.mark.anyio
async def test_a_run_is_not_produced_far_ahead_of_its_quickest_viewer_and_goes_on_when_that_one_does() -> None:
    async with House() as house:
        talker = Talker()
        run, sink = await _watched(house, talker)
        said = await _stands(house, talker)
        assert MOST // 1000 - 5 <= said <= MOST // 1000 + 10
        sink.appetite = lambda: 1 << 20
        sink.drain()
        await house.settled(lambda: talker.said > said + 10)
        await house.runs.cancel(run.id, None)
        await house.settled(lambda: sink.finished)


@pytest.mark.anyio
async def test_nobody_waits_for_a_slow_viewer_where_another_is_quick() -> None:
    async with House() as house:
        talker = Talker()
        run, slow = await _watched(house, talker)
        quick = await house.view(run.id)
        await house.settled(lambda: talker.said > 200)
        await house.runs.cancel(run.id, None)
        await quick.ended()
        await _take_all(slow)


@pytest.mark.anyio
async def test_a_run_that_nobody_watches_goes_on() -> None:
    async with House() as house:
        talker = Talker()
        run, sink = await _watched(house, talker)
        said = await _stands(house, talker)
        assert sink.consumer is not None
        sink.consumer.on_closed("gone")
        await house.settled(lambda: talker.said > said + 100)
        await house.runs.cancel(run.id, None)


@pytest.mark.anyio
async def test_a_run_that_waits_for_its_viewers_can_be_cancelled() -> None:
    async with House() as house:
        talker = Talker()
        run, sink = await _watched(house, talker)
        await _stands(house, talker)
        await house.runs.cancel(run.id, None)
        await _take_all(sink)
        assert run.ended


@pytest.mark.anyio
async def test_who_reads_the_records_themselves_is_a_reader_too_and_waits_for_no_viewer_that_stands() -> None:
    async with House() as house:
        talker = Talker()
        run, sink = await _watched(house, talker)
        standing = await _stands(house, talker)
        viewers, read = set(run.tail.readers), 0
        async for records in follow(run.tail):
            read += len(records)
            if read > 3 * standing:
                await house.runs.cancel(run.id, None)
        assert run.tail.readers == viewers
        await _take_all(sink)
