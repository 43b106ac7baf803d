"""Tasks that nobody waits for."""

from __future__ import annotations

import asyncio

import pytest

from tailrace.runs.tasks import Tasks

pytestmark = pytest.mark.anyio


async def test_a_task_that_fails_is_heard_of(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ZeroDivisionError("what it was")

    tasks = Tasks()
    await asyncio.wait((tasks.start(fail()),))
    await asyncio.sleep(0)
    assert not len(tasks)
    assert "what it was" in caplog.text


async def test_settling_waits_for_what_ends_and_cancels_what_does_not() -> None:
    tasks, done = Tasks(), asyncio.Event()
    assert await tasks.settle(0)

    async def soon() -> None:
        await asyncio.sleep(0)
        done.set()

    async def never() -> None:
        await asyncio.Event().wait()

    tasks.start(soon())
    assert await tasks.settle(5)
    assert done.is_set()
    left = tasks.start(never())
    assert not await tasks.settle(0.01)
    await asyncio.wait((left,))
    assert left.cancelled()


async def test_everything_can_be_stopped() -> None:
    tasks = Tasks()
    left = tasks.start(asyncio.sleep(60))
    tasks.cancel()
    await asyncio.wait((left,))
    assert left.cancelled()
