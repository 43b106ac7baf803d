"""The plain sink: one write under way at a time, and every ending told apart."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tailrace.asgi import AsgiSink

pytestmark = pytest.mark.anyio


class Consumer:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_writable(self) -> None:
        self.told.append("writable")

    def on_closed(self, reason: str) -> None:
        self.told.append(reason)


class Client:
    """The server's side: `send` waits until the client reads, `receive` until it leaves."""

    def __init__(self) -> None:
        self.reading = asyncio.Event()
        self.reading.set()
        self.gone = asyncio.Event()
        self.sent: list[tuple[bytes, bool]] = []
        self.fault: Exception | None = None

    async def send(self, message: Any) -> None:
        if self.fault is not None:
            raise self.fault
        await self.reading.wait()
        self.sent.append((message["body"], message["more_body"]))

    async def receive(self) -> Any:
        await self.gone.wait()
        return {"type": "http.disconnect"}


class Stream:
    """A sink that is being pumped to a client."""

    def __init__(self) -> None:
        self.client, self.consumer = Client(), Consumer()
        self.sink = AsgiSink(self.client.send)
        self.sink.bind(self.consumer)
        self.pump = asyncio.ensure_future(self.sink.pump(self.client.receive))

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def over(self) -> None:
        await asyncio.wait_for(self.pump, 5)


async def test_it_takes_everything_when_idle_and_nothing_while_a_write_is_under_way() -> None:
    stream = Stream()
    stream.client.reading.clear()
    assert stream.sink.write(b"one") == 3
    await stream.settle()
    assert stream.sink.backlog() == 3, "send has it, and has not come back"
    with pytest.raises(BlockingIOError):
        stream.sink.write(b"two")
    stream.client.reading.set()
    await stream.settle()
    assert stream.sink.ready
    assert stream.client.sent == [(b"one", True)]
    assert stream.consumer.told == ["writable"]
    stream.client.gone.set()
    await stream.over()


async def test_what_is_queued_goes_behind_what_is_under_way() -> None:
    stream = Stream()
    stream.client.reading.clear()
    stream.sink.write(b"one")
    await stream.settle()
    assert not stream.sink.queue(b"two")
    assert (stream.sink.backlog(), stream.sink.acknowledged()) == (6, 0)
    stream.client.reading.set()
    await stream.settle()
    assert (stream.sink.backlog(), stream.sink.acknowledged()) == (0, 6)
    assert stream.client.sent == [(b"one", True), (b"two", True)]
    stream.client.gone.set()
    await stream.over()


async def test_the_last_bytes_and_the_end_leave_in_one_message() -> None:
    stream = Stream()
    stream.sink.write(b"last")
    stream.sink.finish()
    await stream.over()
    assert stream.client.sent == [(b"last", False)]


async def test_an_end_while_a_write_is_under_way_follows_it() -> None:
    stream = Stream()
    stream.client.reading.clear()
    stream.sink.write(b"one")
    await stream.settle()
    stream.sink.finish()
    stream.client.reading.set()
    await stream.over()
    assert stream.client.sent == [(b"one", True), (b"", False)]


async def test_a_client_that_leaves_ends_the_pump_and_the_consumer_is_told() -> None:
    stream = Stream()
    stream.client.reading.clear()
    stream.sink.write(b"never read")
    await stream.settle()
    stream.client.gone.set()
    await stream.over()
    assert stream.consumer.told == ["gone"]
    assert stream.client.sent == []


async def test_an_abort_returns_with_the_answer_incomplete() -> None:
    """A clean end would tell the client that this was all."""
    stream = Stream()
    stream.client.reading.clear()
    stream.sink.write(b"one")
    await stream.settle()
    stream.sink.abort()
    await stream.over()
    assert stream.client.sent == []


async def test_an_abort_before_the_pump_says_nothing_either() -> None:
    client = Client()
    sink = AsgiSink(client.send)
    sink.abort()
    await asyncio.wait_for(sink.pump(client.receive), 5)
    assert client.sent == []


async def test_a_server_that_says_by_oserror_that_the_client_is_gone_is_no_fault() -> None:
    stream = Stream()
    stream.client.fault = BrokenPipeError()
    stream.sink.write(b"one")
    await stream.over()
    assert stream.consumer.told == ["gone"]


async def test_what_else_a_server_raises_is_raised() -> None:
    stream = Stream()
    stream.client.fault = RuntimeError("a bug")
    stream.sink.write(b"one")
    with pytest.raises(RuntimeError, match="a bug"):
        await stream.over()
    assert stream.consumer.told == ["gone"]


async def test_a_pump_that_is_cancelled_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    stream = Stream()
    await stream.settle()
    stream.pump.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stream.pump
    assert asyncio.all_tasks() == before
    assert stream.consumer.told == ["gone"]
