"""The FastAPI example, as a reader would start it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.support.served import EXIT_CODES, RUNNERS, Runner, served
from tests.support.server import Server


@pytest.fixture(scope="module", params=RUNNERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with served(request.param, "examples.fastapi_app:app") as server:
        yield server


def test_an_async_generator_is_a_resumable_answer(server: Server) -> None:
    with server.open("POST", "/chat", body={"message": "a b"}) as raw:
        start, first = raw.events(2)
    assert start.event == "start"
    with server.open("POST", "/chat", {"last-event-id": first.id}, {"message": "a b"}) as raw:
        resumed, *rest = raw.rest()
    assert (resumed.event, resumed.data) == ("resume", '{"recovered":true,"reason":"ok","missed":0}')
    assert [event.data for event in rest if event.event == "message"] == [
        f'{{"text":"{word} "}}' for word in ("said:", "a", "b")
    ]
    assert rest[-1].event == "done"
    assert {event.id.rpartition("-")[0] for event in rest} == {first.id.rpartition("-")[0]}
    again = server.ask("POST", "/chat", {"last-event-id": rest[-1].id}, {"message": "a b"})
    assert (again.status, again.body) == (204, b"")


def test_a_channel_is_followed_and_resumed(server: Server) -> None:
    with server.open("GET", "/prices") as raw:
        assert raw.event().event == "ready"
        first = server.ask("POST", "/prices/1.07").json()["id"]
        tick = raw.event()
        assert (tick.event, tick.data, tick.id) == ("tick", '{"eur":1.07}', first)
    server.ask("POST", "/prices/1.08")
    with server.open("GET", "/prices", {"last-event-id": first}) as raw:
        assert [event.data for event in raw.events(2)][1] == '{"eur":1.08}'


def test_a_wrong_body_is_the_frameworks_own_answer(server: Server) -> None:
    assert server.ask("POST", "/chat", body={"wrong": 1}).status == 422


@pytest.mark.parametrize("runner", RUNNERS)
def test_it_leaves_in_order_although_a_stream_is_open(runner: Runner) -> None:
    with served(runner, "examples.fastapi_app:app") as server, server.open("GET", "/prices") as raw:
        raw.event()
        server.terminate()
        reconnect = raw.event()
        assert (reconnect.event, reconnect.data) == ("reconnect", '{"reason":"draining"}')
        assert reconnect.retry
        assert raw.rest() == []
        assert raw.complete
        try:
            assert server.wait(timeout=5) == EXIT_CODES[runner]
        except subprocess.TimeoutExpired:
            pytest.fail(f"it is still there: {server.said}")
