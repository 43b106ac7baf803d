"""Which connections to a provider are open, which are used again, and how new ones come to be."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from yarl import URL

from tailrace.chat import dialing
from tailrace.chat.connections import Connections
from tailrace.chat.dialing import Dialer, Origin
from tailrace.chat.upstream import Upstream
from tailrace.errors import ErrorType, ProviderError
from tests.support.certificates import serving_as
from tests.support.upstream import Upstream as Scripted
from tests.support.waiting import eventually

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture
async def connections() -> AsyncIterator[Connections]:
    connections = Connections()
    yield connections
    await connections.close()


async def _answer(upstream: Upstream, headers: tuple[tuple[str, str], ...] = ()) -> bytes:
    exchange = await upstream.post(b"{}", headers)
    try:
        return b"".join([piece async for piece in _pieces(exchange.receive)])
    finally:
        exchange.finish()


async def _pieces(receive: Callable[[], Any]) -> AsyncIterator[bytes]:
    while piece := await receive():
        yield piece


async def test_a_connection_is_used_again_and_kept_open_meanwhile(connections: Connections) -> None:
    with Scripted() as up:
        upstream = Upstream(URL(f"{up.url}/v1/messages"), {}, connections)
        for _ in range(3):
            assert b"message_stop" in await _answer(upstream)
        assert up.connections == connections.open == 1


async def test_a_free_connection_is_closed_when_nobody_has_needed_it_for_a_while(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tailrace.chat.connections._IDLE", 0.05)
    with Scripted() as up:
        await _answer(Upstream(URL(f"{up.url}/v1/messages"), {}, connections))
        assert connections.open == 1
        await eventually(lambda: connections.open == 0)


async def test_one_that_the_provider_closed_meanwhile_is_not_used(connections: Connections) -> None:
    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 2\r\n\r\n\n\n")
        writer.close()

    server = await asyncio.start_server(answer_once, "127.0.0.1", 0)
    upstream = Upstream(URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"), {}, connections)
    for _ in range(3):
        assert await _answer(upstream) == b"\n\n"
        await eventually(lambda: connections.open == 0)
    server.close()
    await server.wait_closed()


async def test_headers_of_one_request_go_with_it_alone_and_stand_before_the_usual_ones(
    connections: Connections,
) -> None:
    with Scripted() as up:
        upstream = Upstream(URL(f"{up.url}/v1/messages"), {"anthropic-version": "usual"}, connections)
        await _answer(upstream, (("Anthropic-Version", "other"), ("x-new", "1")))
        await _answer(upstream)
        assert [seen.headers["anthropic-version"] for seen in up.seen] == ["other", "usual"]
        assert [seen.headers.get("x-new") for seen in up.seen] == ["1", None]
        assert up.seen[0].headers["host"] == up.url.removeprefix("http://")


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\0"])
async def test_a_header_that_would_be_two_is_not_sent(connections: Connections, value: str) -> None:
    with Scripted() as up:
        upstream = Upstream(URL(up.url), {}, connections)
        with pytest.raises(ValueError, match="line end"):
            await upstream.post(b"{}", [("x-new", value)])
        assert upstream.open == 0
        assert not up.seen


# Names and addresses.


class Names:
    """Stands for the loop's resolver: says where names lead, once it is let."""

    def __init__(self, port: int) -> None:
        self.asked = 0
        self.let = asyncio.Event()
        self.port = port
        self.leads_to = ["127.0.0.1"]

    async def __call__(self, host: str, port: int, **_: object) -> list[Any]:
        self.asked += 1
        await self.let.wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, self.port)) for address in self.leads_to]


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Names]:
    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    names = Names(server.sockets[0].getsockname()[1])
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", names)
    yield names
    server.close()
    await server.wait_closed()


async def test_a_burst_of_new_connections_asks_for_a_name_once_also_where_the_first_gives_up(names: Names) -> None:
    dialer = Dialer(Origin(tls=False, host="provider.test", port=80))
    dials = [asyncio.ensure_future(dialer.dial(lambda _: None)) for _ in range(5)]
    await eventually(lambda: names.asked == 1)
    dials[0].cancel()
    names.let.set()
    made = await asyncio.gather(*dials, return_exceptions=True)
    assert isinstance(made[0], asyncio.CancelledError)
    assert not any(isinstance(one, BaseException) for one in made[1:])
    (await dialer.dial(lambda _: None)).close()
    assert names.asked == 1


async def test_the_next_address_is_tried_where_the_first_refuses(names: Names) -> None:
    names.leads_to = ["127.0.0.2", "127.0.0.1"]
    names.let.set()
    (await Dialer(Origin(tls=False, host="provider.test", port=80)).dial(lambda _: None)).close()


async def test_a_name_whose_addresses_all_fail_is_asked_for_again(names: Names) -> None:
    names.leads_to = ["127.0.0.2"]
    names.let.set()
    dialer = Dialer(Origin(tls=False, host="provider.test", port=80))
    for _ in range(2):
        with pytest.raises(OSError, match="Connect"):
            await dialer.dial(lambda _: None)
    assert names.asked == 2


async def test_connections_that_are_closed_while_one_is_made_make_none(names: Names, connections: Connections) -> None:
    upstream = Upstream(URL("http://provider.test"), {}, connections)
    asking = asyncio.ensure_future(upstream.post(b"{}"))
    await eventually(lambda: names.asked == 1)
    await connections.close()
    names.let.set()
    with pytest.raises(ProviderError) as caught:
        await asking
    assert caught.value.type == ErrorType.TAILRACE_INTERRUPTED
    assert upstream.open == connections.open == 0


# TLS, on both loops: the server's is uvloop's.


@pytest.fixture
def clean_tls() -> Iterator[None]:
    dialing._tls.cache_clear()
    yield
    dialing._tls.cache_clear()


async def _over_tls(context: ssl.SSLContext) -> bytes:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"{}"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 6\r\n\r\nsecret")

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    connections = Connections()
    upstream = Upstream(URL(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"), {}, connections)
    try:
        first = await _answer(upstream)
        assert await _answer(upstream) == first
        assert connections.open == 1
        return first
    finally:
        await connections.close()
        server.close()


@pytest.mark.usefixtures("clean_tls")
@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("trouble", ["", "nobody vouches for it", "it is somebody else"])
def test_a_provider_is_asked_over_tls_only_where_it_is_who_it_should_be(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
    trouble: str,
) -> None:
    context, certificate = serving_as("127.0.0.2" if "else" in trouble else "127.0.0.1", tmp_path)
    if "nobody" not in trouble:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        if not trouble:
            assert runner.run(_over_tls(context)) == b"secret"
            return
        with pytest.raises(ProviderError, match="TLS") as caught:
            runner.run(_over_tls(context))
        assert caught.value.type == ErrorType.PROVIDER_UNREACHABLE
