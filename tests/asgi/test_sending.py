"""The way out of a WebSocket over `send`: what is full, whose turn it is, and every ending."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tailrace.asgi.frames import BEAT, text_frame
from tailrace.asgi.sending import SendOutlet
from tailrace.asgi.socket import SocketSink

pytestmark = pytest.mark.anyio


class Client:
    """The server's side: `send` waits until the client reads."""

    def __init__(self) -> None:
        self.reading = asyncio.Event()
        self.reading.set()
        self.heard: list[str] = []
        self.gone = False

    async def send(self, message: Any) -> None:
        await self.reading.wait()
        if self.gone:
            raise OSError("gone")
        self.heard.append(message["text"])


class Stream:
    """A stream that writes `each` whenever it can, as often as there is `left`; as a subscription does."""

    def __init__(self, outlet: SendOutlet, each: str, left: int = 0) -> None:
        self.frame, self.left = text_frame(each.encode()), left
        self.over: list[bool] = []
        self.sink = SocketSink(outlet, self.over.append)
        self.sink.bind(self)

    def on_writable(self) -> None:
        while self.left and self.sink.ready:
            assert self.sink.write(self.frame) == len(self.frame)
            self.left -= 1
        if self.left:
            self.left -= 1
            assert not self.sink.queue(self.frame)

    def on_closed(self, reason: str) -> None:
        raise AssertionError(reason)


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_messages_leave_one_by_one_and_a_heartbeat_is_none() -> None:
    client = Client()
    async with SendOutlet(client.send) as outlet:
        assert outlet.write(BEAT) == len(BEAT)
        data = text_frame(b"a") + text_frame(b"b")
        assert outlet.write(data) == len(data)
        assert outlet.backlog() == len(data)
        await turns()
        assert client.heard == ["a", "b"]
        assert (outlet.backlog(), outlet.acknowledged(), outlet.full) == (0, len(data), False)


async def test_nothing_is_taken_while_a_write_is_under_way_but_what_must_be() -> None:
    client = Client()
    client.reading.clear()
    async with SendOutlet(client.send) as outlet:
        outlet.write(text_frame(b"a"))
        with pytest.raises(BlockingIOError):
            outlet.write(text_frame(b"b"))
        outlet.queue(text_frame(b"c"))
        client.reading.set()
        await turns()
        assert client.heard == ["a", "c"]


async def test_those_who_wait_have_the_room_in_turn() -> None:
    client = Client()
    client.reading.clear()
    async with SendOutlet(client.send) as outlet:
        outlet.say(text_frame(b"reply"))
        for name in ("a", "b"):
            Stream(outlet, name, left=6)
        client.reading.set()
        await turns(100)
        assert client.heard[0] == "reply"
        assert sorted(client.heard[1:]) == ["a"] * 6 + ["b"] * 6
        assert "b" in client.heard[1:4]


async def test_a_stream_that_left_has_no_turn() -> None:
    client = Client()
    client.reading.clear()
    async with SendOutlet(client.send) as outlet:
        outlet.say(text_frame(b"reply"))
        stream = Stream(outlet, "a", left=1)
        stream.sink.leave()
        client.reading.set()
        await turns()
        assert client.heard == ["reply"]


async def test_an_end_in_order_is_the_streams_alone() -> None:
    async with SendOutlet(Client().send) as outlet:
        stream = Stream(outlet, "a")
        stream.sink.finish()
        assert stream.over == [True]
        outlet.write(text_frame(b"b"))


async def test_a_stream_that_breaks_is_told_to_have_where_its_peer_has_taken_everything() -> None:
    async with SendOutlet(Client().send) as outlet:
        stream = Stream(outlet, "a")
        stream.sink.abort()
        assert stream.over == [False]


async def test_a_peer_that_takes_nothing_loses_the_connection_with_the_stream() -> None:
    client, ended = Client(), asyncio.Event()
    client.reading.clear()

    async def serve() -> None:
        async with SendOutlet(client.send) as outlet:
            stream = Stream(outlet, "a", left=1)
            stream.on_writable()
            asyncio.get_running_loop().call_soon(stream.sink.abort)
            await asyncio.Event().wait()
        ended.set()

    async with asyncio.timeout(5):
        await asyncio.create_task(serve())
    assert ended.is_set()
    assert client.heard == []


async def test_a_cancellation_of_somebody_elses_is_passed_on() -> None:
    async def serve() -> None:
        async with SendOutlet(Client().send):
            await asyncio.Event().wait()

    serving = asyncio.create_task(serve())
    await turns()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving


async def test_who_hears_no_replies_is_waited_for_until_it_does_or_is_gone() -> None:
    client = Client()
    client.reading.clear()
    async with SendOutlet(client.send) as outlet:
        for _ in range(3):
            outlet.say(text_frame(b"x" * 30_000))
        waiting = [asyncio.ensure_future(outlet.heard()), asyncio.ensure_future(outlet.flushed())]
        await turns()
        assert not any(each.done() for each in waiting)
        client.reading.set()
        await asyncio.gather(*waiting)
        client.reading.clear()
        outlet.say(text_frame(b"x" * 70_000))
        waiting = [asyncio.ensure_future(outlet.heard()), asyncio.ensure_future(outlet.flushed())]
        await turns()
        outlet.shut()
        await asyncio.gather(*waiting)


async def test_nothing_is_written_to_who_has_left() -> None:
    client = Client()
    client.gone = True
    async with SendOutlet(client.send) as outlet:
        outlet.write(text_frame(b"a"))
        await turns()
        outlet.shut()
        outlet.say(text_frame(b"b"))
        with pytest.raises((BrokenPipeError, BlockingIOError)):
            outlet.write(text_frame(b"c"))
