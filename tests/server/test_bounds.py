"""What a client may cost before its request is whole, against a real socket: bytes, seconds, and broken HTTP."""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.sync.client import connect

from tailrace.server import bounds
from tests.support.hosted import Hosted, Loop, until
from tests.support.prices import Prices
from tests.support.raw import Raw

PLAIN = b"GET /plain HTTP/1.1\r\nhost: test\r\n\r\n"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines of 0.4 seconds."""
    monkeypatch.setattr(bounds, "HEAD_SECONDS", 0.4)
    monkeypatch.setattr(bounds, "BODY_SECONDS", 0.4)


def refused(raw: Raw, status: int, code: str) -> None:
    """A refusal: the problem, then the end of the connection."""
    head = raw.head()
    assert head.status == status
    assert head.headers["connection"] == "close"
    problem = json.loads(raw.read())
    assert (problem["status"], problem["code"]) == (status, code)
    raw.finish()
    assert raw.closed()


@pytest.mark.parametrize(
    "request_",
    [
        b"no request at all\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /plain\r\n\r\n",
        b"GET /plain HTTP/9.9\r\n\r\n",
        b"G\x00T /plain HTTP/1.1\r\nhost: test\r\n\r\n",
        b"GET /plain HTTP/1.1\r\nhost test\r\n\r\n",
        b"GET /plain HTTP/1.1\r\nho st: test\r\n\r\n",
        b"GET /plain HTTP/1.1\r\nx: a\x00b\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nhost: test\r\n\r\n",
        b"CONNECT test:443 HTTP/1.1\r\nhost: test\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: -1\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 1, 2\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_no_http_is_400_and_the_end_of_the_connection(hosted: Hosted, raw: Raw, request_: bytes) -> None:
    raw.send(request_)
    refused(raw, 400, "malformed")
    until(lambda: not hosted.connections and not hosted.tasks)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /plain HTTP/1.1\r\nx: " + b"y" * 70_000 + b"\r\n\r\n",
        b"GET /plain HTTP/1.1\r\n" + b"".join(b"x-%d: y\r\n" % number for number in range(9000)) + b"\r\n",
        b"GET /plain?" + b"q" * 70_000 + b" HTTP/1.1\r\nhost: test\r\n\r\n",
    ],
    ids=["one huge header", "many headers", "a huge target"],
)
def test_a_head_over_its_bound_is_431(hosted: Hosted, raw: Raw, head: bytes) -> None:
    raw.send(head)
    refused(raw, 431, "head_too_large")
    until(lambda: not hosted.connections)


def test_a_head_without_end_is_431_and_the_client_still_gets_to_read_it(hosted: Hosted, raw: Raw) -> None:
    raw.send(b"GET /plain HTTP/1.1\r\nx: ")
    for _ in range(64):
        raw.send(b"y" * 16_384)  # a megabyte: it is sent faster than it is refused
    refused(raw, 431, "head_too_large")
    until(lambda: not hosted.connections)


def test_a_head_within_its_bound_is_taken(raw: Raw) -> None:
    raw.send(b"GET /plain HTTP/1.1\r\nhost: test\r\nx: " + b"y" * 60_000 + b"\r\n\r\n")
    assert raw.head().status == 200


def test_a_large_body_with_a_next_request_behind_it_is_no_large_head(raw: Raw) -> None:
    size = 300_000
    raw.send(b"POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: %d\r\n\r\n" % size + b"b" * size + PLAIN[:10])
    assert raw.head().status == 200
    assert json.loads(raw.read()) == {"bytes": size}
    raw.send(PLAIN[10:])
    assert raw.head().status == 200


def test_what_comes_far_ahead_of_its_answers_is_not_kept(hosted: Hosted, raw: Raw) -> None:
    raw.send(b"GET /prices HTTP/1.1\r\nhost: test\r\n\r\n" + PLAIN * 5000)
    assert raw.head().status == 200
    (kept,) = hosted.connections
    until(lambda: kept._deaf)
    assert len(kept.pipeline) == bounds.PIPELINED


def test_a_viewer_that_leaves_is_noticed_though_another_request_waits_behind_its_stream(
    hosted: Hosted, raw: Raw, prices: Prices
) -> None:
    raw.send(b"GET /prices HTTP/1.1\r\nhost: test\r\n\r\n" + PLAIN)
    raw.head()
    raw.event()
    raw.send(PLAIN)
    assert len(prices.tail.hub.subscriptions) == 1
    raw.close()
    until(lambda: not prices.tail.hub.subscriptions and not hosted.connections)


@pytest.mark.parametrize("end", [b"", b"a: b\r\n\r\n"])
def test_trailers_are_bounded_and_reach_nobody(hosted: Hosted, raw: Raw, end: bytes) -> None:
    raw.send(
        b"POST /echo HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 12_000 + end
    )
    refused(raw, 431, "head_too_large")


@pytest.mark.usefixtures("impatient")
def test_a_head_that_is_never_finished_is_408(hosted: Hosted, raw: Raw) -> None:
    raw.send(b"GET /plain HTTP/1.1\r\nhost:")
    refused(raw, 408, "head_timeout")
    until(lambda: not hosted.connections)


@pytest.mark.usefixtures("impatient")
def test_a_head_that_comes_byte_by_byte_does_not_move_its_deadline(hosted: Hosted, raw: Raw) -> None:
    for byte in b"GET /plain HTTP/1.1\r\nhost: test\r\nx-slow: " + b"y" * 1000:
        raw.send(bytes((byte,)))
        if not raw.silent_for(0.02):
            break
    refused(raw, 408, "head_timeout")


@pytest.mark.usefixtures("impatient")
def test_a_connection_that_asks_nothing_is_closed_without_a_word(raw: Raw) -> None:
    assert raw.closed()


@pytest.mark.usefixtures("impatient")
def test_line_feeds_between_requests_keep_no_connection_open(hosted: Hosted, raw: Raw) -> None:
    raw.send(PLAIN)
    raw.head()
    raw.read()
    raw.send(b"\r\n")
    assert raw.closed()
    until(lambda: not hosted.connections)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "request_",
    [
        b"POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\n12345",
        b"POST /echo HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n",
    ],
    ids=["length", "chunked"],
)
def test_a_body_that_falls_silent_is_408_and_frees_the_application(hosted: Hosted, raw: Raw, request_: bytes) -> None:
    raw.send(request_)
    refused(raw, 408, "body_timeout")
    until(lambda: not hosted.connections and not hosted.tasks)


@pytest.mark.usefixtures("impatient")
def test_a_body_that_comes_slowly_is_waited_for(raw: Raw) -> None:
    raw.send(b"POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 6\r\n\r\n")
    for _ in range(6):
        assert raw.silent_for(0.1)
        raw.send(b"b")
    assert raw.head().status == 200
    assert json.loads(raw.read()) == {"bytes": 6}


@pytest.mark.usefixtures("impatient")
def test_a_next_head_that_is_never_finished_leaves_the_stream_before_it_alone(
    prices: Prices, hosted: Hosted, raw: Raw
) -> None:
    raw.send(b"POST /chat HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n")
    raw.head()
    raw.event()
    raw.send(b"GET /pla")
    assert raw.silent_for(0.6)
    hosted.call(prices.say("a", None))
    assert [event.event for event in raw.rest()] == ["message", "finish", "done"]
    assert raw.closed()


def test_a_websocket_knows_no_such_deadlines(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "HEAD_SECONDS", 1.0)  # a handshake has to fit in

    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text)

    app = Starlette(routes=[WebSocketRoute("/ws", echo)])
    with Hosted(app, loop=loop) as hosted, connect("ws://{}:{}/ws".format(*hosted.address)) as client:
        with pytest.raises(TimeoutError):
            client.recv(timeout=1.2)
        client.send("still here")
        assert client.recv(timeout=5) == "still here"


def test_more_body_than_was_announced_is_not_the_answers_matter(raw: Raw) -> None:
    """What is over is read as a next request; it is none, so the connection ends after the answer."""
    raw.send(b"POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 4\r\n\r\n1234 and more\r\n\r\n")
    head = raw.head()
    assert head.status == 200
    assert json.loads(raw.read()) == {"bytes": 4}
    assert raw.closed()


def test_a_request_answered_before_its_body_came_leaves_the_connection_usable(raw: Raw) -> None:
    raw.send(b"POST /nowhere HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\n12345")
    assert raw.head().status == 404
    raw.read()
    raw.send(b"67890" + PLAIN)
    assert raw.head().status == 200


def test_a_chunked_body_that_breaks_in_the_middle_is_400_and_frees_the_application(hosted: Hosted, raw: Raw) -> None:
    raw.send(b"POST /echo HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n")
    assert raw.silent_for(0.1)
    raw.send(b"zzz\r\n")
    refused(raw, 400, "malformed")
    until(lambda: not hosted.connections and not hosted.tasks)


def test_a_refused_client_that_stays_is_closed_after_a_while(
    hosted: Hosted, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "LINGER_SECONDS", 0.2)
    raw.send(b"nonsense\r\n\r\n")
    assert raw.head().status == 400
    raw.read()
    until(lambda: not hosted.connections)


ECHO = b"POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: %d\r\n\r\n%b"


@pytest.fixture(scope="module")
def standing() -> Iterator[Hosted]:
    with Hosted(Prices().app) as hosted:
        yield hosted


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.one_of(st.none(), st.integers(0, 3000)), min_size=1, max_size=6),
    cuts=st.lists(st.integers(1, 400), min_size=1, max_size=6),
)
def test_however_requests_are_cut_into_pieces_each_is_answered_once_and_in_order(
    standing: Hosted, sizes: list[int | None], cuts: list[int]
) -> None:
    wire = b"".join(PLAIN if size is None else ECHO % (size, b"b" * size) for size in sizes)
    with Raw(standing.address) as raw:
        raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        start = 0
        for cut in itertools.cycle(cuts):
            raw.send(wire[start : start + cut])
            start += cut
            if start >= len(wire):
                break
        for size in sizes:
            assert raw.head().status == 200
            assert json.loads(raw.read()) == ({"plain": True} if size is None else {"bytes": size})
        assert raw.silent_for(0.01)


UPGRADE = (
    b"GET /ws HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.mark.parametrize(
    "behind",
    [
        UPGRADE,
        b"no request at all\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        b"POST /echo HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 12_000,
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
    ],
    ids=["an upgrade", "no HTTP", "a bad chunk", "endless trailers", "a large head"],
)
def test_what_is_refused_behind_a_stream_leaves_it_whole_and_ends_the_connection_after_it(
    hosted: Hosted, raw: Raw, prices: Prices, behind: bytes
) -> None:
    raw.send(b"POST /chat HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n")
    assert raw.head().status == 200
    assert raw.event().event == "start"
    raw.send(behind)
    until(lambda: next(iter(hosted.connections))._deaf)
    hosted.call(prices.say("a word", None))
    assert raw.rest()[-1].event == "done"
    assert raw.closed()
    until(lambda: not hosted.connections and not prices.tail.hub.subscriptions)
