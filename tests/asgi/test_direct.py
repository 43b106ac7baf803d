"""The direct lane's sink, over a real socket and the loop's own transport."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tailrace.asgi.direct import DirectSink

pytestmark = pytest.mark.anyio


class Told:
    """The server's side of the connection and the hub's: both note what they are told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def settle(self, sink: DirectSink) -> None:
        self.told.append("settle")

    def resume(self, sink: DirectSink) -> None:
        self.told.append("resume")

    def lost(self, sink: DirectSink) -> None:
        self.told.append("lost")

    def shutdown(self) -> None:
        self.told.append("shutdown")

    def on_writable(self) -> None:
        self.told.append("writable")

    def on_closed(self, reason: str) -> None:
        self.told.append(reason)


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[DirectSink, socket.socket, Told]]:
    """A settled sink, and the client's socket, which takes little at a time."""
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    ours.setblocking(False)
    theirs.setblocking(False)
    told = Told()
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    transport.set_write_buffer_limits(high=0)
    sink = DirectSink(told, transport)
    transport.set_protocol(sink)
    sink.bind(told)
    try:
        yield sink, theirs, told
    finally:
        transport.abort()
        theirs.close()
        await asyncio.sleep(0)


async def until(condition: Callable[[], Any]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it did not come to be")


async def drained(theirs: socket.socket, size: int) -> bytes:
    """Read exactly so many bytes as the client."""
    data, loop = b"", asyncio.get_running_loop()
    while len(data) < size:
        data += await asyncio.wait_for(loop.sock_recv(theirs, size - len(data)), 5)
    return data


async def test_what_the_kernel_does_not_take_is_queued_and_the_consumer_hears_when_it_has_left() -> None:
    async with connected() as (sink, theirs, told):
        frame = bytes(range(256)) * 1000
        taken = sink.write(frame)
        assert 0 < taken < len(frame)
        assert not sink.queue(frame[taken:])
        assert (sink.ready, sink.paused) == (False, True)
        assert sink.backlog() >= len(frame) - taken
        assert await drained(theirs, len(frame)) == frame
        await until(lambda: told.told == ["writable"])
        assert (sink.ready, sink.backlog()) == (True, 0)


async def test_a_full_socket_takes_nothing() -> None:
    async with connected() as (sink, _, _):
        with pytest.raises(BlockingIOError):
            fill(sink)


def fill(sink: DirectSink) -> None:
    while True:
        sink.write(b"x" * 1000)


async def test_a_peer_that_leaves_is_told_once_and_the_descriptor_is_forgotten() -> None:
    async with connected() as (sink, theirs, told):
        theirs.close()
        await until(lambda: told.told)
        assert told.told == ["lost", "gone"]
        with pytest.raises(BrokenPipeError):
            sink.write(b"whose is this number now?")


async def test_after_an_abort_nothing_is_written_even_before_the_transport_says_so() -> None:
    async with connected() as (sink, _, told):
        sink.abort()
        with pytest.raises(BrokenPipeError):
            sink.write(b"x")
        await until(lambda: told.told == ["lost", "gone"])


async def test_after_the_end_the_connection_is_taken_back_and_the_consumer_hears_nothing_more() -> None:
    async with connected() as (sink, theirs, told):
        frame = b"y" * 500_000
        sink.queue(frame)
        sink.finish()
        assert await drained(theirs, len(frame)) == frame
        await until(lambda: not sink.paused)
        await asyncio.sleep(0)
        assert told.told == ["resume"]


async def test_the_end_of_a_connection_that_is_closing_is_not_taken_back() -> None:
    async with connected() as (sink, _, told):
        sink.transport.close()
        sink.finish()
        await until(lambda: "lost" in told.told)
        assert "resume" not in told.told


async def test_what_the_client_sends_early_is_kept_up_to_a_bound_and_reading_goes_on() -> None:
    async with connected() as (sink, theirs, told):
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(theirs, b"GET / HTTP/1.1")
        await until(lambda: sink.early == b"GET / HTTP/1.1")
        await loop.sock_sendall(theirs, b"e" * 2_000_000)
        await until(lambda: "shutdown" in told.told)
        assert sink.early == b""
        theirs.close()
        await until(lambda: "lost" in told.told)


async def test_leaving_and_settling_are_for_the_server_to_hear() -> None:
    async with connected() as (sink, _, told):
        sink.settle()
        sink.shutdown()
        assert told.told == ["settle", "shutdown"]
        other = Told()
        sink.settled(other)
        sink.shutdown()
        assert other.told == ["shutdown"]


async def test_a_socket_that_is_closed_already_takes_nothing() -> None:
    async with connected() as (settled, _, told):
        transport = settled.transport
        transport.abort()
        await until(lambda: "lost" in told.told)
        sink = DirectSink(Told(), transport)
        with pytest.raises(BrokenPipeError):
            sink.write(b"x")
