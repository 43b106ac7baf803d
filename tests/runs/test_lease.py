"""What an instance does with its own runs when the store decides otherwise."""

from __future__ import annotations

import asyncio

import pytest

from tailrace.errors import ErrorType, RunError
from tailrace.log import RESERVED, Entry, MemoryStore
from tailrace.runs import Status, interruption
from tests.support.instances import Instances
from tests.support.producers import Held, says
from tests.support.viewers import House

pytestmark = pytest.mark.anyio


async def test_a_zombie_shows_its_own_viewers_the_end_that_everybody_else_sees() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        held = Held("one ", "two ")
        run = await a.start(held)
        here, there = await a.view(run.id), await b.view(run.id)
        await there.saw("message")
        a.frozen = True
        await fleet.pass_time(8)
        await there.ended()
        assert not here.finished.is_set()
        a.frozen = False
        held.released.set()  # it comes to its end before it has heard anything
        await here.ended()
        assert here.events[-2:] == there.events[-2:]
        assert here.names[-2:] == ["error", "done"]
        assert here.error["type"] == "tailrace_interrupted"
        assert here.events[-1].id.endswith(f"-{RESERVED + 2}")
        await a.settled(held.closed.is_set)
        assert a.counted("leases.lost") == 1


async def test_a_zombie_whose_model_says_nothing_finds_out_as_well() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        held = Held("one")
        run = await a.start(held)
        here, there = await a.view(run.id), await b.view(run.id)
        a.frozen = True
        await fleet.pass_time(8)
        a.frozen = False
        await fleet.pass_time(1)
        await asyncio.gather(here.ended(), there.ended())
        assert here.data == there.data
        await a.settled(held.closed.is_set)


async def test_a_run_that_the_store_lost_ends_as_interrupted_for_all() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        held = Held("one ", "two ")
        run = await a.start(held)
        here, there = await a.view(run.id), await b.view(run.id)
        await there.saw("message")
        await a.runs._writer.flush()
        fleet.sea.lose(f"run:{run.id}")
        run._take("three")
        await asyncio.gather(here.ended(), there.ended())
        assert here.error == there.error
        assert here.error["type"] == "tailrace_interrupted"
        assert "gap" not in here.names, "a viewer here has missed nothing"
        assert "gap" in there.names
        assert here.events[-1].id == there.events[-1].id


async def test_an_answer_that_the_store_lost_as_it_was_finished_is_never_told_as_complete() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        run = await a.start(says("all of it"), model="m")
        a.line.away = True
        viewer = await a.view(run.id)
        late = await a.runs.attach(run.id, None)  # one use of what is here, for as long as it likes
        await viewer.ended()
        assert viewer.names[-2:] == ["finish", "done"]
        fleet.sea.lose(f"run:{run.id}")
        a.line.away = False
        await a.settled(lambda: f"run:{run.id}" in fleet.sea.ends)
        await a.quiet()
        for member in fleet.members:
            summary = await member.runs.summary(run.id, None)
            assert (summary.status, summary.model, summary.created) == (Status.INTERRUPTED, "m", None)
            newcomer = await member.whole(run.id)
            assert newcomer.names == ["gap", "error", "done"]
            assert newcomer.said(newcomer.events[0]) == {"missed": None, "reason": "trimmed"}
            assert newcomer.error["retryable"] is True
            assert "kept" not in newcomer.error["message"]
        a.hub.close(late.tail)
        assert await b.runs.read(run.id, None, newcomer.events[-1].id) is None


async def test_how_a_run_failed_is_known_though_the_store_lost_what_it_had_said() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        held = Held("some of it")
        run = await a.start(held)
        await a.settled(held.began.is_set)
        await a.runs._writer.flush()
        a.line.away = True
        run.cancel(RunError(ErrorType.CALLER_CANCELLED, "enough"))
        fleet.sea.lose(f"run:{run.id}")
        a.line.away = False
        await a.settled(lambda: f"run:{run.id}" in fleet.sea.ends)
        await a.quiet()
        newcomer = await b.whole(run.id)
        assert newcomer.names == ["gap", "error", "done"]
        assert (await b.runs.summary(run.id, None)).status is Status.CANCELLED


async def test_an_end_is_kept_back_while_nobody_knows_whether_it_is_the_end() -> None:
    async with Instances("a", "b") as fleet:
        a, _ = fleet.members
        held = Held("x")
        run = await a.start(held)
        viewer = await a.view(run.id)
        fleet.clock.advance(3)  # no beat was answered for so long
        gate, append = asyncio.Event(), a.line.append

        async def slow(batches: object) -> None:
            await gate.wait()
            await append(batches)  # type: ignore[arg-type]

        a.line.append = slow  # type: ignore[method-assign]
        held.released.set()
        await a.settled(lambda: run.ended)
        assert "done" not in viewer.names
        gate.set()
        await viewer.ended()
        assert viewer.names[-2:] == ["finish", "done"]


async def test_viewers_do_not_wait_for_a_store_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.runs.run._DOUBT", 0.01)
    async with Instances("a", "b") as fleet:
        a, _ = fleet.members
        held = Held("x")
        run = await a.start(held)
        viewer = await a.view(run.id)
        a.line.away = True
        await fleet.pass_time(3)
        held.released.set()
        await viewer.ended()
        assert viewer.names[-2:] == ["finish", "done"]
        a.line.away = False


