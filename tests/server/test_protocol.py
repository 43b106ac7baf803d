"""The direct lane: a connection goes to the hub when nothing in between changed the stream, and comes back."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware

from tailrace import Options
from tests.support.hosted import Hosted, Loop, until
from tests.support.prices import Prices
from tests.support.raw import Ended, Raw

GET = b"GET /prices HTTP/1.1\r\nhost: test\r\n\r\n"
CHAT = b"POST /chat HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n"
PLAIN = b"GET /plain HTTP/1.1\r\nhost: test\r\n\r\n"


def kinds(hosted: Hosted) -> list[str]:
    return [type(connection).__name__ for connection in hosted.connections]


class Watched:
    """Middleware that counts what the application sends, and passes it on as it is."""

    sent = 0

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def counted(message: Any) -> None:
            Watched.sent += message["type"].startswith("http.response")
            await send(message)

        await self._app(scope, receive, counted)


async def passed_on(request: Any, call_next: Any) -> Any:
    return await call_next(request)


def test_a_channel_leaves_the_application_for_the_lane_with_its_first_bytes(loop: Loop) -> None:
    prices = Prices(middleware=[Middleware(Watched)])
    Watched.sent = 0
    with Hosted(prices.app, loop=loop) as hosted, Raw(hosted.address) as raw:
        raw.send(GET)
        assert raw.head().headers["transfer-encoding"] == "chunked"
        assert raw.event().event == "ready"
        until(lambda: hosted.tasks == 0)
        hosted.call(prices.publish("1", "2", "3"))
        assert [event.data for event in raw.events(3)] == ["1", "2", "3"]
        assert Watched.sent == 2
        assert kinds(hosted) == ["DirectSink"]
        assert prices.tail.counters["streams.direct"] == 1


@pytest.mark.parametrize(
    "middleware",
    [Middleware(BaseHTTPMiddleware, dispatch=passed_on), Middleware(GZipMiddleware, minimum_size=1)],
    ids=["BaseHTTPMiddleware", "GZipMiddleware"],
)
def test_middleware_that_passes_the_bytes_on_keeps_the_lane(loop: Loop, middleware: Middleware) -> None:
    prices = Prices(middleware=[middleware])
    with Hosted(prices.app, loop=loop) as hosted, Raw(hosted.address) as raw:
        raw.request("GET", "/prices", {"accept-encoding": "gzip"})
        assert "content-encoding" not in raw.head().headers
        assert raw.event().event == "ready"
        hosted.call(prices.publish("1"))
        assert raw.event().data == "1"
        assert kinds(hosted) == ["DirectSink"]
        until(lambda: hosted.tasks == 0)
        hosted.call(prices.publish("2"))
        assert raw.event().data == "2"


def test_the_connection_serves_a_second_request_after_a_run(prices: Prices, hosted: Hosted, raw: Raw) -> None:
    for word in "ab":
        raw.send(CHAT)
        assert raw.head().status == 200
        assert raw.event().event == "start"
        hosted.call(prices.say(word, None))
        assert [event.event for event in raw.rest()] == ["message", "finish", "done"]
        assert raw.complete
    raw.send(PLAIN)
    assert raw.head().status == 200
    assert raw.read() == b'{"plain":true}'
    assert prices.tail.counters["streams.direct"] == 2


def test_a_request_pipelined_during_a_run_is_answered_after_it(prices: Prices, hosted: Hosted, raw: Raw) -> None:
    raw.send(CHAT)
    raw.head()
    assert raw.event().event == "start"
    raw.send(PLAIN)
    hosted.call(prices.say("a", None))
    assert [event.event for event in raw.rest()] == ["message", "finish", "done"]
    assert raw.head().status == 200
    assert raw.read() == b'{"plain":true}'


def test_several_requests_sent_at_once_are_answered_in_their_order(prices: Prices, hosted: Hosted, raw: Raw) -> None:
    raw.send(CHAT + PLAIN + PLAIN + CHAT + PLAIN)
    hosted.call(prices.say("a", None, "b", None))
    for word in "ab":
        raw.head()
        assert [event.data for event in raw.rest() if event.event == "message"] == [f'{{"text":"{word}"}}']
        for _ in range(2 if word == "a" else 1):
            assert raw.head().status == 200
            assert raw.read() == b'{"plain":true}'


def test_a_request_pipelined_during_a_settled_run_is_answered_after_it(loop: Loop) -> None:
    prices = Prices(Options(heartbeat=0.1))
    with Hosted(prices.app, loop=loop) as hosted, Raw(hosted.address) as raw:
        raw.send(CHAT)
        raw.head()
        raw.event()
        until(lambda: kinds(hosted) == ["DirectSink"])
        raw.send(PLAIN)
        hosted.call(prices.say("a", None))
        assert [event.event for event in raw.rest()] == ["message", "finish", "done"]
        assert raw.head().status == 200
        assert raw.read() == b'{"plain":true}'
        assert kinds(hosted) == ["LaneProtocol"]


@pytest.mark.parametrize("heartbeat", [0.1, 15.0], ids=["settled", "not settled"])
def test_a_connection_that_was_to_close_closes_after_the_run(loop: Loop, heartbeat: float) -> None:
    prices = Prices(Options(heartbeat=heartbeat))
    with Hosted(prices.app, loop=loop) as hosted, Raw(hosted.address) as raw:
        raw.request("POST", "/chat", {"connection": "close"})
        assert raw.head().headers["connection"] == "close"
        raw.event()
        if heartbeat < 1:
            until(lambda: kinds(hosted) == ["DirectSink"])
        hosted.call(prices.say("a", None))
        assert [event.event for event in raw.rest()] == ["message", "finish", "done"]
        assert raw.complete
        assert raw.closed()
        until(lambda: not hosted.connections)


@pytest.mark.parametrize("leave", [Raw.close, Raw.reset, Raw.finish], ids=["FIN", "RST", "half-close"])
@pytest.mark.parametrize("request_", [GET, CHAT], ids=["settled", "not settled"])
def test_a_client_that_leaves_is_noticed_at_once_and_nothing_is_left_of_it(
    prices: Prices, hosted: Hosted, leave: Any, request_: bytes
) -> None:
    with Raw(hosted.address) as raw:
        raw.send(request_)
        raw.head()
        raw.event()
        assert hosted.call(prices.subscribers()) == 1
        leave(raw)
        until(lambda: hosted.call(prices.subscribers()) == 0, timeout=1)
    until(lambda: not hosted.connections)
    if request_ is CHAT:
        hosted.call(prices.say(None))
    until(lambda: not any(hosted.call(prices.left()).values()))
    assert hosted.tasks == 0


def test_what_follows_a_request_and_is_no_http_never_lands_in_a_stream(
    prices: Prices, hosted: Hosted, raw: Raw
) -> None:
    raw.send(CHAT)
    raw.head()
    raw.event()
    raw.send(b"\x00\x01 this is no request\r\n\r\n")
    hosted.call(prices.say("a", None))
    assert [event.event for event in raw.rest()] == ["message", "finish", "done"]
    assert raw.complete
    assert raw.closed()


def test_a_first_write_larger_than_the_kernel_takes_arrives_whole(prices: Prices, hosted: Hosted) -> None:
    """The transport is paused from the beginning, before the subscription is bound."""
    texts = [f"{number}:" + "x" * 20_000 for number in range(200)]
    with Raw(hosted.address, receive_buffer=4096) as raw:
        hosted.call(prices.publish(*texts))
        raw.send(b"GET /prices?from=earliest HTTP/1.1\r\nhost: test\r\n\r\n")
        raw.head()
        until(lambda: prices.tail.counters["streams.full"])
        kept = [event.data for event in raw.events(1 + 52)][1:]
        assert kept == texts[-52:]  # as many as the channel's bytes allow


def test_a_reader_whose_kernel_takes_little_at_a_time_gets_the_exact_bytes(prices: Prices, hosted: Hosted) -> None:
    texts = [f"{number}:" + "y" * (number * 37 % 9000) for number in range(200)]
    with Raw(hosted.address, receive_buffer=4096) as slow, Raw(hosted.address) as quick:
        for raw in (slow, quick):
            raw.send(GET)
            raw.head()
            raw.event()
        hosted.call(prices.publish(*texts[:150]))
        until(lambda: prices.tail.counters["streams.full"])
        hosted.call(prices.publish(*texts[150:]))
        assert [event.data for event in quick.events(200)] == texts
        assert [event.data for event in slow.events(200)] == texts
        assert slow.body == quick.body


def test_an_answer_still_in_the_transport_is_not_overtaken_by_a_stream(prices: Prices, hosted: Hosted) -> None:
    """Around the size that the kernel takes, some answers leave a rest in the transport that pauses nobody yet."""
    for size in range(150_000, 600_000, 30_000):
        with Raw(hosted.address, receive_buffer=4096) as raw:
            raw.send(b"GET /plain?bytes=%d HTTP/1.1\r\nhost: test\r\n\r\n" % size + GET)
            until(lambda: hosted.call(prices.subscribers()) or raw.silent_for(0.1))
            hosted.call(prices.publish("1", "2"))
            raw.head()
            assert raw.read() == b"z" * size
            raw.head()
            hosted.call(prices.publish("3"))
            assert raw.event().event == "ready"
            while raw.event().data != "3":
                pass


def test_a_descriptor_is_forgotten_before_its_number_is_somebody_elses(prices: Prices, hosted: Hosted) -> None:
    with Raw(hosted.address) as stays:
        stays.send(GET)
        stays.head()
        stays.event()
        for number in range(30):
            with Raw(hosted.address) as raw:
                raw.send(GET)
                raw.head()
                raw.event()
                raw.reset()
            hosted.call(prices.publish(str(number)))
        assert [event.data for event in stays.events(30)] == [str(number) for number in range(30)]
        until(lambda: hosted.call(prices.subscribers()) == 1)


def kept() -> Counter[str]:
    """How many there are of what belongs to a connection, a request or a run."""
    names = {"LaneProtocol", "Exchange", "RequestResponseCycle", "DirectSink", "Run", "Tail"}
    return Counter(name for each in gc.get_objects() if (name := type(each).__name__) in names)


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
def test_what_is_over_does_not_wait_for_the_garbage_collector(prices: Prices, hosted: Hosted) -> None:
    """It looks rarely, and what is in a cycle until then is a connection's parser, or all that a run has said."""
    before = kept()
    with Raw(hosted.address) as raw:
        raw.send(PLAIN + CHAT)
        raw.head()
        raw.read()
        hosted.call(prices.say("a", None))
        raw.head()
        assert raw.rest()[-1].event == "done"
        raw.send(GET)
        raw.head()
        raw.event()
        until(lambda: kept() - before == Counter({"DirectSink": 1, "Tail": 1}))
    until(lambda: kept() <= before)


def test_a_server_that_shuts_down_closes_a_parked_connection_after_its_stream(loop: Loop) -> None:
    prices = Prices(Options(heartbeat=0.1))
    with Hosted(prices.app, loop=loop) as hosted, Raw(hosted.address) as raw:
        raw.send(CHAT)
        raw.head()
        raw.event()
        until(lambda: kinds(hosted) == ["DirectSink"])
        hosted.connections[0].shutdown()
        hosted.call(prices.say("a", None))
        assert [event.event for event in raw.rest()] == ["message", "finish", "done"]
        with pytest.raises(Ended):
            raw.head()
