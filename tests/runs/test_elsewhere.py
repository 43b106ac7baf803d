"""Runs that other instances produce."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tailrace.errors import StoreUnavailable
from tailrace.runs import Item, RunOptions, Status
from tests.support.instances import Instances, Member
from tests.support.producers import Held, says
from tests.support.viewers import Viewer

pytestmark = pytest.mark.anyio


# Reading.


async def test_a_run_is_watched_looked_at_and_resumed_anywhere() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        held = Held("one ", "two")
        run = await a.start(held, model="m", provider="p", owner=None)
        viewer, snapshot = await b.view(run.id), await b.view(run.id, snapshot=True)
        await viewer.saw("message")
        summary = await b.runs.summary(run.id, None)
        assert (summary.model, summary.provider, summary.status) == ("m", "p", Status.RUNNING)
        resumed = await b.view(run.id, viewer.events[1].id)
        held.released.set()
        for each in (viewer, snapshot, resumed):
            await each.ended()
        assert viewer.text == "one two!"
        assert f"{snapshot.text}" == "one two!"
        assert resumed.text == "two!"
        assert (await b.runs.summary(run.id, None)).status is Status.FINISHED


async def test_a_viewer_who_has_seen_more_than_the_store_has_gets_the_rest_and_nothing_twice() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        held = Held("one ", "two ")
        a.line.away = False
        run = await a.start(held)
        await a.settled(held.began.is_set)
        await a.runs._writer.flush()
        a.line.away = True
        viewer = await a.view(run.id)
        held.released.set()
        await viewer.saw("finish")
        cursor = next(event.id for event in viewer.events if event.data == '{"text":"!"}')
        coming = asyncio.create_task(b.view(run.id, cursor))
        await asyncio.sleep(0.02)
        assert not coming.done()
        a.line.away = False
        resumed = await coming
        await resumed.ended()
        assert resumed.names == ["resume", "finish", "done"]
        assert resumed.said(resumed.events[0])["recovered"] is True


async def test_a_viewer_who_has_seen_more_is_not_told_that_he_is_ahead_where_the_store_cannot_say() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        held = Held("one ", "two ")
        run = await a.start(held)
        watching = await b.view(run.id)
        await watching.saw("message")
        b.line.away = True
        with pytest.raises(StoreUnavailable):
            await b.runs.read(run.id, None, f"{run.id}-9")
        b.line.away = False
        held.released.set()
        await watching.ended()


# Cancelling.


async def test_a_cancel_elsewhere_stops_the_producer_and_says_how_it_ended_however_often_it_is_asked() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        held = Held("x")
        run = await a.start(held)
        viewer = await a.view(run.id)
        await viewer.saw("message")
        cancelling = asyncio.create_task(b.runs.cancel(run.id, None))
        await b.settled(lambda: fleet.sea.letters["a"])
        await a.round()
        first = await cancelling
        assert first.status is Status.CANCELLED
        assert await b.runs.cancel(run.id, None) == first == await a.runs.cancel(run.id, None)
        await viewer.ended()
        assert viewer.names == ["start", "message", "error", "done"]
        await asyncio.wait_for(held.closed.wait(), 5)


async def test_a_producer_that_does_not_answer_finds_its_run_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.runs.elsewhere._ANSWER", 0.02)
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        held = Held("x")
        run = await a.start(held)
        here, there = await a.view(run.id), await b.view(run.id)
        await there.saw("message")
        summary = await b.runs.cancel(run.id, None)
        assert summary.status is Status.CANCELLED
        await there.ended()
        assert there.error["type"] == "caller_cancelled"
        fleet.clock.advance(3)
        held.released.set()  # the zombie goes on, and finds out with its next word
        await here.ended()
        assert here.names[-2:] == ["error", "done"]
        assert [event.id for event in here.events[-2:]] == [event.id for event in there.events[-2:]]
        assert here.error == there.error


async def test_a_run_of_another_owner_cannot_be_cancelled_elsewhere_either() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        held = Held("x")
        run = await a.start(held, owner="ann")
        with pytest.raises(LookupError):
            await b.runs.cancel(run.id, "bob")
        assert not fleet.sea.letters["a"]
        held.released.set()


# Watching.


async def gone(fleet: Instances, viewer: Viewer, member: Member) -> None:
    """Have a viewer leave, and the store know of it."""
    viewer.leave()
    await member.quiet()


async def test_a_viewer_elsewhere_keeps_a_run_going() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        held = Held("x")
        run = await a.start(held, grace=3)
        viewer = await b.view(run.id)
        await fleet.pass_time(30)
        assert not run.ended
        held.released.set()
        await viewer.ended()
        await b.quiet()
        assert not fleet.sea.watching["run:" + run.id]
        assert not fleet.sea.letters["a"]


async def test_the_last_viewer_in_the_fleet_who_leaves_starts_the_grace_period() -> None:
    async with Instances("a", "b", "c") as fleet:
        a, b, c = fleet.members
        run = await a.start(Held("x"), grace=10)
        here, there, third = await a.view(run.id), await b.view(run.id), await c.view(run.id)
        here.leave()
        await fleet.pass_time(12)
        await gone(fleet, there, b)
        await fleet.pass_time(12)
        assert not run.ended
        await gone(fleet, third, c)
        await fleet.pass_time(8)
        assert not run.ended
        await fleet.pass_time(4)
        assert run.status is Status.CANCELLED


async def test_with_no_grace_at_all_a_run_ends_when_its_last_viewer_elsewhere_has_left() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        run = await a.start(Held("x"), grace=0)
        viewer = await b.view(run.id)
        await fleet.pass_time(3)
        assert not run.ended
        await gone(fleet, viewer, b)
        await a.round()
        await a.settled(lambda: run.ended)
        assert run.status is Status.CANCELLED


async def test_viewers_who_hop_between_instances_within_the_grace_period_never_lose_the_run() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        run = await a.start(Held("x"), grace=5)
        viewer, member = await a.view(run.id), a
        for turn in range(12):
            await gone(fleet, viewer, member)
            await fleet.pass_time(4 if turn % 3 else 1)
            member = b if member is a else a
            viewer = await member.view(run.id)
            await fleet.pass_time(6 if turn % 2 else 1)
            assert not run.ended
        await gone(fleet, viewer, member)
        await fleet.pass_time(15)
        assert run.status is Status.CANCELLED


async def test_who_watched_on_an_instance_that_is_dead_watches_no_more() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        run = await a.start(Held("x"), grace=2)
        viewer = await b.view(run.id)
        await fleet.pass_time(8)
        b.frozen = True
        await fleet.pass_time(4)
        assert not run.ended
        await fleet.pass_time(16)
        assert run.status is Status.CANCELLED
        assert not viewer.aborted


async def test_a_letter_that_is_lost_costs_time_but_no_run_goes_on_for_nobody() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        run = await a.start(Held("x"), grace=2)
        viewer = await b.view(run.id)
        await fleet.pass_time(4)
        await gone(fleet, viewer, b)
        fleet.sea.letters["a"].clear()
        await fleet.pass_time(12)
        assert run.status is Status.CANCELLED


async def test_a_viewer_whose_leaving_is_noticed_late_still_has_the_whole_grace_period_to_come_back() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        run = await a.start(Held("x"), grace=5)
        viewer = await b.view(run.id)
        await fleet.pass_time(8)
        await gone(fleet, viewer, b)
        fleet.sea.letters["a"].clear()
        await fleet.pass_time(6)
        assert not run.ended
        back = await b.view(run.id)
        await fleet.pass_time(12)
        assert not run.ended
        await gone(fleet, back, b)
        await fleet.pass_time(12)
        assert run.status is Status.CANCELLED


async def test_while_the_store_is_away_everybody_counts_as_watching() -> None:
    async with Instances("a", "b") as fleet:
        (a, _) = fleet.members
        run = await a.start(Held("x"), grace=2)
        for member in fleet.members:
            member.line.away = True
        await fleet.pass_time(30)
        assert not run.ended
        for member in fleet.members:
            member.line.away = False
        await fleet.pass_time(4)
        assert not run.ended, "not everybody has said yet who watches there"
        await fleet.pass_time(16)
        assert run.status is Status.CANCELLED


async def test_a_store_that_has_forgotten_who_watches_is_told_again() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        held = Held("x")
        run = await a.start(held, grace=2)
        viewer = await b.view(run.id)
        for member in fleet.members:
            member.line.away = True
        await fleet.pass_time(3)
        fleet.sea.watching.clear()
        for member in fleet.members:
            member.line.away = False
        await fleet.pass_time(30)
        assert not run.ended
        held.released.set()
        await viewer.ended()


async def test_what_cannot_be_told_now_is_told_when_the_store_is_back() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        run = await a.start(Held("x"), grace=2)
        viewer = await b.view(run.id)
        b.line.away = True
        viewer.leave()
        await asyncio.sleep(0.02)
        assert fleet.sea.watching[f"run:{run.id}"] == {"b"}
        b.line.away = False
        await b.quiet()
        assert not fleet.sea.watching[f"run:{run.id}"]
        await fleet.pass_time(12)
        assert run.status is Status.CANCELLED


async def test_many_viewers_of_one_run_are_told_of_as_one() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        held = Held("x")
        run = await a.start(held)
        told: list[str] = []
        watch = b.line.watch

        async def counted(log: str) -> None:
            told.append(log)
            await watch(log)

        b.line.watch = counted  # type: ignore[method-assign]
        viewers = await asyncio.gather(*[b.view(run.id) for _ in range(50)])
        assert len(told) == 1
        held.released.set()
        for viewer in viewers:
            await viewer.ended()


# Without a producer.


async def test_a_run_that_is_lost_with_its_producer_ends_for_those_who_wait() -> None:
    async with Instances("a", "b", "c") as fleet:
        a, b, c = fleet.members
        run = await a.start(Held("half"))
        viewers = [await member.view(run.id) for member in (b, c)]
        for viewer in viewers:
            await viewer.saw("message")
        a.frozen = True
        fleet.sea.lose(f"run:{run.id}")
        fleet.sea.beats.pop("a")
        fleet.sea.produced.clear()
        await fleet.pass_time(8)
        for viewer in viewers:
            await viewer.ended()
            assert viewer.names == ["start", "message", "gap", "error", "done"]
            assert viewer.said(viewer.events[2])["missed"] is None
            assert viewer.error["type"] == "tailrace_interrupted"
        assert [each.id for each in viewers[0].events] == [each.id for each in viewers[1].events]


async def test_a_run_whose_producer_is_alive_is_left_to_it() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        held = Held("x")
        run = await a.start(held)
        viewer = await b.view(run.id)
        await fleet.pass_time(20)
        held.released.set()
        await viewer.ended()
        assert viewer.text == "x!"
        assert b.counted("leases.reaped") == 0


async def test_a_cursor_into_a_run_of_which_only_the_end_is_left_is_told_so() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members

        async def talk() -> AsyncIterator[Item]:
            for _ in range(40):
                yield "word "
            await asyncio.Event().wait()

        run = await a.start(talk)
        viewer = await b.view(run.id)
        await b.settled(lambda: len(viewer.events) > 40)
        cursor = viewer.events[20].id
        viewer.leave()
        await b.quiet()
        fleet.sea.lose(f"run:{run.id}")
        run.on_refused()
        await a.quiet()
        for each in (await b.view(run.id, cursor), await b.view(run.id, "other-1"), await b.view(run.id)):
            await each.ended()
            assert each.names[-2:] == ["error", "done"]
            assert "message" not in each.names
        resumed = await b.view(run.id, cursor)
        assert resumed.said(resumed.events[0]) == {"recovered": False, "reason": "trimmed", "missed": None}
        assert await b.runs.read(run.id, None, resumed.events[-1].id) is None
        assert (await b.runs.summary(run.id, None)).status is Status.INTERRUPTED


# Keys.


async def test_a_key_holds_on_every_instance() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        made = says("once")
        options = RunOptions(grace=None)
        ids = await asyncio.gather(
            *[member.runs.start_once("k", "f", options, made) for member in (a, b) for _ in range(5)]
        )
        assert len(set(ids)) == 1
        assert (await b.whole(ids[0])).text == (await a.whole(ids[0])).text == "once"


async def test_a_key_whose_run_the_store_has_lost_starts_one_anew_and_only_one() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        options = RunOptions(grace=None)
        first = await a.runs.start_once("k", "f", options, says("lost"))
        await a.whole(first)
        await a.runs._writer.flush()
        await a.quiet()
        fleet.sea.lose(f"run:{first}")
        ids = await asyncio.gather(
            *[member.runs.start_once("k", "f", options, says("anew")) for member in (a, b) for _ in range(5)]
        )
        assert len(set(ids)) == 1
        assert ids[0] != first
        assert (await b.whole(ids[0])).text == "anew"


async def test_a_key_whose_claim_was_performed_unheard_is_free_on_every_instance_soon_after() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        options, claim = RunOptions(grace=None), a.line.claim

        async def unheard(name: str, value: str, seconds: float) -> str:
            await claim(name, value, seconds)
            raise StoreUnavailable("the answer was lost")

        a.line.claim = unheard  # type: ignore[method-assign]
        with pytest.raises(StoreUnavailable):
            await a.runs.start_once("k", "f", options, says("never"))
        await a.quiet()
        run = await b.runs.start_once("k", "f", options, says("an answer"))
        assert (await b.whole(run)).text == "an answer"