async def test_an_instance_that_alone_is_cut_off_shows_the_end_that_the_others_have_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tailrace.runs.run._DOUBT", 0)
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        held = Held("x")
        run = await a.start(held)
        here, there = await a.view(run.id), await b.view(run.id)
        await there.saw("message")
        a.line.away = True
        await fleet.pass_time(8)
        await there.ended()
        held.released.set()
        await a.settled(lambda: run.ended)
        await asyncio.sleep(0.01)
        assert "finish" not in here.names
        a.line.away = False
        await here.ended()
        assert here.data.endswith(bytes(there.data[-200:]))
        assert here.error == there.error


@pytest.mark.parametrize("leaving", [False, True])
async def test_an_end_is_not_kept_back_for_ever(monkeypatch: pytest.MonkeyPatch, *, leaving: bool) -> None:
    monkeypatch.setattr("tailrace.runs.run._DOUBT" if leaving else "tailrace.runs.run._LONG_DOUBT", 0.01)
    async with Instances("a") as fleet:
        (a,) = fleet.members
        held = Held("x")
        run = await a.start(held)
        viewer = await a.view(run.id)
        a.line.away = True
        await fleet.pass_time(8)
        if leaving:
            a.runs.suspend_grace()
        held.released.set()
        await viewer.ended()
        assert viewer.names[-2:] == ["finish", "done"]
        a.line.away = False
        assert (await a.runs.summary(run.id, None)).status is Status.FINISHED


async def test_a_cancel_of_a_run_whose_end_is_kept_back_waits_for_it() -> None:
    async with Instances("a") as fleet:
        (a,) = fleet.members
        held = Held("x")
        run = await a.start(held)
        await a.settled(held.began.is_set)
        fleet.clock.advance(3)
        assert (await a.runs.cancel(run.id, None)).status is Status.CANCELLED


async def test_the_end_that_somebody_else_wrote_is_shown_though_another_was_on_its_way() -> None:
    async with Instances("a", "b") as fleet:
        a, _b = fleet.members
        held = Held("x")
        run = await a.start(held)
        viewer = await a.view(run.id)
        await viewer.saw("message")
        await a.runs._writer.flush()
        fleet.clock.advance(3)
        fleet.sea.seal(f"run:{run.id}", run.id, [Entry("error", '{"error":{"type":"caller_gone"}}'), Entry("done", "")])
        run.cancel(RunError(ErrorType.CALLER_CANCELLED, "too late"))
        await viewer.ended()
        assert viewer.error["type"] == "caller_gone"


async def test_without_others_a_run_goes_on_for_its_viewers_though_the_store_refuses_it() -> None:
    store = MemoryStore()
    async with House(store=store) as house:
        held = Held("x")
        run = await house.start(held)
        viewer = await house.view(run.id)
        await viewer.saw("message")
        store._forget(f"run:{run.id}")
        held.released.set()
        await viewer.ended()
        assert viewer.names[-2:] == ["finish", "done"]


async def test_a_store_that_fails_while_the_end_is_looked_for_is_asked_again() -> None:
    async with Instances("a", "b") as fleet:
        a, _ = fleet.members
        held = Held("x")
        run = await a.start(held)
        viewer = await a.view(run.id)
        await viewer.saw("message")
        await a.runs._writer.flush()
        fleet.sea.lose(f"run:{run.id}")
        a.line.away = True
        run.on_refused()
        run.on_refused()
        await asyncio.sleep(0.02)
        assert not viewer.finished.is_set()
        a.line.away = False
        await viewer.ended()
        assert viewer.error["type"] == "tailrace_interrupted"


async def test_a_viewer_who_has_seen_the_end_elsewhere_brings_it_to_a_producer_who_does_not_know() -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        held = Held("x")
        run = await a.start(held)
        here, there = await a.view(run.id), await b.view(run.id)
        await there.saw("message")
        await a.runs._writer.flush()
        fleet.sea.seal(f"run:{run.id}", run.id, [Entry(*said) for said in interruption()])
        await there.ended()
        assert not here.finished.is_set()
        resumed = await a.view(run.id, there.events[-2].id)
        await asyncio.gather(resumed.ended(), here.ended())
        assert resumed.names == ["resume", "done"]
        assert here.data == there.data
        assert await a.runs.read(run.id, None, there.events[-1].id) is None


async def test_a_cursor_beyond_everything_is_no_reason_to_wait_for_a_run_that_is_produced_here() -> None:
    async with Instances("a") as fleet:
        (a,) = fleet.members
        held = Held("x")
        run = await a.start(held)
        async with asyncio.timeout(1):
            ahead = await a.view(run.id, f"{run.id}-77")
        assert ahead.said(ahead.events[0])["reason"] == "ahead"
        held.released.set()
        await ahead.ended()
        assert ahead.text == "x!"


async def test_a_viewer_who_is_far_behind_in_a_run_that_the_store_lost_waits_for_its_end() -> None:
    async with Instances("a", "b") as fleet:
        a, _ = fleet.members
        held = Held(*["word "] * 300)
        run = await a.start(held)
        await a.settled(held.began.is_set)
        await a.runs._writer.flush()
        fleet.sea.lose(f"run:{run.id}")
        late = await a.view(run.id)
        for _ in range(50):
            await asyncio.sleep(0)
        assert not late.finished.is_set()
        run.on_refused()
        await late.ended()
        assert late.names == ["gap", "error", "done"]
        assert not late.aborted
