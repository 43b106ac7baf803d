"""The probe of the doctor: it says what it saw, keeps time, is bounded, and leaves with its server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.support.raw import Raw
from tests.support.server import Server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server("[server]\nheartbeat = 0.2\nmax_body = 2000\n") as server:
        yield server


def test_it_says_what_came_of_the_request(server: Server) -> None:
    sent = {"last-event-id": "e-1", "idempotency-key": "k", "authorization": "Basic eDp5"}
    with server.open("GET", "/doctor/stream?echo=abc", sent) as raw:
        seen, end = [json.loads(event.data) for event in raw.rest()]
    assert (seen["headers"]["last-event-id"], seen["headers"]["idempotency-key"]) == ("e-1", "k")
    assert (seen["http"], seen["echo"], seen["credentials"]) == ("1.1", "abc", ["authorization"])
    assert (seen["heartbeat"], seen["max_body"]) == (0.2, 2000)
    assert "eDp5" not in json.dumps([seen, end])


def test_it_is_sent_as_streams_of_runs_and_channels_are(server: Server) -> None:
    heads = []
    for path in ("/doctor/stream", "/events/news"):
        with Raw(server.address) as raw:
            raw.request("GET", path)
            headers = raw.head().headers
            heads.append({name: value for name, value in headers.items() if name not in {"date", "tailrace-run"}})
    assert heads[0] == heads[1]


def test_a_request_in_http_1_0_is_told_so(server: Server) -> None:
    with Raw(server.address) as raw:
        raw.send(b"GET /doctor/stream HTTP/1.0\r\nHost: test\r\n\r\n")
        raw.head()
        assert json.loads(raw.event().data)["http"] == "1.0"


def test_ticks_leave_one_by_one_and_say_when(server: Server) -> None:
    with server.open("GET", "/doctor/stream?ticks=4&every=0.1") as raw:
        _, *ticks, end = raw.rest()
    assert [event.event for event in (*ticks, end)] == ["tick"] * 4 + ["end"]
    at = [json.loads(event.data)["at"] for event in ticks]
    assert all(later - sooner >= 0.09 for sooner, later in pairwise(at))


def test_a_quiet_stream_has_heartbeats_and_an_end(server: Server) -> None:
    begun = time.monotonic()
    with server.open("GET", "/doctor/stream?quiet=1.1") as raw:
        assert [event.event for event in raw.rest()] == ["probe", "end"]
        assert 1 <= raw.body.count(b":heartbeat\n") <= 5
    assert time.monotonic() - begun >= 1.1


def test_a_flood_waits_for_whoever_does_not_read(server: Server) -> None:
    with Raw(server.address, receive_buffer=4096) as raw:
        raw.request("GET", "/doctor/stream?flood=16")
        raw.head()
        assert server.health()["status"] == "healthy"
        raw.event()
        first = json.loads(raw.event().data)["at"]
        time.sleep(0.5)  # this is what is tested: nothing is read for a while
        blocks = [json.loads(event.data)["at"] for event in raw.rest()[:-1]]
    assert len(blocks) == 16 * 64 - 1
    assert max(later - sooner for sooner, later in pairwise([first, *blocks])) > 0.3


@pytest.mark.parametrize(
    "query", ["ticks=101", "ticks=-1", "ticks=x", "every=3", "quiet=301", "quiet=nan", "flood=33", "pad=4097"]
)
def test_what_would_go_on_for_too_long_is_refused(server: Server, query: str) -> None:
    answer = server.ask("GET", f"/doctor/stream?{query}")
    assert (answer.status, answer.json()["code"]) == (422, "invalid_query")
    assert query.partition("=")[0] in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/api/chat", "/events", "/v1"])
def test_it_is_below_each_path_that_has_streams(server: Server, path: str) -> None:
    with server.open("GET", f"{path}/doctor/stream?ticks=1") as raw:
        assert [event.event for event in raw.rest()] == ["probe", "tick", "end"]


def test_head_starts_no_stream(server: Server) -> None:
    assert server.ask("HEAD", "/doctor/stream").status == 405


def test_what_is_said_back_of_a_request_is_short(server: Server) -> None:
    with server.open("GET", f"/doctor/stream?echo={'x' * 5000}", {"last-event-id": "y" * 5000}) as raw:
        assert len(raw.event().data) < 2000


def test_a_body_is_counted_and_bounded_as_any_other(server: Server) -> None:
    assert server.ask("POST", "/doctor/body", body=b"z" * 2000).json() == {"bytes": 2000}
    assert server.ask("POST", "/doctor/body", body=b"z" * 2001).status == 413


def test_so_many_are_examined_at_once_and_no_more(server: Server) -> None:
    streams = [Raw(server.address) for _ in range(256)]
    try:
        for raw in streams:
            raw.request("GET", "/doctor/stream?quiet=60")
            assert raw.head().status == 200
        for path, method in (("/doctor/stream", "GET"), ("/doctor/body", "POST")):
            refused = server.ask(method, path)
            assert (refused.status, refused.json()["code"]) == (503, "doctor_busy")
            assert refused.headers["retry-after"] == "60"
        assert server.ask("GET", "/health/ready").status == 200
    finally:
        for raw in streams:
            raw.close()
    while server.ask("GET", "/doctor/stream").status == 503:
        time.sleep(0.01)


def test_a_server_that_leaves_waits_for_no_probe() -> None:
    with Server("[server]\ndrain_timeout = 20\n") as server, server.open("GET", "/doctor/stream?quiet=60") as raw:
        raw.event()
        server.terminate()
        assert [event.event for event in raw.rest()] == ["end"]
        assert raw.complete
        assert server.wait() == 0
