"""Native chat: what is asked, by POST or as an EventSource asks, what is answered, and what can be said of a run."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tailrace.runs import Text, Thinking, ToolCall
from tests.support.backed import Backed, data_of, error_of, names_of, text_of
from tests.support.upstream import Script

STREAM = {"accept": "text/event-stream"}
JSON = {"accept": "application/json"}


# The answer.


@pytest.mark.parametrize("model", ["claude", "gpt", "anthropic/claude-test", "openai/gpt-test", None])
def test_an_answer_is_start_text_finish_and_done_with_rising_ids(backed: Backed, model: str | None) -> None:
    with backed.ask(model=model) as raw:
        events = raw.rest()
        assert raw.complete
    assert names_of(events) == ["start", *["message"] * 4, "finish", "done"]
    assert text_of(events) == "Hello, world!"
    run = data_of(events[0])["run"]
    openai = model in {"gpt", "openai/gpt-test"}
    name, provider = ("gpt-test", "openai") if openai else ("claude-test", "anthropic")
    assert data_of(events[0]) == {"run": run, "model": name}
    assert [event.retry for event in events] == [2000, *[None] * 6]
    finish = data_of(events[-2])
    (attempt,) = finish.pop("attempts")
    assert 0 <= attempt.pop("seconds") <= finish.pop("first_token") <= finish.pop("seconds") < 5
    assert attempt == {"provider": provider, "model": name, "outcome": "answered", "waited": 0}
    assert finish == {
        "finish_reason": "stop",
        "usage": {"input_tokens": 5, "output_tokens": 4, "estimated": False},
        "model": name,
        "provider": provider,
    }
    assert events[-1].data == "[DONE]"
    offsets = [int(event.id.removeprefix(f"{run}-")) for event in events]
    assert offsets == sorted(set(offsets))
    assert len(run) >= 22


def test_the_head_says_what_proxies_and_clients_need(backed: Backed) -> None:
    with backed.server.connect() as raw:
        raw.request("POST", "/api/chat", {}, {"message": "Hi"})
        head = raw.head()
        run = data_of(raw.rest()[0])["run"]
    assert head.status == 200
    assert head.headers["content-type"].partition(";")[0] == "text/event-stream"
    assert head.headers["cache-control"] == "no-cache, no-transform"
    assert head.headers["x-accel-buffering"] == "no"
    assert head.headers["tailrace-run"] == run
    assert head.headers["tailrace-heartbeat"] == "15"
    assert "content-length" not in head.headers


def test_thinking_and_tool_calls_have_events_of_their_own(backed: Backed) -> None:
    for model in ("claude", "gpt"):
        pieces = (Thinking("hm"), Text("so"), ToolCall(0, "call_1", "f", ""), ToolCall(0, arguments='{"a":1}'))
        backed.up.script(Script(pieces=pieces, finish="tool_calls"))
        with backed.ask(model=model) as raw:
            events = raw.rest()
        assert [data_of(event) for event in events if event.event == "thinking"] == [{"text": "hm"}]
        fragments = [data_of(event) for event in events if event.event == "tool"]
        assert fragments[0] == {"index": 0, "id": "call_1", "name": "f", "arguments": ""}
        assert "".join([fragment["arguments"] for fragment in fragments]) == '{"a":1}'
        assert data_of(events[-2])["finish_reason"] == "tool_calls"
        (call,) = backed.state(data_of(events[0])["run"])["tools"]
        assert call == {"index": 0, "id": "call_1", "name": "f", "arguments": '{"a":1}'}


def test_the_first_bytes_come_before_the_upstream_answers(backed: Backed) -> None:
    backed.up.script(Script(fault="no head"))
    with backed.ask() as raw:
        start = raw.event()
        assert start.event == "start"
        assert raw.silent_for(0.2)
        assert backed.wait_seen().streaming_at is not None
        backed.cancel(data_of(start)["run"])


def test_the_whole_question_reaches_the_upstream(backed: Backed) -> None:
    messages = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": [{"type": "text", "text": "c"}]},
    ]
    body = {"messages": messages, "model": "claude", "system": "s", "max_tokens": 9, "temperature": 0.5, "metadata": {}}
    with backed.server.open("POST", "/api/chat", {}, body) as raw:
        raw.rest()
    asked = backed.seen[0].body
    assert (asked["model"], asked["max_tokens"], asked["temperature"]) == ("claude-test", 9, 0.5)
    assert [message["role"] for message in asked["messages"]] == ["user", "assistant", "user"]


def test_an_answer_over_the_size_bound_fails_as_such(backed: Backed) -> None:
    backed.up.script(Script(pieces=("x" * 60_000, "y" * 60_000)))
    with backed.ask() as raw:
        events = raw.rest()
    assert error_of(events)["type"] == "policy_run_too_large"
    assert text_of(events) == "x" * 60_000


# GET, as an EventSource asks.


def test_get_asks_the_same_and_needs_to_say_that_it_takes_a_stream(backed: Backed) -> None:
    with backed.get(message="Hi", model="gpt") as raw:
        assert text_of(raw.rest()) == "Hello, world!"
    for headers in ({}, {"accept": "*/*"}, {"accept": "application/json"}):
        answer = backed.server.ask("GET", "/api/chat?message=Hi", headers)
        assert (answer.status, answer.json()["code"]) == (406, "not_acceptable")
    assert len(backed.seen) == 1


@pytest.mark.parametrize("path", ["/api/chat?message=Hi", "/api/chat/whatever", "/events/news"])
def test_head_is_refused_where_there_are_only_streams(backed: Backed, path: str) -> None:
    answer = backed.server.ask("HEAD", path, STREAM)
    assert answer.status == 405
    assert "GET" in answer.headers["allow"]
    assert "HEAD" not in answer.headers["allow"]
    assert not backed.seen


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-purpose": "prefetch"},
        {"sec-purpose": "prefetch;prerender"},
        {"purpose": "prefetch"},
        {"x-moz": "prefetch"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
)
def test_prefetches_and_pages_of_other_sites_start_nothing(backed: Backed, headers: dict[str, str]) -> None:
    answer = backed.server.ask("GET", "/api/chat?message=Hi", {**STREAM, **headers})
    assert (answer.status, answer.headers["content-type"]) == (403, "application/problem+json")
    if "origin" in headers or "sec-fetch-site" in headers:
        for method, path in (("POST", "/api/chat"), ("DELETE", "/api/chat/x"), ("POST", "/events/x")):
            assert backed.server.ask(method, path, headers, {"message": "Hi"}).status == 403
    assert not backed.seen


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
        {"origin": "http://test"},
        {"sec-fetch-site": "cross-site", "origin": "https://app.example"},
    ],
)
def test_our_own_pages_and_those_that_cors_allows_may_ask(backed: Backed, headers: dict[str, str]) -> None:
    with backed.get(headers, message="Hi") as raw:
        assert text_of(raw.rest()) == "Hello, world!"


# The same request again.


@pytest.mark.parametrize("how", ["post", "get"])
def test_the_same_key_at_the_same_time_starts_one_answer(backed: Backed, how: str) -> None:
    backed.up.default = Script(delay=0.02)

    def ask(number: int) -> bytes:
        if how == "post":
            with backed.ask(headers={"idempotency-key": f"together-{how}"}) as raw:
                return raw.read()
        with backed.get(message="Hi", key=f"together-{how}") as raw:
            return raw.read()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    assert len(set(answers)) == 1
    assert len(backed.seen) == 1


def test_a_key_with_another_body_is_refused(backed: Backed) -> None:
    with backed.ask("one", {"idempotency-key": "reused"}) as raw:
        raw.rest()
    answer = backed.server.ask("POST", "/api/chat", {"idempotency-key": "reused"}, {"message": "two"})
    assert (answer.status, answer.json()["code"]) == (422, "key_reused")
    answer = backed.server.ask("GET", "/api/chat?message=two&key=reused", STREAM)
    assert (answer.status, answer.json()["code"]) == (422, "key_reused")
    assert len(backed.seen) == 1


def test_a_failed_answer_is_replayed_for_its_key(backed: Backed) -> None:
    backed.up.script(Script(fault="eof", after=2))
    answers = []
    for _ in range(3):
        with backed.ask(headers={"idempotency-key": "failed"}) as raw:
            answers.append(raw.read())
    assert answers[0] == answers[1] == answers[2]
    assert b"provider_incomplete" in answers[0]
    assert len(backed.seen) == 1


@pytest.mark.parametrize("key", ["", "k" * 257])
def test_a_key_must_have_a_length_that_can_be_meant(backed: Backed, key: str) -> None:
    answer = backed.server.ask("GET", f"/api/chat?message=Hi&key={key}", STREAM)
    assert (answer.status, answer.json()["code"]) == (422, "invalid_key")
    assert not backed.seen


# What can be said of a run.


def test_the_state_of_a_run_as_json(backed: Backed) -> None:
    before = time.time()
    with backed.ask() as raw:
        run = data_of(raw.rest()[0])["run"]
    assert backed.server.ask("GET", f"/api/chat/{run}", JSON).headers["cache-control"] == "no-store"
    state = backed.state(run)
    assert before - 1 <= state.pop("created") <= state.pop("ended") <= time.time() + 1
    assert 0 <= state.pop("first_token") <= state.pop("seconds") < 5
    assert [attempt["outcome"] for attempt in state.pop("attempts")] == ["answered"]
    assert state == {
        "run": run,
        "status": "finished",
        "model": "claude-test",
        "provider": "anthropic",
        "text": "Hello, world!",
        "thinking": "",
        "tools": [],
        "finish_reason": "stop",
        "usage": {"input_tokens": 5, "output_tokens": 4, "estimated": False},
        "error": None,
    }


def test_the_state_of_a_run_in_progress(backed: Backed) -> None:
    backed.up.script(Script(fault="stall", after=2))
    with backed.ask() as raw:
        run = data_of(raw.events(3)[0])["run"]
        state = backed.state(run)
        backed.cancel(run)
    assert (state["status"], state["text"], state["provider"]) == ("running", "Hello, ", "anthropic")
    assert state["ended"] is state["finish_reason"] is state["usage"] is None


@pytest.mark.parametrize("run", ["nobodys", "x" * 500, "%20", "..%2e", "r-1", "%F0%9F%98%80", "%00", "%ff", "a;b"])
def test_a_run_that_is_not_there_is_not_found(backed: Backed, run: str) -> None:
    for method, headers in (("GET", STREAM), ("GET", {"accept": "application/json"}), ("DELETE", {})):
        answer = backed.server.ask(method, f"/api/chat/{run}", headers)
        assert (answer.status, answer.json()["code"]) == (404, "not_found")
