"""Limits over HTTP: a server whose keys have limits of their own, so that each test is a caller of its own."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import anthropic
import openai
import pytest

from tailrace.access.keys import hash_of
from tests.support.backed import data_of, error_of, names_of
from tests.support.raw import Answer, Raw
from tests.support.server import Server
from tests.support.upstream import Script, Upstream

_SETTINGS = """
[chat]
default_model = "up/m"
grace = 0
[providers.up]
kind = "anthropic"
base_url = "{url}"
[providers.late]
kind = "openai"
base_url = "{url}/v1"
[models.gpt]
targets = [ {{ provider = "late", model = "m" }} ]
[auth]
keys = [ {keys} ]
"""
_LIMITS = {
    "requests": {"requests_per_minute": 3},
    "each": {"requests_per_minute": 4},
    "resumes": {"requests_per_minute": 2},
    "streams": {"concurrent_streams": 2},
    "direct": {"concurrent_streams": 2},
    "plain": {"concurrent_streams": 1},
    "whole": {"concurrent_streams": 1},
    "lost": {"concurrent_streams": 1},
    "returning": {"concurrent_streams": 1},
    "tokens": {"tokens_per_minute": 60},
    "debt": {"tokens_per_minute": 60},
    "question": {"tokens_per_minute": 60},
    "relayed": {"tokens_per_minute": 60},
    "told": {"tokens_per_minute": 1000},
    "gone": {"tokens_per_minute": 1000},
    "openai": {"requests_per_minute": 1},
    "anthropic": {"requests_per_minute": 1},
    "cheap": {"requests_per_minute": 1},
    "pages": {"requests_per_minute": 1},
    "free": {},
}
_JSON = {"accept": "application/json"}


class Limited:
    """A server whose callers are limited, and the model behind it."""

    def __init__(self, up: Upstream, server: Server) -> None:
        self.up, self.server = up, server

    def ask(self, key: str, method: str, target: str, body: Any = b"", **headers: str) -> Answer:
        return self.server.ask(method, target, _as(key, headers), body)

    @contextmanager
    def open(self, key: str, method: str, target: str, body: Any = b"", **headers: str) -> Iterator[Raw]:
        with self.server.open(method, target, _as(key, headers), body) as raw:
            yield raw

    @contextmanager
    def chat(self, key: str, script: Script, model: str = "up/m") -> Iterator[Raw]:
        self.up.script(script)
        with self.open(key, "POST", "/api/chat", {"message": "Hi", "model": model}) as raw:
            yield raw

    def left(self, key: str) -> dict[str, int]:
        """What the key has left of each policy."""
        return left_in(self.ask(key, "GET", "/v1/models").headers)

    def wait_left(self, key: str, policy: str, amount: int) -> None:
        end = time.monotonic() + 10
        while (left := self.left(key)[policy]) != amount:
            assert time.monotonic() < end, left
            time.sleep(0.005)


def _as(key: str, headers: Mapping[str, str]) -> dict[str, str]:
    return {"x-api-key": f"tr_{key}", **{name.replace("_", "-"): value for name, value in headers.items()}}


def left_in(headers: Mapping[str, str]) -> dict[str, int]:
    """The items of a `RateLimit` field."""
    return {name: int(left) for name, left in re.findall(r'"(\w+)";r=(\d+)', headers["ratelimit"])}


@pytest.fixture(scope="module")
def _running() -> Iterator[Limited]:
    keys = ", ".join(
        [
            f'{{ name = "{name}", hash = "{hash_of(f"tr_{name}")}", scopes = ["admin"], limits = {_toml(limits)} }}'
            for name, limits in _LIMITS.items()
        ]
    )
    with Upstream() as up, Server(_SETTINGS.format(url=up.url, keys=keys)) as server:
        yield Limited(up, server)


def _toml(limits: Mapping[str, int]) -> str:
    return "{ " + ", ".join([f"{name} = {value}" for name, value in limits.items()]) + " }"


@pytest.fixture
def limited(_running: Limited) -> Iterator[Limited]:
    """The running server; after the test it must still be well."""
    _running.up._scripts.clear()  # of answers that were cancelled before they were asked for
    yield _running
    assert "Traceback" not in _running.server.said


class TestRequests:
    """So many a minute."""

    def test_one_too_many_is_told_when_to_come_again_and_what_is_left(self, limited: Limited) -> None:
        answers = [limited.ask("requests", "GET", "/events/a", accept="application/json") for _ in range(4)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429]
        assert [left_in(answer.headers)["requests"] for answer in answers] == [2, 1, 0, 0]
        refused = answers[-1]
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["code"] == "rate_limited"
        assert refused.headers["ratelimit-policy"] == '"requests";q=3;w=60'
        assert 17 <= int(refused.headers["retry-after"]) <= 20
        assert refused.headers["ratelimit"] == f'"requests";r=0;t={refused.headers["retry-after"]}'

    def test_it_counts_whatever_is_asked_for_in_whichever_way(self, limited: Limited) -> None:
        asked = [
            ("POST", "/events/a", {"data": 1}, 200),
            ("GET", "/v1/models", b"", 200),
            ("GET", "/api/chat/unknown", b"", 404),
            ("POST", "/api/chat", b"{", 400),
            ("POST", "/api/chat", b"{", 429),
        ]
        for method, target, body, status in asked:
            accept = {} if method == "POST" else _JSON
            assert limited.ask("each", method, target, body, **accept).status == status

    def test_pages_and_probes_are_not_counted(self, limited: Limited) -> None:
        for target in ("/", "/health", "/health/ready", "/metrics") * 3:
            assert limited.ask("pages", "GET", target).status == 200

    def test_ending_answers_does_not_use_up_what_asking_needs(self, limited: Limited) -> None:
        for _ in range(5):
            assert limited.ask("cheap", "DELETE", "/api/chat/unknown").status == 404
            assert limited.ask("cheap", "POST", "/v1/responses/unknown/cancel").status == 404
        assert limited.ask("cheap", "GET", "/v1/models").status == 200

    def test_who_has_no_limits_is_told_of_none(self, limited: Limited) -> None:
        assert "ratelimit" not in limited.ask("free", "GET", "/v1/models").headers

    def test_resumes_are_let_in_when_no_new_request_is_and_never_with_an_error(self, limited: Limited) -> None:
        first = limited.ask("resumes", "POST", "/events/r", {"data": 1}).json()["id"]
        limited.ask("resumes", "POST", "/events/r", {"data": 2})
        assert limited.ask("resumes", "POST", "/events/r", {"data": 3}).status == 429
        for _ in range(20):
            with limited.open("resumes", "GET", "/events/r", last_event_id=first) as raw:
                raw.event()
                assert raw.event().data == "2"
        with limited.open("resumes", "GET", "/events/r", last_event_id=first) as raw:
            (event,) = raw.rest()
        assert (event.event, json.loads(event.data)) == ("reconnect", {"reason": "limited"})
        assert event.id == ""
        assert 1000 <= (event.retry or 0) <= 5500


class TestStreams:
    """So many at a time."""

    def test_one_too_many_is_refused_until_another_is_over(self, limited: Limited) -> None:
        with limited.open("streams", "GET", "/events/s"):
            with limited.open("streams", "GET", "/events/s"):
                refused = limited.ask("streams", "GET", "/events/s")
                assert (refused.status, refused.json()["code"]) == (429, "too_many_streams")
                assert int(refused.headers["retry-after"]) >= 1
                assert limited.left("streams") == {"streams": 0}
            limited.wait_left("streams", "streams", 1)
        limited.wait_left("streams", "streams", 2)

    @pytest.mark.parametrize("ending", ["finish", "leave", "reset", "cancel"])
    def test_a_place_is_given_back_however_an_answer_ends(self, limited: Limited, ending: str) -> None:
        script = Script(delay=0.0 if ending == "finish" else 5.0, first_delay=0.0)
        with limited.chat("direct", script) as raw:
            run = data_of(raw.event())["run"]
            if ending == "cancel":
                assert limited.ask("direct", "DELETE", f"/api/chat/{run}").status == 200
            if ending in {"finish", "cancel"}:
                assert names_of(raw.rest())[-1] == "done"
            if ending == "reset":
                raw.reset()
        limited.wait_left("direct", "streams", 2)

    def test_an_answer_over_the_ordinary_send_counts_too(self, limited: Limited) -> None:
        # HTTP/1.0 has no chunks, so no direct lane.
        with limited.server.connect() as raw:
            raw.send(b"GET /events/p HTTP/1.0\r\nhost: a\r\nx-api-key: tr_plain\r\n\r\n")
            assert raw.head().status == 200
            assert limited.ask("plain", "GET", "/events/p").status == 429
        limited.wait_left("plain", "streams", 1)

    def test_a_whole_answer_counts_while_it_is_awaited(self, limited: Limited) -> None:
        limited.up.script(Script(first_delay=0.4))
        body = {"model": "gpt", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
        with limited.server.connect() as raw:
            raw.request("POST", "/v1/messages", _as("whole", {}), body)
            limited.wait_left("whole", "streams", 0)
            refused = limited.ask("whole", "POST", "/v1/messages", body)
            assert (refused.status, refused.json()["error"]["type"]) == (429, "rate_limit_error")
            assert raw.head().status == 200
        limited.wait_left("whole", "streams", 1)

    def test_who_lost_a_connection_that_is_not_known_to_be_lost_can_resume(self, limited: Limited) -> None:
        with limited.open("lost", "GET", "/events/l") as lost:
            cursor = lost.event().id
            with limited.open("lost", "GET", "/events/l", last_event_id=cursor):
                assert limited.ask("lost", "GET", "/events/l").status == 429

    def test_a_resume_beyond_that_is_told_in_the_stream(self, limited: Limited) -> None:
        with ExitStack() as stack:
            cursor = stack.enter_context(limited.open("returning", "GET", "/events/l")).event().id
            stack.enter_context(limited.open("returning", "GET", "/events/l", last_event_id=cursor))
            with limited.open("returning", "GET", f"/events/l?last_event_id={cursor}") as raw:
                (event,) = raw.rest()
            assert json.loads(event.data) == {"reason": "limited"}


class TestTokens:
    """So many a minute, charged while they are said."""

    def test_an_answer_over_the_budget_ends_as_such_and_the_next_is_refused(self, limited: Limited) -> None:
        with limited.chat("tokens", Script(pieces=("four" * 5,) * 30, usage=None, chunking="frame")) as raw:
            events = raw.rest()
        assert error_of(events)["type"] == "policy_token_budget"
        assert names_of(events)[-2:] == ["error", "done"]
        said = names_of(events).count("message")
        assert 12 <= said < 30
        refused = limited.ask("tokens", "POST", "/api/chat", {"message": "Hi"})
        assert (refused.status, refused.json()["code"]) == (429, "token_budget")
        assert limited.left("tokens") == {"tokens": 0}

    def test_a_complete_answer_is_not_spoiled_by_what_its_end_tells_and_that_is_owed(self, limited: Limited) -> None:
        with limited.chat("debt", Script(usage=(100, 20)), model="gpt") as raw:
            assert names_of(raw.rest())[-2:] == ["finish", "done"]
        refused = limited.ask("debt", "POST", "/v1/messages", {"model": "gpt", "max_tokens": 1, "messages": []})
        assert (refused.status, refused.json()["error"]["type"]) == (429, "rate_limit_error")
        assert 55 <= int(refused.headers["retry-after"]) <= 61

    def test_a_question_that_is_over_the_budget_is_ended_before_a_word(self, limited: Limited) -> None:
        with limited.chat("question", Script(usage=(100, 20))) as raw:
            assert names_of(raw.rest()) == ["start", "error", "done"]

    def test_what_is_relayed_ends_with_the_dialects_own_error(self, limited: Limited) -> None:
        limited.up.script(Script(pieces=("four" * 5,) * 30, usage=None))
        body = {"model": "up/m", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
        with limited.open("relayed", "POST", "/v1/messages", body) as raw:
            events = raw.rest()
        assert events[-1].event == "error"
        assert data_of(events[-1])["error"]["type"] == "rate_limit_error"
        assert 12 <= names_of(events).count("content_block_delta") < 30

    def test_what_the_provider_tells_counts_and_not_the_estimate(self, limited: Limited) -> None:
        with limited.chat("told", Script(pieces=("x" * 2000,), usage=(100, 20))) as raw:
            raw.rest()
        limited.wait_left("told", "tokens", 880)

    def test_an_answer_whose_reader_leaves_is_charged_for_what_was_said(self, limited: Limited) -> None:
        with limited.chat(
            "gone", Script(pieces=("x" * 400,) * 9, usage=None, delay=0.0, fault="stall", after=1)
        ) as raw:
            while raw.event().event != "message":
                pass
        end = time.monotonic() + 10
        while (left := limited.left("gone")["tokens"]) > 920:
            assert time.monotonic() < end, left
            time.sleep(0.005)
        assert left >= 850


class TestSdks:
    """What the official clients make of it."""

    def test_openais_raises_its_own_error_with_the_wait(self, limited: Limited) -> None:
        with openai.OpenAI(base_url=f"{limited.server.url}/v1", api_key="tr_openai", max_retries=0) as client:
            client.models.list()
            with pytest.raises(openai.RateLimitError) as refused:
                client.chat.completions.create(model="gpt", messages=[{"role": "user", "content": "Hi"}])
        assert refused.value.code == "rate_limited"
        headers = refused.value.response.headers
        assert 50_000 <= int(headers["retry-after-ms"]) <= 60_000
        assert "x-should-retry" not in headers

    def test_anthropics_raises_its_own_error(self, limited: Limited) -> None:
        with anthropic.Anthropic(base_url=limited.server.url, api_key="tr_anthropic", max_retries=0) as client:
            client.models.list()
            with pytest.raises(anthropic.RateLimitError, match="At most 1 requests a minute"):
                client.messages.create(model="gpt", max_tokens=9, messages=[{"role": "user", "content": "Hi"}])
