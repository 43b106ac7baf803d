"""The HTTP side of a provider, below what the providers' own tests reach."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest
from yarl import URL

from tailrace.chat.places import Queue, Saturated
from tailrace.chat.timeouts import Timeouts
from tailrace.chat.upstream import Connections, Exchange, Upstream
from tailrace.errors import ErrorType, ProviderError
from tests.support.upstream import Script
from tests.support.upstream import Upstream as Scripted
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

QUICK = Timeouts(connect=0.05)


@pytest.fixture
async def connections() -> AsyncIterator[Connections]:
    connections = Connections()
    yield connections
    await connections.close()


async def _failure(url: str, connections: Connections, timeouts: Timeouts = QUICK) -> ErrorType:
    upstream = Upstream(URL(url), {}, connections, timeouts)
    with pytest.raises(ProviderError) as caught:
        await upstream.post(b"{}")
    assert upstream.open == 0
    return caught.value.type


async def test_a_listener_that_accepts_nothing_is_a_connect_timeout(connections: Connections) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(8)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(address)
        assert await _failure(f"http://127.0.0.1:{address[1]}", connections) == ErrorType.PROVIDER_CONNECT_TIMEOUT
        for client in waiting:
            client.close()


async def test_a_tls_handshake_that_never_ends_is_a_connect_timeout(connections: Connections) -> None:
    with Scripted() as up:
        url = up.url.replace("http:", "https:")
        assert await _failure(url, connections) == ErrorType.PROVIDER_CONNECT_TIMEOUT


async def test_a_name_that_does_not_resolve_is_unreachable(connections: Connections) -> None:
    assert await _failure("http://nowhere.invalid", connections, Timeouts()) == ErrorType.PROVIDER_UNREACHABLE


async def test_an_answer_that_is_not_http_is_malformed(connections: Connections) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert await _failure(f"http://127.0.0.1:{port}", connections) == ErrorType.PROVIDER_MALFORMED
    server.close()
    await server.wait_closed()


async def test_what_arrives_after_a_timeout_is_not_received_any_more(connections: Connections) -> None:
    with Scripted(Script(fault="stall", after=1)) as up:
        exchange = await Upstream(URL(f"{up.url}/v1/messages"), {}, connections).post(b"{}")
        await up.until(lambda seen: seen[0].streaming_at)
        exchange.cut()
        assert await exchange.receive()
        up.resume()
        await up.until(lambda seen: seen[0].finished_at is not None)
        with pytest.raises(ProviderError):
            await exchange.receive()
        exchange.close()


async def test_a_finished_answer_whose_body_ends_later_leaves_its_connection_to_the_next(
    connections: Connections,
) -> None:
    with Scripted(Script(fault="stall", after=4)) as up:
        upstream = Upstream(URL(f"{up.url}/v1/messages"), {}, connections)
        exchange = await upstream.post(b"{}")
        exchange.finish()
        assert upstream.open == 0
        up.resume()
        await eventually(lambda: not connections._lingering)
        (await upstream.post(b"{}")).close()
        assert up.connections == 1


async def test_a_finished_answer_whose_body_does_not_end_is_closed_after_a_while(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tailrace.chat.connections._LINGER", 0.01)
    with Scripted(Script(fault="stall", after=4)) as up:
        exchange = await Upstream(URL(f"{up.url}/v1/messages"), {}, connections).post(b"{}")
        assert await exchange.receive()
        exchange.finish()
        await up.until(lambda seen: seen[0].aborted_at is not None)
        assert not connections._lingering


async def test_closing_the_connections_closes_answers_that_end_by_themselves(connections: Connections) -> None:
    with Scripted(Script(fault="stall", after=4)) as up:
        exchange = await Upstream(URL(f"{up.url}/v1/messages"), {}, connections).post(b"{}")
        exchange.finish()
        await connections.close()
        await up.until(lambda seen: seen[0].aborted_at is not None)


async def test_connections_can_be_used_again_after_they_were_closed(connections: Connections) -> None:
    with Scripted() as up:
        upstream = Upstream(URL(f"{up.url}/v1/messages"), {}, connections)
        for _ in range(2):
            exchange = await upstream.post(b"{}")
            assert await exchange.receive()
            exchange.close()
            exchange.close()
            assert upstream.open == 0
            await connections.close()


QUEUED = Queue(length=2, seconds=30)


async def _drained(exchange: Exchange) -> None:
    while await exchange.receive():
        pass


@pytest.fixture
async def queued() -> AsyncIterator[Connections]:
    connections = Connections(QUEUED)
    yield connections
    await connections.close()


async def test_who_finds_no_place_waits_for_one_in_turn(queued: Connections) -> None:
    with Scripted(Script(fault="stall", after=1)) as up:
        upstream = Upstream(URL(f"{up.url}/v1/messages"), {}, queued, max_streams=1)
        first = await upstream.post(b'"first"')
        waiting = []
        for body in (b'"second"', b'"third"'):
            waiting.append(asyncio.ensure_future(upstream.post(body)))
            await eventually(lambda: upstream.places.waiting == len(waiting))
        with pytest.raises(Saturated, match="and 2 wait for a place"):
            await upstream.post(b'"fourth"')
        first.close()
        (await waiting[0]).close()
        (await waiting[1]).close()
        assert [seen.body for seen in up.seen] == ["first", "second", "third"]
        assert (upstream.open, upstream.places.waiting) == (0, 0)


async def test_a_wait_that_is_too_long_ends_as_overloaded_with_a_time_to_come_back() -> None:
    connections = Connections(Queue(length=1, seconds=0.01))
    with Scripted(Script(fault="stall", after=1)) as up:
        upstream = Upstream(URL(f"{up.url}/v1/messages"), {}, connections, max_streams=1)
        first = await upstream.post(b"{}")
        with pytest.raises(ProviderError) as caught:
            await upstream.post(b"{}")
        assert (caught.value.type, caught.value.retry_after) == (ErrorType.PROVIDER_OVERLOADED, 1.0)
        first.close()
        assert (upstream.open, len(up.seen)) == (0, 1)
    await connections.close()


async def test_who_is_cancelled_in_line_asks_nothing_and_leaves_its_place_to_the_next(queued: Connections) -> None:
    with Scripted(Script(fault="stall", after=1)) as up:
        upstream = Upstream(URL(f"{up.url}/v1/messages"), {}, queued, max_streams=1)
        first = await upstream.post(b'"first"')
        gone, stays = (asyncio.ensure_future(upstream.post(body)) for body in (b'"gone"', b'"stays"'))
        await eventually(lambda: upstream.places.waiting == 2)
        gone.cancel()
        first.close()
        (await stays).close()
        assert [seen.body for seen in up.seen] == ["first", "stays"]
        assert (upstream.open, upstream.places.waiting) == (0, 0)


async def test_the_time_in_line_counts_for_no_timeout(queued: Connections) -> None:
    with Scripted(Script(fault="stall", after=1)) as up:
        limits = Timeouts(first_token=0.2)
        upstream = Upstream(URL(f"{up.url}/v1/messages"), {}, queued, limits, max_streams=1)
        first = await upstream.post(b"{}")
        second = asyncio.ensure_future(upstream.post(b"{}"))
        with pytest.raises(ProviderError, match=r"began no answer within 0\.2 s"):
            await _drained(first)
        first.close()
        assert await (await second).receive()
        (await second).close()


async def test_a_request_that_fails_gives_its_place_back(queued: Connections) -> None:
    with Scripted(Script(status=500)) as up:
        upstream = Upstream(URL(f"{up.url}/v1/messages"), {}, queued, max_streams=1)
        for _ in range(3):
            with pytest.raises(ProviderError):
                await upstream.post(b"{}")
        assert upstream.open == 0
