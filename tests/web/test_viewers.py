"""Who views a channel, over HTTP."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import pytest

from tests.support.fleet import Fleet
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
