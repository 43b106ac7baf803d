"""Waiting on behalf of a client that may leave."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from starlette.requests import ClientDisconnect

from tailrace.web.waiting import while_there

if TYPE_CHECKING:
    from tailrace.asgi import Message

pytestmark = pytest.mark.anyio


class Client:
    """Says nothing until it leaves."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}


class Work:
    """Goes on until it is done, and knows whether it was cancelled."""

    def __init__(self) -> None:
        self.done = asyncio.Event()
        self.begun = asyncio.Event()
        self.cancelled = False

    async def __call__(self) -> str:
        self.begun.set()
        try:
            await self.done.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return "result"


async def test_whoever_stays_gets_the_result() -> None:
    work = Work()
    asyncio.get_running_loop().call_soon(work.done.set)
    assert await while_there(Client().receive, work()) == "result"


async def test_work_is_cancelled_when_its_client_leaves() -> None:
    client, work = Client(), Work()
    asyncio.get_running_loop().call_soon(client.gone.set)
    with pytest.raises(ClientDisconnect):
        await while_there(client.receive, work())
    assert work.cancelled
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling(), "whoever waited goes on"


async def test_a_fault_of_the_work_is_raised_as_it_is() -> None:
    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await while_there(Client().receive, fail())


async def test_a_cancellation_from_elsewhere_stays_one_also_when_the_client_leaves_with_it() -> None:
    for leaves in (False, True):
        client, work = Client(), Work()
        waiting = asyncio.ensure_future(while_there(client.receive, work()))
        await work.begun.wait()
        if leaves:
            client.gone.set()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert work.cancelled


async def test_nothing_is_left_listening_when_the_work_is_done() -> None:
    before = asyncio.all_tasks()
    work = Work()
    work.done.set()
    await while_there(Client().receive, work())
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
