"""An instance among others: beats, letters, and what becomes of the dead's runs."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tailrace.runs import Status
from tailrace.runs.membership import Membership
from tests.support.instances import Instances
from tests.support.producers import Held, says
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


async def test_the_runs_of_a_dead_instance_are_ended_and_every_viewer_sees_the_same_end() -> None:
    async with Instances("a", "b", "c") as fleet:
        a, b, c = fleet.members
        run = await a.start(Held("half an"))
        viewers = [await member.view(run.id) for member in (b, c)]
        for viewer in viewers:
            await viewer.saw("message")
        a.frozen = True
        await fleet.pass_time(8)
        for viewer in viewers:
            await viewer.ended()
            assert viewer.names == ["start", "message", "error", "done"]
            assert viewer.error["type"] == "tailrace_interrupted"
        assert viewers[0].data == viewers[1].data
        late = await b.whole(run.id)
        assert late.data == viewers[0].data
        assert sum(member.counted("leases.reaped") for member in (b, c)) == 1
        assert "a" not in fleet.sea.beats


async def test_a_run_that_had_ended_is_left_as_it_ended() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        run = await a.start(says("all"))
        await a.whole(run.id)
        await a.quiet()
        a.frozen = True
        await fleet.pass_time(8)
        assert (await b.runs.summary(run.id, None)).status is Status.FINISHED
        assert b.counted("leases.reaped") == 0
        assert b.counted("instances.reaped") == 1


async def test_a_store_that_nobody_can_reach_makes_nobody_dead() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        held = Held("on and")
        run = await a.start(held)
        viewer = await b.view(run.id)
        for member in fleet.members:
            member.line.away = True
        await fleet.pass_time(60)
        for member in fleet.members:
            member.line.away = False
        await fleet.pass_time(10)
        held.released.set()
        await viewer.ended()
        assert viewer.text == "on and!"
        assert b.counted("leases.reaped") == 0


async def test_an_observer_that_slept_itself_takes_nobody_for_dead() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        held = Held("x")
        await a.start(held)
        await a.settled(held.began.is_set)
        a.frozen = b.frozen = True
        await fleet.pass_time(30)
        a.frozen = b.frozen = False
        await fleet.pass_time(10)
        assert b.counted("leases.reaped") == a.counted("leases.lost") == 0
        held.released.set()


async def test_reaping_that_the_store_interrupts_is_taken_up_again() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        run = await a.start(Held("x"))
        viewer = await b.view(run.id)
        a.frozen = True
        await fleet.pass_time(4)
        produced_by = b.line.produced_by

        async def away(instance: str) -> list[str]:
            b.line.away = True
            await b.line.reach()
            return []

        b.line.produced_by = away  # type: ignore[method-assign]
        await fleet.pass_time(3)
        b.line.away, b.line.produced_by = False, produced_by  # type: ignore[method-assign]
        assert not viewer.finished.is_set()
        await fleet.pass_time(8)
        await viewer.ended()


async def test_a_letter_that_nobody_understands_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    async with Instances("a", "b") as fleet:
        (a, _) = fleet.members
        held = Held("x")
        await a.start(held)
        fleet.sea.letters["a"] += ["dance with-me", "cancel nobodys"]
        with caplog.at_level(logging.WARNING, "tailrace"):
            await a.round()
        assert "dance with-me" in caplog.text
        held.released.set()


async def test_letters_are_fetched_as_soon_as_they_are_told_of() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        await a.membership.join()
        run = await a.start(Held("x"))
        viewer = await b.view(run.id)
        cancelling = asyncio.create_task(b.runs.cancel(run.id, None))
        async with asyncio.timeout(0.9):  # no beat is due so soon
            await eventually(lambda: fleet.sea.letters["a"])
            a.line.wake()
            await cancelling
        assert viewer.error["type"] == "caller_cancelled"
        await a.membership.close(resign=True)
        assert "a" not in fleet.sea.beats


async def test_an_instance_that_leaves_says_so_and_finds_out_who_stays() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        await b.runs.leave()
        await a.round()
        assert [a.runs.has_others, b.runs.has_others] == [False, True]
        await asyncio.gather(b.runs.leave(), a.runs.leave())
        assert [a.runs.has_others, b.runs.has_others] == [False, False]


async def test_an_instance_that_could_not_write_everything_does_not_say_that_it_is_through() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        await a.membership.join()
        run = await a.start(Held("x"))
        viewer = await b.view(run.id)
        a.line.away = True
        await a.runs.close(0.02)
        a.line.away, a.frozen = False, True
        assert "a" in fleet.sea.beats
        await fleet.pass_time(8)
        await viewer.ended()
        assert viewer.error["type"] == "tailrace_interrupted"


async def test_a_beat_that_breaks_does_not_end_the_beats(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tailrace.runs.membership.BEAT", 0.001)
    async with Instances("a") as fleet:
        (a,) = fleet.members
        await a.membership.join()
        with monkeypatch.context() as patch:
            patch.setattr(Membership, "_open", lambda self, letters: 1 / 0)
            await a.settled(lambda: "a beat failed" in caplog.text)
        count = a.line.count
        await a.settled(lambda: a.line.count > count + 2)
        await a.membership.close(resign=True)
