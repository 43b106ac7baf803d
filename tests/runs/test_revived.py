"""Runs whose end the store has lost: it went back to when they had none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tailrace.errors import StoreUnavailable
from tailrace.log import RESERVED, Record
from tailrace.runs import Status
from tests.support.instances import Instances, Member
from tests.support.producers import Held, says
from tests.support.viewers import Viewer

pytestmark = pytest.mark.anyio


async def ended_and_lost(fleet: Instances, *, listed: bool = True) -> str:
    """Have the first member produce a run to its end, of which the store then has no more than a word."""
    a = fleet.members[0]
    run = await a.start(says("one ", "two"), model="m")
    await a.whole(run.id)
    await a.runs._writer.flush()
    fleet.sea.go_back(f"run:{run.id}", 2)
    if not listed:
        fleet.sea.produced["a"].clear()
    return run.id


async def check_interrupted(members: Sequence[Member], run: str, viewers: Sequence[Viewer]) -> None:
    for viewer in viewers:
        await viewer.ended()
        assert viewer.names == ["start", "message", "error", "done"]
        assert viewer.error["type"] == "tailrace_interrupted"
        assert viewer.events[-1].id == f"{run}-{RESERVED + 2}"
    for member in members:
        summary = await member.runs.summary(run, None)
        assert (summary.status, summary.text) == (Status.INTERRUPTED, "one ")


async def test_a_run_that_goes_on_in_a_store_that_went_back_is_ended_for_all_who_wait_for_more_of_it() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        run = await ended_and_lost(fleet)
        viewers = [await b.view(run)]
        await fleet.pass_time(2)
        assert not viewers[0].finished.is_set()
        await fleet.pass_time(2)
        viewers += [await a.view(run), await b.view(run)]
        await check_interrupted(fleet.members, run, viewers)
        assert a.counted("leases.reaped") == 1
        assert b.counted("leases.reaped") == 0


async def test_whoever_has_begun_to_read_what_is_still_here_does_not_keep_others_from_the_end_that_counts() -> None:
    async with Instances("a", "b") as fleet:
        a, _ = fleet.members
        run = await a.start(says("one ", "two"))
        slow = await a.runs.attach(run.id, None)
        await a.whole(run.id)
        await a.runs._writer.flush()
        fleet.sea.go_back(f"run:{run.id}", 2)
        await fleet.pass_time(4)
        await check_interrupted(fleet.members, run.id, [await member.view(run.id) for member in fleet.members])
        a.hub.close(slow.tail)


async def test_a_viewer_finds_out_where_the_list_of_what_goes_on_has_lost_it_too() -> None:
    async with Instances("a", "b") as fleet:
        _, b = fleet.members
        run = await ended_and_lost(fleet, listed=False)
        viewer = await b.view(run)
        await fleet.pass_time(4)
        assert not viewer.finished.is_set()
        await fleet.pass_time(4)
        await check_interrupted(fleet.members, run, [viewer])


async def test_a_viewer_who_comes_to_its_producer_finds_out_at_once() -> None:
    async with Instances("a", "b") as fleet:
        a, _ = fleet.members
        run = await ended_and_lost(fleet, listed=False)
        await check_interrupted(fleet.members, run, [await a.view(run)])


async def test_what_is_begun_goes_on_or_is_on_its_way_to_the_store_is_left_alone() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        gate, create, append = asyncio.Event(), a.line.create, a.line.append

        async def slow_create(log: str, epoch: str, meta: str, first: Sequence[Record] = ()) -> None:
            await create(log, epoch, meta, first)
            await gate.wait()

        async def slow_append(batches: object) -> None:
            await gate.wait()
            await append(batches)  # type: ignore[arg-type]

        held = Held("x")
        live, over = await a.start(held), await a.start(says("all of it"))
        a.line.append = slow_append  # type: ignore[method-assign]
        a.line.create = slow_create  # type: ignore[method-assign]
        beginning = asyncio.create_task(a.start(says("just begun")))
        await a.settled(lambda: over.ended)
        await fleet.pass_time(7)
        assert len(fleet.sea.produced["a"]) == 3
        assert not fleet.sea.ends
        gate.set()
        held.released.set()
        for run in (live, over, await beginning):
            await b.whole(run.id)
            assert (await b.runs.summary(run.id, None)).status is Status.FINISHED


async def test_a_log_that_was_begun_though_its_producer_heard_no_answer_gets_an_end() -> None:
    async with Instances("a") as fleet:
        (a,) = fleet.members
        create = a.line.create

        async def unheard(log: str, epoch: str, meta: str, first: Sequence[Record] = ()) -> None:
            await create(log, epoch, meta, first)
            raise StoreUnavailable("the answer was lost")

        a.line.create = unheard  # type: ignore[method-assign]
        with pytest.raises(StoreUnavailable):
            await a.start(says("never"))
        await fleet.pass_time(4)
        assert set(fleet.sea.ends) == fleet.sea.produced["a"]


async def test_the_producer_of_a_silent_run_is_asked_more_and_more_seldom() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        asked, send = [], b.line.send

        async def noted(instance: str, letter: str) -> None:
            asked.append((fleet.clock.monotonic() - begun, letter))
            await send(instance, letter)

        b.line.send = noted  # type: ignore[method-assign]
        held = Held("x")
        run, begun = await a.start(held), fleet.clock.monotonic()
        viewer = await b.view(run.id)
        await fleet.pass_time(40)
        assert [letter for _, letter in asked] == [f"look {run.id}"] * 3
        assert [round(after) for after, _ in asked] == [6, 16, 36]
        held.released.set()
        await viewer.ended()
        assert viewer.names[-2:] == ["finish", "done"]


async def test_a_store_that_is_away_when_this_is_looked_at_is_looked_at_again() -> None:
    async with Instances("a", "b") as fleet:
        a, _ = fleet.members
        run = await ended_and_lost(fleet)
        produced_by = a.line.produced_by

        async def away(instance: str) -> Sequence[str]:
            raise StoreUnavailable("away")

        a.line.produced_by = away  # type: ignore[method-assign]
        await fleet.pass_time(4)
        a.line.produced_by = produced_by  # type: ignore[method-assign]
        assert not fleet.sea.ends
        await fleet.pass_time(4)
        await check_interrupted(fleet.members, run, [])


@pytest.mark.parametrize("own", [False, True])
async def test_a_run_that_nobody_produces_and_nobody_watches_is_ended_because_somebody_asks_how_it_stands(
    *, own: bool
) -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        run = await ended_and_lost(fleet, listed=False)
        if not own:
            a.frozen = True
            await fleet.pass_time(8)
            assert "a" not in fleet.sea.beats
            await fleet.pass_time(6)
        member = a if own else b
        assert (await member.runs.summary(run, None)).status is Status.RUNNING
        await member.quiet()
        assert (await member.runs.summary(run, None)).status is Status.INTERRUPTED
        assert member.counted("leases.reaped") == 1
