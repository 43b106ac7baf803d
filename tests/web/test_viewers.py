"""Who views a channel or a run, over HTTP."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import pytest

from tests.support.fleet import Answers, Fleet
from tests.support.hosted import until
from tests.support.identities import Guarded, bearer, token
from tests.support.raw import Raw
from tests.support.server import Server

STREAM = {"accept": "text/event-stream"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server("[server]\nheartbeat = 0.2\n") as running:
        yield running
        assert "Traceback" not in running.said, running.said


def viewers(server: Server, channel: str) -> int:
    answer = server.ask("GET", f"/events/{channel}/viewers")
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json()
    assert told == {"channel": channel, "viewers": told["viewers"]}
    return int(told["viewers"])


def figure(raw: Raw) -> int:
    event = raw.event()
    assert (event.event, event.id) == ("viewers", "")
    return int(json.loads(event.data)["viewers"])


def reach(raw: Raw, viewers: int) -> None:
    """Read figures up to this one: an instance that is slow to answer is counted a moment later."""
    while figure(raw) != viewers:
        pass


def test_it_is_told_how_many_streams_are_open(server: Server) -> None:
    assert viewers(server, "a") == 0
    with server.open("GET", "/events/a"), server.open("GET", "/events?channel=a&channel=b"):
        assert viewers(server, "a") == 2
        assert viewers(server, "b") == 1
    until(lambda: viewers(server, "a") == 0)


def test_a_stream_of_it_tells_every_change_and_is_kept_alive(server: Server) -> None:
    with server.open("GET", "/events/c/viewers", STREAM) as raw:
        assert figure(raw) == 0
        assert b"retry: 2000\n" in raw.body
        with server.open("GET", "/events/c"):
            assert figure(raw) == 1
            assert viewers(server, "c") == 1  # who counts is not counted
        assert figure(raw) == 0
        raw.piece()
        assert raw.body.endswith(b":heartbeat\n")


def test_its_head_is_that_of_a_stream(server: Server) -> None:
    with server.connect() as raw:
        raw.request("GET", "/events/c/viewers", STREAM)
        headers = raw.head().headers
    assert headers["content-type"].startswith("text/event-stream")
    assert headers["tailrace-heartbeat"] == "0.2"
    assert headers["cache-control"] == "no-cache, no-transform"


@pytest.mark.parametrize("accept", [STREAM, {}])
def test_what_is_no_channel_is_refused(server: Server, accept: dict[str, str]) -> None:
    answer = server.ask("GET", "/events/a%20b/viewers", accept)
    assert (answer.status, answer.json()["code"]) == (422, "invalid_name")


def test_who_counts_is_sent_away_by_a_server_that_leaves() -> None:
    with Server() as leaving, leaving.open("GET", "/events/c/viewers", STREAM) as raw:
        assert figure(raw) == 0
        leaving.signal(signal.SIGTERM)
        last = raw.rest()[-1]
        assert (last.event, json.loads(last.data)) == ("reconnect", {"reason": "draining"})
        assert last.retry is not None
        assert leaving.wait(10) == 0


def test_viewers_of_an_instance_that_dies_are_not_counted_any_more() -> None:
    with Fleet() as fleet:
        one, other = fleet.instances
        with one.open("GET", "/events/c/viewers", STREAM) as raw, other.open("GET", "/events/c"):
            while figure(raw) != 1:  # it is told within a second that somebody follows elsewhere
                pass
            fleet.kill(other)
            assert figure(raw) == 0
        assert viewers(one, "c") == 0


def test_it_takes_the_right_to_the_channel_and_names_are_for_admins() -> None:
    with Guarded() as guarded, guarded.server.open("GET", "/events/news-1", guarded.key("web")):
        assert guarded.ask("GET", "/events/other/viewers", guarded.key("reader")).status == 403
        told = guarded.ask("GET", "/events/news-1/viewers", guarded.key("reader")).json()
        assert told == {"channel": "news-1", "viewers": 1}
        told = guarded.ask("GET", "/events/news-1/viewers", guarded.key("boss")).json()
        assert told["who"] == {"key:web": 1}


def test_a_stream_of_it_ends_with_the_credential() -> None:
    with Guarded() as guarded:
        soon = bearer(token("alice", lasts=2))
        with guarded.server.open("GET", "/events/news-1/viewers", {**soon, **STREAM}) as raw:
            last = raw.rest()[-1]
        assert (last.event, json.loads(last.data)) == ("reconnect", {"reason": "expired"})


# Runs.


def viewers_of(run: str, server: Server) -> int:
    told = server.ask("GET", f"/api/chat/{run}/viewers").json()
    assert told == {"run": run, "viewers": told["viewers"]}
    return int(told["viewers"])


def test_viewers_of_a_run_are_told_on_every_instance_until_it_ends() -> None:
    with Fleet(answers=Answers(pieces=1000, delay=0.05)) as fleet:
        one, other = fleet.instances
        with one.open("POST", "/api/chat", body={"message": "Hi"}) as asking:
            run = asking.event().id.rpartition("-")[0]
            path = f"/api/chat/{run}/viewers"
            with other.open("GET", path, STREAM) as raw:
                reach(raw, 1)
                with other.open("GET", f"/api/chat/{run}"):
                    reach(raw, 2)
                    until(lambda: viewers_of(run, one) == viewers_of(run, other) == 2)
                reach(raw, 1)
                assert one.ask("DELETE", f"/api/chat/{run}").status == 200
                assert [json.loads(event.data)["viewers"] for event in raw.rest()] == [0]
            for each in fleet.instances:
                assert viewers_of(run, each) == 0
                assert each.ask("GET", path, STREAM).status == 204


def test_a_run_that_is_anothers_has_no_viewers_and_no_stream_of_them() -> None:
    with Guarded() as guarded, guarded.server.open("POST", "/api/chat", guarded.key("web"), {"message": "x"}) as asking:
        run = asking.event().id.rpartition("-")[0]
        path = f"/api/chat/{run}/viewers"
        for accept in (STREAM, {}):
            for who in ("other", "reader"):
                assert guarded.ask("GET", path, {**guarded.key(who), **accept}).status == 404
            assert guarded.ask("GET", "/api/chat/nothing/viewers", {**guarded.key("web"), **accept}).status == 404
        for who in ("web", "boss"):
            assert guarded.ask("GET", path, guarded.key(who)).json() == {"run": run, "viewers": 1}
        ticket = guarded.ticket(guarded.key("web"), path)
        with guarded.server.open("GET", f"{path}?ticket={ticket}", STREAM) as raw:
            assert figure(raw) == 1
        assert guarded.ask("GET", path).status == 401
