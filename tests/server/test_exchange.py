"""Where the direct lane is refused, the same events come over the ordinary way, byte for byte."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import subprocess
import zlib
from typing import Any

import pytest
from starlette.middleware import Middleware
from uvicorn.config import Config
from uvicorn.server import ServerState

from tailrace import Options
from tailrace.server.protocol import LaneProtocol
from tests.support.hosted import Hosted, Loop, until
from tests.support.prices import Prices
from tests.support.raw import Raw

EVENTS = ["1", "two\nlines", "drei \N{EURO SIGN}", "4" * 5000]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A self-signed certificate, as uvicorn's options."""
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = str(folder / "key.pem"), str(folder / "certificate.pem")
    request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    subprocess.run(
        ["openssl", *request, "-subj", "/CN=test", "-keyout", key, "-out", certificate], check=True, capture_output=True
    )
    return {"ssl_keyfile": key, "ssl_certfile": certificate}


class Compressing:
    """Middleware that compresses whatever passes, event streams too, piece by piece."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        squeeze = zlib.compressobj(wbits=31)

        async def squeezed(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-encoding", b"gzip")]
            elif message["type"] == "http.response.body":
                body = squeeze.compress(message.get("body", b"")) + squeeze.flush(zlib.Z_SYNC_FLUSH)
                message = {**message, "body": body}
            await send(message)

        await self._app(scope, receive, squeezed)


class Holding:
    """Middleware that keeps a first piece to itself until the next one comes."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        held: list[Any] = []

        async def delayed(message: Any) -> None:
            if message["type"] == "http.response.body" and not held:
                held.append(message)
                return
            if len(held) == 1:
                await send(held[0])
                held.append(None)
            await send(message)

        await self._app(scope, receive, delayed)


def direct(prices: Prices, hosted: Hosted) -> bytes:
    """What a reader on the direct lane gets of the channel's history."""
    before = prices.tail.counters["streams.direct"]
    with Raw(hosted.address) as raw:
        raw.request("GET", "/prices?from=earliest")
        raw.head()
        raw.events(1 + len(EVENTS))
        until(lambda: prices.tail.counters["streams.direct"] == before + 1)
        return bytes(raw.body)


def test_http_1_0_gets_the_same_events_until_the_connection_closes(loop: Loop) -> None:
    prices = Prices()
    with Hosted(prices.app, loop=loop) as hosted, Raw(hosted.address) as raw:
        hosted.call(prices.publish(*EVENTS))
        expected = direct(prices, hosted)
        raw.send(b"GET /prices?from=earliest HTTP/1.0\r\n\r\n")
        head = raw.head()
        assert "transfer-encoding" not in head.headers
        assert head.headers["connection"] == "close"
        raw.events(1 + len(EVENTS))
        assert raw.body == expected
        assert prices.tail.counters["streams.direct"] == 1


def test_http_1_0_sees_a_runs_end_as_the_connections_end(loop: Loop) -> None:
    prices = Prices()
    with Hosted(prices.app, loop=loop) as hosted, Raw(hosted.address) as raw:
        hosted.call(prices.say("a", None))
        raw.send(b"POST /chat HTTP/1.0\r\ncontent-length: 0\r\n\r\n")
        raw.head()
        assert [event.event for event in raw.rest()] == ["start", "message", "finish", "done"]


def test_tls_never_takes_the_lane_and_gets_the_same_events(loop: Loop, certificate: dict[str, Any]) -> None:
    prices = Prices()
    with Hosted(prices.app, loop=loop, **certificate) as hosted, Raw(hosted.address) as raw:
        hosted.call(prices.publish(*EVENTS))
        context = ssl.create_default_context(cafile=certificate["ssl_certfile"])
        context.check_hostname = False
        raw.socket = context.wrap_socket(raw.socket)
        raw.request("GET", "/prices?from=earliest")
        assert raw.head().headers["transfer-encoding"] == "chunked"
        assert [event.data for event in raw.events(1 + len(EVENTS))][1:] == EVENTS
        hosted.call(prices.publish("live"))
        assert raw.event().data == "live"
        assert prices.tail.counters["streams.direct"] == 0


@pytest.mark.parametrize("http", ["httptools", "h11"])
def test_another_server_class_gets_the_same_events(loop: Loop, http: str) -> None:
    prices = Prices()
    with Hosted(prices.app, loop=loop, http=http) as hosted, Raw(hosted.address) as raw:
        hosted.call(prices.publish(*EVENTS))
        raw.request("GET", "/prices?from=earliest")
        raw.head()
        assert [event.data for event in raw.events(1 + len(EVENTS))][1:] == EVENTS
        hosted.call(prices.publish("live"))
        assert raw.event().data == "live"
        assert prices.tail.counters["streams.direct"] == 0


def test_middleware_that_changes_the_bytes_has_the_lane_refused(loop: Loop) -> None:
    prices = Prices(middleware=[Middleware(Compressing)])
    with Hosted(prices.app, loop=loop) as hosted, Raw(hosted.address) as raw:
        hosted.call(prices.publish(*EVENTS))
        raw.request("GET", "/prices?from=earliest")
        assert raw.head().headers["content-encoding"] == "gzip"
        inflate, seen = zlib.decompressobj(wbits=31), b""
        while seen.count(b"\n\n") < 1 + len(EVENTS):
            seen += inflate.decompress(raw.piece())
        assert seen.endswith(b"data: " + b"4" * 5000 + b"\n\n")
        hosted.call(prices.publish("live"))
        assert inflate.decompress(raw.piece()).endswith(b"data: live\n\n")
        assert prices.tail.counters["streams.direct"] == 0


