"""What a route says of native answers: who answers, what becomes of one that breaks, or that nobody watches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.backed import data_of, names_of, text_of
from tests.support.server import Server
from tests.support.upstream import Script, Upstream

_SETTINGS = """
[chat]
grace = 20
[providers.main]
kind = "anthropic"
base_url = "{main}"
[providers.spare]
kind = "openai"
base_url = "{spare}/v1"
[models.again]
targets = [ {{ provider = "main", model = "m" }} ]
fallback = [ {{ provider = "spare", model = "s" }} ]
after_content = "continue"
[models.cancel]
targets = [ {{ provider = "main", model = "m" }} ]
on_disconnect = "cancel"
[models.finish]
targets = [ {{ provider = "main", model = "m" }} ]
on_disconnect = "finish"
[models.halves]
targets = [ {{ provider = "main", model = "m" }}, {{ provider = "spare", model = "s" }} ]
"""


class Routed:
    """A server between two upstreams."""

    def __init__(self, main: Upstream, spare: Upstream, server: Server) -> None:
        self.main, self.spare, self.server = main, spare, server

    def ask(self, model: str, **body: Any) -> Any:
        return self.server.open("POST", "/api/chat", None, {"message": "Hi", "model": model, **body})

    def state(self, run: str) -> dict[str, Any]:
        return dict(self.server.ask("GET", f"/api/chat/{run}", {"accept": "application/json"}).json())

    def wait(self, run: str, status: str) -> None:
        until = time.monotonic() + 10
        while self.state(run)["status"] != status:
            assert time.monotonic() < until, self.state(run)


@pytest.fixture(scope="module")
def _running() -> Iterator[Routed]:
    with (
        Upstream() as main,
        Upstream() as spare,
        Server(_SETTINGS.format(main=main.url, spare=spare.url)) as server,
    ):
        yield Routed(main, spare, server)


@pytest.fixture
def routed(_running: Routed) -> Routed:
    """The server, with upstreams that stall anew where a script says so."""
    _running.main._loop.call_soon_threadsafe(_running.main._resumed.clear)
    return _running


def test_an_answer_that_breaks_begins_anew_and_says_what_is_void(routed: Routed) -> None:
    routed.main.script(Script(fault="eof", after=2))
    with routed.ask("again") as raw:
        events = raw.rest()
    names = names_of(events)
    assert names == ["start", "message", "message", "restart", *["message"] * 4, "finish", "done"]
    assert data_of(events[3]) == {"provider": "spare", "model": "s", "reason": "provider_incomplete"}
    assert text_of(events[4:]) == "Hello, world!"
    finish = data_of(events[-2])
    assert (finish["provider"], finish["model"]) == ("spare", "s")
    assert finish["usage"] == {"input_tokens": 5, "output_tokens": 4, "estimated": False}
    assert [each["outcome"] for each in finish["attempts"]] == ["provider_incomplete", "answered"]
    state = routed.state(data_of(events[0])["run"])
    assert (state["text"], state["provider"], state["attempts"]) == ("Hello, world!", "spare", finish["attempts"])


def test_where_the_route_says_so_an_answer_is_cancelled_when_its_last_viewer_leaves(routed: Routed) -> None:
    before = len(routed.main.seen)
    routed.main.script(Script(fault="stall", after=1))
    with routed.ask("cancel", grace=20) as raw:
        run = data_of(raw.events(2)[0])["run"]
    routed.main.wait_for(lambda seen: seen[before].aborted_at is not None)
    routed.wait(run, "cancelled")
    (attempt,) = routed.state(run)["attempts"]
    assert attempt["outcome"] == "answered", "as far as anybody listened"


def test_where_the_route_says_so_an_answer_is_finished_without_viewers(routed: Routed) -> None:
    routed.main.script(Script(fault="stall", after=1))
    with routed.ask("finish") as raw:
        run = data_of(raw.events(2)[0])["run"]
    routed.main.resume()
    routed.wait(run, "finished")
    assert routed.state(run)["text"] == "Hello, world!"


def test_a_person_stays_on_one_arm_of_a_route_and_strangers_come_to_both(routed: Routed) -> None:
    def arm(**body: Any) -> str:
        with routed.ask("halves", **body) as raw:
            events = raw.rest()
        start, finish = data_of(events[0]), data_of(events[-2])
        assert start["model"] == finish["model"], "who was chosen is who answered"
        return str(finish["model"])

    arms = {user: {arm(metadata={"user": user}) for _ in range(3)} for user in ("ada", "bob", "eve", "joe", "kim")}
    assert all(len(each) == 1 for each in arms.values())
    assert {arm() for _ in range(20)} == {"m", "s"}


def test_a_run_that_is_cancelled_before_its_first_token_tells_whom_it_waited_for(routed: Routed) -> None:
    before = len(routed.main.seen)
    routed.main.script(Script(fault="no head"))
    with routed.ask("cancel") as raw:
        run = data_of(raw.event())["run"]
        routed.main.wait_for(lambda seen: len(seen) > before)
        routed.server.ask("DELETE", f"/api/chat/{run}")
        error = data_of(raw.rest()[0])
    assert error["error"]["type"] == "caller_cancelled"
    assert [(each["provider"], each["outcome"]) for each in error["attempts"]] == [("main", "abandoned")]
    assert (error["provider"], error["model"], error["first_token"]) == ("main", "m", None)


def test_nothing_of_what_was_said_is_in_the_log(routed: Routed) -> None:
    with routed.ask("halves", message="a very private question") as raw:
        raw.rest()
    assert "private" not in routed.server.said
    assert "Hello" not in routed.server.said
