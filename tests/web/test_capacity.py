"""What one process takes on, whoever it is for: the next is told to come later, before anything is started."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.backed import data_of
from tests.support.raw import Raw
from tests.support.server import Server
from tests.support.upstream import Script, Upstream

_SETTINGS = """
[server]
cors_origins = ["https://a.example"]
[limits]
max_streams = 3
max_runs = 2
[chat]
default_model = "up/m"
grace = 0
[providers.up]
kind = "anthropic"
base_url = "{url}"
"""
_BODY = {"model": "up/m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(scope="module")
def up() -> Iterator[Upstream]:
    with Upstream() as up:
        yield up


@pytest.fixture(scope="module")
def small(up: Upstream) -> Iterator[Server]:
    """A server that takes on three streams and two runs."""
    with Server(_SETTINGS.format(url=up.url)) as server:
        yield server
        assert "Traceback" not in server.said


def test_a_stream_too_many_is_told_to_come_later(small: Server) -> None:
    with small.open("GET", "/events/a"), small.open("GET", "/events/a"), small.open("GET", "/events/a"):
        refused = small.ask("GET", "/events/a", {"origin": "https://a.example"})
        assert (refused.status, refused.json()["code"]) == (503, "overloaded")
        assert 2 <= int(refused.headers["retry-after"]) <= 8
        assert refused.headers["access-control-allow-origin"] == "https://a.example"
        said = small.ask("POST", "/v1/messages", None, _BODY)
        assert (said.status, said.json()["error"]["type"]) == (503, "overloaded_error")


def test_a_response_that_is_fetched_as_a_stream_is_one_too_many_as_well(small: Server) -> None:
    said = small.ask("POST", "/v1/responses", None, {"model": "up/m", "input": "Hi"}).json()
    with small.open("GET", "/events/a"), small.open("GET", "/events/a"), small.open("GET", "/events/a"):
        refused = small.ask("GET", f"/v1/responses/{said['id']}?stream=true")
        assert (refused.status, refused.json()["error"]["code"]) == (503, "overloaded")
        assert small.ask("GET", f"/v1/responses/{said['id']}").json() == said


def test_who_comes_back_is_told_in_the_stream(small: Server) -> None:
    with small.open("GET", "/events/a") as raw, small.open("GET", "/events/a"), small.open("GET", "/events/a"):
        cursor = raw.event().id
        with small.open("GET", "/events/a", {"last-event-id": cursor}) as told:
            (event,) = told.rest()
    assert (event.event, event.id, data_of(event)) == ("reconnect", "", {"reason": "overloaded"})
    assert 5000 <= (event.retry or 0) <= 7000


def test_what_is_no_stream_goes_on(small: Server) -> None:
    with small.open("GET", "/events/a"), small.open("GET", "/events/a"), small.open("GET", "/events/a"):
        assert small.ask("POST", "/events/a", None, {"data": 1}).status == 200
        assert small.ask("GET", "/events/a", {"accept": "application/json"}).status == 200
        assert small.ask("GET", "/health").json()["active_streams"] == 3


def test_of_many_at_once_as_many_are_let_in_as_there_is_room_for(small: Server) -> None:
    def opened(_: int) -> tuple[Raw, int]:
        raw = small.connect()
        raw.request("GET", "/events/a")
        return raw, raw.head().status

    with ThreadPoolExecutor(12) as pool:
        answers = [*pool.map(opened, range(12))]
    try:
        assert sorted([status for _, status in answers]) == [200] * 3 + [503] * 9
    finally:
        for raw, _ in answers:
            raw.close()


def test_an_answer_too_many_is_refused_before_a_model_is_asked(small: Server, up: Upstream) -> None:
    before = len(up.seen)
    up.script(Script(fault="stall", after=1), Script(fault="stall", after=1))
    with small.open("POST", "/api/chat", None, {"message": "1"}) as first:
        run = data_of(first.event())["run"]
        with small.open("POST", "/api/chat", None, {"message": "2"}):
            up.wait_for(lambda seen: len(seen) == before + 2)
            for path, body in (("/api/chat", {"message": "3"}), ("/v1/messages", _BODY)):
                assert small.ask("POST", path, None, body).status == 503
            with small.open("GET", f"/api/chat/{run}") as watching:
                assert watching.event().event == "start"
    assert len(up.seen) == before + 2


def test_a_cursor_of_a_run_that_is_gone_is_answered_though_no_more_runs_are_taken_on(
    small: Server, up: Upstream
) -> None:
    up.script(Script(fault="stall", after=1), Script(fault="stall", after=1))
    with (
        small.open("POST", "/api/chat", None, {"message": "1"}),
        small.open("POST", "/api/chat", None, {"message": "2"}),
        small.open("POST", "/api/chat", {"last-event-id": "AAAAAAAAAAAAAAAAAAAAAA-3"}, {"message": "1"}) as raw,
    ):
        assert [event.event for event in raw.rest()] == ["resume", "error", "done"]
