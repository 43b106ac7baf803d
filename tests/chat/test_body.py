"""What we rely on in aiohttp beyond its public interface, against the installed version."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tailrace.chat.body import Body
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Respond = Callable[[bytes], Awaitable[aiohttp.ClientResponse]]

pytestmark = pytest.mark.anyio

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
PIECE = b"x" * 1000
PIECES = 8000  # 8 MB: far more than aiohttp's buffer and the sockets' take


@pytest.fixture
async def respond() -> AsyncIterator[Respond]:
    """Return a function that GETs from a server which answers exactly the given bytes, then closes."""
    wire = b""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(wire)
        try:
            await writer.drain()
        except ConnectionError:
            return
        writer.close()

    async def get(answer: bytes) -> aiohttp.ClientResponse:
        nonlocal wire
        wire = answer
        return await session.get(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with aiohttp.ClientSession() as session:
        yield get
    server.close()
    await server.wait_closed()


async def _whole(body: Body) -> bytes:
    pieces = []
    while piece := await body.receive():
        pieces.append(piece)
    return b"".join(pieces)


async def test_http_chunks_that_arrive_together_are_received_together(respond: Respond) -> None:
    async with await respond(HEAD + b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n") as response:
        body = Body(response)
        await response.content.wait_eof()
        assert await body.receive() == b"onetwo"
        assert body.ended
        assert await body.receive() == b""


async def test_a_body_of_many_small_chunks_is_bounded_while_unread_and_complete_in_the_end(respond: Respond) -> None:
    chunk = b"%x\r\n%s\r\n" % (len(PIECE), PIECE)
    async with await respond(HEAD + chunk * PIECES + b"0\r\n\r\n") as response:
        body = Body(response)
        assert response.connection is not None
        protocol = response.connection.protocol
        assert protocol is not None
        await eventually(lambda: protocol._reading_paused)
        assert response.content.total_bytes < 2_000_000
        assert len(await _whole(body)) == PIECES * len(PIECE)


async def test_what_arrived_before_a_break_can_be_had_after_it(respond: Respond) -> None:
    async with await respond(HEAD + b"3\r\none\r\n3\r\ntw") as response:
        body = Body(response)
        await eventually(response.content.exception)
        with pytest.raises(aiohttp.ClientPayloadError):
            await body.receive()
        assert body.arrived() == b"onetw"
        assert body.arrived() == b""


async def test_a_failure_reaches_the_one_who_waits(respond: Respond) -> None:
    async with await respond(HEAD + b"3\r\none\r\n") as response:
        body = Body(response)
        assert await body.receive() == b"one"
        body.fail(RuntimeError("enough"))
        with pytest.raises(RuntimeError, match="enough"):
            await body.receive()


async def test_the_limit_on_small_chunks_counts_only_those_that_are_unread(respond: Respond) -> None:
    async with await respond(HEAD + b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n") as response:
        assert len(await _whole(Body(response))) == 100_000


async def test_a_response_that_has_no_body_is_at_its_end(respond: Respond) -> None:
    async with await respond(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as response:
        body = Body(response)
        assert body.ended
        assert await body.receive() == b""
        assert body.arrived() == b""
