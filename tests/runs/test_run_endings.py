"""One run: how it ends, whoever ends it, and that it ends once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.errors import ErrorType, RunError
from tailrace.runs import Finish, Item, Run, Status
from tests.support.producers import Held
from tests.support.viewers import House, Viewer

pytestmark = pytest.mark.anyio

CANCELLED = RunError(ErrorType.CALLER_CANCELLED, "cancelled")

# Cancelling.


async def test_a_cancelled_run_ends_for_all_viewers_and_its_producer_is_closed() -> None:
    async with House() as house:
        held = Held("a")
        run = await house.start(held)
        viewers = [await house.view(run.id) for _ in range(3)]
        await held.began.wait()
        assert run.cancel(CANCELLED)
        assert not run.cancel(CANCELLED)
        for viewer in viewers:
            await viewer.ended()
            assert viewer.names == ["start", "message", "error", "done"]
            assert viewer.data == viewers[0].data
        await held.closed.wait()
        assert run.status is Status.CANCELLED


@pytest.mark.parametrize("steps", range(4))
async def test_a_run_can_be_cancelled_before_its_first_token(steps: int) -> None:
    async with House() as house:
        held = Held()
        run = await house.start(held)
        for _ in range(steps):
            await asyncio.sleep(0)
        run.cancel(CANCELLED)
        viewer = await house.whole(run.id)
        assert viewer.names == ["start", "error", "done"]
        await run.wait_closed()
        assert held.closed.is_set() is held.began.is_set()


async def test_an_iterator_is_closed_even_if_the_run_is_cancelled_before_it_is_asked() -> None:
    class Connection:
        closed = False

        def __aiter__(self) -> Connection:
            return self

        async def __anext__(self) -> str:
            raise AssertionError("nobody is to ask")

        async def aclose(self) -> None:
            self.closed = True

    async with House() as house:
        connection = Connection()
        run = await house.start(connection)
        run.cancel(CANCELLED)
        await run.wait_closed()
        assert connection.closed


async def test_a_producer_may_cancel_its_own_run() -> None:
    async with House() as house:
        runs: list[Run] = []
        closed = asyncio.Event()

        async def produce() -> AsyncIterator[Item]:
            try:
                yield "a"
                runs[0].cancel(CANCELLED)
                yield "b"
                yield "c"
            finally:
                closed.set()

        runs.append(await house.start(produce))
        viewer = await house.whole(runs[0].id)
        await closed.wait()
        assert viewer.names == ["start", "message", "error", "done"]


async def test_a_producer_that_ignores_its_cancellation_says_nothing_more() -> None:
    async with House() as house:
        began = asyncio.Event()

        async def produce() -> AsyncIterator[Item]:
            yield "a"
            began.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                yield "b"
            yield "c"

        run = await house.start(produce)
        await began.wait()
        run.cancel(CANCELLED)
        await run.wait_closed()
        viewer = await house.whole(run.id)
        assert viewer.names == ["start", "message", "error", "done"]


async def test_a_run_whose_task_is_cancelled_by_the_closing_loop_is_interrupted() -> None:
    async with House() as house:
        held = Held("a")
        run = await house.start(held)
        await held.began.wait()
        (task,) = [task for task in asyncio.all_tasks() if task.get_name() == f"run {run.id}"]
        task.cancel()
        viewer = await house.whole(run.id)
        assert viewer.error["type"] == "tailrace_interrupted"
        assert run.status is Status.INTERRUPTED


# Who watches.


async def test_a_run_that_nobody_watches_is_cancelled_after_its_grace() -> None:
    async with House() as house:
        held = Held("a")
        run = await house.start(held, grace=10)
        viewer = await house.view(run.id)
        await held.began.wait()
        viewer.leave()
        house.pass_time(9.8)
        assert not run.ended
        house.pass_time(0.4)
        assert run.status is Status.CANCELLED
        assert (await house.whole(run.id)).error["type"] == "caller_gone"
        await held.closed.wait()


async def test_a_viewer_who_returns_within_the_grace_keeps_the_run_going() -> None:
    async with House() as house:
        held = Held("a")
        run = await house.start(held, grace=10)
        first = await house.view(run.id)
        await first.saw("message")
        first.leave()
        house.pass_time(9)
        second = await house.view(run.id, first.events[-1].id)
        house.pass_time(100)
        held.released.set()
        await second.ended()
        assert second.names == ["resume", "message", "finish", "done"]


async def test_a_run_goes_on_while_one_of_its_viewers_is_there() -> None:
    async with House() as house:
        held = Held("a")
        run = await house.start(held, grace=0)
        one, other = await house.view(run.id), await house.view(run.id)
        one.leave()
        house.pass_time(100)
        assert not run.ended
        other.leave()
        assert run.status is Status.CANCELLED  # no grace: at once


async def test_a_run_without_a_bound_on_its_grace_is_finished_unwatched() -> None:
    async with House() as house:
        held = Held("a")
        run = await house.start(held, grace=None)
        (await house.view(run.id)).leave()
        house.pass_time(1e6)
        held.released.set()
        assert (await house.whole(run.id)).text == "a!"


async def test_a_run_that_nobody_ever_watched_is_cancelled_too() -> None:
    async with House() as house:
        for grace, bearable in ((10.0, 9.8), (0.0, 0.8)):
            run = await house.start(Held("a"), grace=grace)
            house.pass_time(bearable)
            assert not run.ended
            house.pass_time(0.5)
            assert run.status is Status.CANCELLED


async def test_nobody_is_given_up_while_the_process_leaves() -> None:
    async with House() as house:
        before = await house.start(Held("a"), grace=0)
        viewer = await house.view(before.id)
        house.runs.suspend_grace()
        after = await house.start(Held("a"), grace=0)
        viewer.leave()
        house.pass_time(100)
        assert not before.ended
        assert not after.ended
        house.runs.interrupt_all()
        assert before.status is after.status is Status.INTERRUPTED


# Whatever happens, in whatever order.

ENDINGS = {
    "finish": "finished",
    "stop": "finished",
    "raise": "failed",
    "run error": "failed",
    "cancel": "cancelled",
    "cancel from within": "cancelled",
    "grace": "cancelled",
    "interrupt": "interrupted",
}
WORDS = st.text(st.sampled_from("aé😀"), min_size=1, max_size=3)
STEPS = st.lists(WORDS.map(lambda word: f"say {word}") | st.sampled_from([*ENDINGS, "come", "turn"]), max_size=10)


@given(STEPS)
@settings(deadline=None, max_examples=150)
def test_a_run_ends_exactly_once_whatever_happens_in_whatever_order(steps: list[str]) -> None:
    logging.getLogger("tailrace").disabled = True  # the producers that raise are logged
    try:
        asyncio.run(scenario(steps))
    finally:
        logging.getLogger("tailrace").disabled = False


async def scenario(steps: list[str]) -> None:
    async with House() as house:
        script = asyncio.Queue[str]()
        began, closed = asyncio.Event(), asyncio.Event()

        async def produce() -> AsyncIterator[Item]:
            began.set()
            try:
                while (step := await script.get()) != "stop":
                    if step == "cancel from within":
                        run.cancel(CANCELLED)
                    elif step == "raise":
                        raise ValueError(step)
                    elif step == "run error":
                        raise RunError(ErrorType.PROVIDER_FAILED, step)
                    else:
                        yield Finish("stop") if step == "finish" else step.removeprefix("say ")
            finally:
                closed.set()

        run = await house.start(produce, grace=5)
        viewers = [await house.view(run.id)]
        expected = ""
        for number, step in enumerate([*steps, "cancel"]):
            over = any(step in ENDINGS for step in steps[:number])
            if step.startswith("say ") and not over:
                expected += step.removeprefix("say ")
            await act(house, run, viewers, script, step)
        for viewer in viewers:
            await viewer.ended()
        await run.wait_closed()
        check(await house.whole(run.id), expected, next((step for step in steps if step in ENDINGS), "cancel"))
        assert closed.is_set() is began.is_set()
        assert (await house.runs.summary(run.id, None)).status == run.status


async def act(house: House, run: Run, viewers: list[Viewer], script: asyncio.Queue[str], step: str) -> None:
    match step:
        case "cancel":
            run.cancel(CANCELLED)
        case "interrupt":
            house.runs.interrupt_all()
        case "come":
            viewers.append(await house.view(run.id))
        case "grace":
            for viewer in viewers:
                viewer.leave()
                viewer.finished.set()
            house.pass_time(6)
        case "turn":
            await asyncio.sleep(0)
        case _:
            script.put_nowait(step)
            for _ in range(6):
                await asyncio.sleep(0)


def check(viewer: Viewer, text: str, ending: str) -> None:
    assert viewer.names[0] == "start"
    assert viewer.names.count("done") == 1
    assert viewer.names[-2:] == ["finish" if ENDINGS[ending] == "finished" else "error", "done"]
    assert len([name for name in viewer.names if name in {"finish", "error"}]) == 1
    assert viewer.text == text
    offsets = [int(event.id.rpartition("-")[2]) for event in viewer.events]
    assert offsets == list(range(1, len(offsets) + 1))