def test_middleware_that_holds_the_first_bytes_back_has_the_lane_refused_for_good(loop: Loop) -> None:
    """It lets them go later, when the stream has gone on without the lane: then they are no offer any more."""
    prices = Prices(middleware=[Middleware(Holding)])
    with Hosted(prices.app, loop=loop) as hosted, Raw(hosted.address) as raw:
        raw.request("GET", "/prices")
        until(lambda: hosted.call(bound(prices)))
        hosted.call(prices.publish("1"))
        raw.head()
        assert [event.data for event in raw.events(2)][1:] == ["1"]
        hosted.call(prices.publish("2"))
        assert raw.event().data == "2"
        assert prices.tail.counters["streams.direct"] == 0
        assert [type(each).__name__ for each in hosted.connections] == ["LaneProtocol"]


async def bound(prices: Prices) -> bool:
    return any(subscription.bound for subscription in prices.tail.hub.subscriptions)


def test_a_reader_that_takes_nothing_is_cut_without_the_lane_too(loop: Loop) -> None:
    """Closing would wait for it: what it has not taken is in the transport."""
    prices = Prices(Options(write_timeout=0.5))
    with Hosted(prices.app, loop=loop) as hosted, Raw(hosted.address, receive_buffer=4096) as raw:
        raw.send(b"GET /prices HTTP/1.0\r\n\r\n")
        raw.head()
        raw.event()
        hosted.call(prices.publish(*["x" * 50_000] * 20))
        until(lambda: prices.tail.counters.sum("cuts", "write_timeout") == 1)
        until(lambda: not hosted.connections and not hosted.tasks, timeout=2)
        assert not any(hosted.call(prices.left()).values())


def test_an_application_that_answers_something_else_than_it_offered_is_passed_on(loop: Loop) -> None:
    class Replacing(Holding):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            async def replaced(message: Any) -> None:
                if message["type"] == "http.response.body":
                    message = {"type": "http.response.body", "body": gzip.compress(b"other", mtime=0)}
                await send(message)

            await self._app(scope, receive, replaced)

    prices = Prices(middleware=[Middleware(Replacing)])
    with Hosted(prices.app, loop=loop) as hosted, Raw(hosted.address) as raw:
        raw.request("GET", "/prices")
        raw.head()
        assert gzip.decompress(raw.read()) == b"other"
        assert raw.complete
        assert prices.tail.counters["streams.direct"] == 0


# How many writes an answer takes: each wakes the reader up.


class Writes:
    """Stands where a connection's transport would; keeps each write."""

    def __init__(self) -> None:
        self.each: list[bytes] = []
        self.closed = False

    def get_extra_info(self, name: str) -> None:
        return None

    def write(self, data: bytes) -> None:
        self.each.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def resume_reading(self) -> None:
        """Go on: nothing is read here."""

    pause_reading = resume_reading


WHOLE = {"type": "http.response.start", "status": 200, "headers": [(b"Content-Length", b"5")]}


async def _written(request: bytes, *messages: dict[str, Any], hold: bool = False) -> list[bytes]:
    """What is written for `request`, piece by piece, where the application sends `messages`."""
    answered = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            if hold:
                scope["extensions"]["tailrace.direct"].hold()
            for message in messages:
                await send(message)
        finally:
            answered.set()

    config = Config(app, http=LaneProtocol, server_header=False, date_header=False)
    config.load()
    protocol, writes = LaneProtocol(config, ServerState(), {}), Writes()
    protocol.connection_made(writes)  # type: ignore[arg-type]
    protocol.data_received(request + b" / HTTP/1.1\r\nHost: x\r\n\r\n")
    await answered.wait()
    await asyncio.sleep(0)
    protocol.connection_lost(None)
    return writes.each


@pytest.mark.anyio
async def test_an_answer_that_says_how_long_it_is_leaves_in_one_write() -> None:
    body = {"type": "http.response.body", "body": b"12345"}
    (answer,) = await _written(b"GET", WHOLE, body)
    assert answer.endswith(b"ength: 5\r\n\r\n12345")


@pytest.mark.anyio
async def test_a_stream_whose_end_is_known_already_leaves_in_one_write() -> None:
    start = {**WHOLE, "headers": []}
    body = {"type": "http.response.body", "body": b"12345"}
    (answer,) = await _written(b"GET", start, body, hold=True)
    assert answer.endswith(b"chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n")


@pytest.mark.anyio
async def test_the_head_of_any_other_stream_waits_for_nothing() -> None:
    start = {**WHOLE, "headers": []}
    first = {"type": "http.response.body", "body": b"12345", "more_body": True}
    head, chunk, *_ = await _written(b"GET", start, first, {"type": "http.response.body"})
    assert head.endswith(b"chunked\r\n\r\n")
    assert chunk == b"5\r\n12345\r\n"


@pytest.mark.anyio
async def test_a_large_body_is_not_copied_to_its_head() -> None:
    large = b"x" * 100_000
    start = {**WHOLE, "headers": [(b"content-length", b"100000")]}
    _, body = await _written(b"GET", start, {"type": "http.response.body", "body": large})
    assert body is large


@pytest.mark.anyio
async def test_a_request_for_the_head_alone_gets_it() -> None:
    (head,) = await _written(b"HEAD", WHOLE, {"type": "http.response.body", "body": b""})
    assert head.endswith(b"ength: 5\r\n\r\n")


@pytest.mark.anyio
async def test_a_body_longer_than_it_said_is_not_sent_but_its_head_is() -> None:
    (head,) = await _written(b"GET", WHOLE, {"type": "http.response.body", "body": b"123456"})
    assert head.endswith(b"ength: 5\r\n\r\n")
