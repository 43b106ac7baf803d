"""What a caller of another API's endpoints meets: statuses, errors in that API's shape, and the run behind it."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tailrace.sse import Event
from tests.support.gateway import BODIES, OWN_KIND, PATHS, Gatewayed
from tests.support.raw import Answer, Raw
from tests.support.sdks import DIALECTS, ERRORS, MODES
from tests.support.upstream import Script
from tests.support.upstream_frames import FRAMES

CHAT = "openai-chat"
ENDS = {"openai-chat": "[DONE]", "openai-responses": "response.completed", "anthropic": "message_stop"}


@pytest.fixture(scope="module")
def _running() -> Iterator[Gatewayed]:
    with Gatewayed(open_after=0.4, heartbeat=0.4, patience=1.5) as running:
        yield running


@pytest.fixture
def gateway(_running: Gatewayed) -> Iterator[Gatewayed]:
    """The gateway, its upstream's scripts begun anew; after the test it must still be well."""
    _running.forget()
    yield _running
    assert _running.server.ask("GET", "/health").status == 200
    assert "Traceback" not in _running.server.said


def error_in(answer: Answer, dialect: str) -> dict[str, Any]:
    """The error that a body in the dialect's own shape tells."""
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    if dialect == "anthropic":
        assert body.keys() == {"type", "error"}
        assert body["type"] == "error"
        assert body["error"].keys() == {"type", "message"}
    else:
        assert body.keys() == {"error"}
        assert body["error"].keys() == {"message", "type", "param", "code"}
    return dict(body["error"])


def ask_raw(gateway: Gatewayed, dialect: str, model: str, **more: Any) -> Raw:
    """Ask for a stream, and leave the answer to be read."""
    raw = gateway.server.connect()
    raw.request("POST", PATHS[dialect], {}, {"model": model, "stream": True, **BODIES[dialect], **more})
    return raw


def kinds_of(events: list[Event]) -> list[str]:
    """What the events are, in whichever way their dialect says it."""
    return [event.data if event.data == "[DONE]" else json.loads(event.data).get("type", "chunk") for event in events]


# Refused before anything is started.


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_refused_is_told_in_the_words_of_the_api(gateway: Gatewayed, dialect: str) -> None:
    server, path = gateway.server, PATHS[dialect]
    good = {"model": OWN_KIND[dialect], **BODIES[dialect]}
    refused = {
        400: [server.ask("POST", path, {}, b"{"), gateway.ask(dialect, "anthropic", stream="yes")],
        403: [server.ask("POST", path, {"sec-fetch-site": "cross-site"}, good)],
        404: [gateway.ask(dialect, "nobody"), server.ask("GET", f"{path}/nothing/here")],
        405: [server.ask("PATCH", path, {}, good)],
        413: [gateway.ask(dialect, "anthropic", padding="x" * 70_000)],
        422: [server.ask("POST", path, {"idempotency-key": "k" * 257}, good)],
    }
    for status, answers in refused.items():
        for answer in answers:
            assert answer.status == status, answer
            assert error_in(answer, dialect)["message"]
    assert refused[405][0].headers["allow"] == "POST"
    assert not gateway.seen


def test_a_malformed_field_is_named(gateway: Gatewayed) -> None:
    error = error_in(gateway.ask(CHAT, "openai", messages=[{"role": "user", "content": ""}, {"role": 1}]), CHAT)
    assert error["param"] == "messages.1.role"
    assert error["type"] == "invalid_request_error"


def test_an_unknown_model_has_the_code_that_openais_users_look_for(gateway: Gatewayed) -> None:
    error = error_in(gateway.ask(CHAT, "nobody"), CHAT)
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    answer = gateway.server.ask("GET", "/v1/models/nobody", {"anthropic-version": "2023-06-01"})
    assert error_in(answer, "anthropic")["type"] == "not_found_error"


# Status and keep-alive.


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_failure_before_the_first_content_keeps_its_status(gateway: Gatewayed, dialect: str, stream: bool) -> None:
    limited = Script(status=429, headers={"Retry-After": "30"}, body={"error": {"message": "slow down"}})
    gateway.up.default = limited
    answer = gateway.ask(dialect, OWN_KIND[dialect], stream=stream)
    assert (answer.status, answer.headers["retry-after"], answer.headers["retry-after-ms"]) == (429, "30", "30000")
    error = error_in(answer, dialect)
    assert error["type"] == "rate_limit_error"
    assert "slow down" in error["message"]
    state = gateway.server.ask("GET", f"/api/chat/{answer.headers['tailrace-run']}", {"accept": "application/json"})
    assert state.json()["status"] == "failed"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_asking_again_is_advised_against_where_it_is_of_no_use(gateway: Gatewayed, dialect: str) -> None:
    gateway.up.default = Script(status=401)
    answer = gateway.ask(dialect, OWN_KIND[dialect])
    assert (answer.status, answer.headers["x-should-retry"]) == (502, "false")
    gateway.up.default = Script(status=503)
    answer = gateway.ask(dialect, OWN_KIND[dialect])
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert "x-should-retry" not in answer.headers


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_stream_opens_while_the_model_thinks_and_is_kept_alive(gateway: Gatewayed, dialect: str) -> None:
    gateway.up.default = Script(fault="stall", after=0)
    asked = time.monotonic()
    with ask_raw(gateway, dialect, OWN_KIND[dialect]) as raw:
        assert raw.head().status == 200
        assert 0.4 <= time.monotonic() - asked < 5
        assert raw.piece() == b":\n"
        assert raw.piece() == b":\n"
        gateway.up.resume()
        events = raw.rest()
        assert raw.complete
    assert kinds_of(events)[-1] == ENDS[dialect]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_fails_once_the_stream_is_open_is_an_error_in_it(gateway: Gatewayed, dialect: str) -> None:
    gateway.up.default = Script(fault="no head")
    with pytest.raises(ERRORS[dialect], match=r"no answer within 1\.5 s") as caught:
        gateway.sdks.ask(dialect, OWN_KIND[dialect])
    if dialect != "anthropic":
        assert not isinstance(caught.value, openai.APIStatusError)


@pytest.mark.parametrize(("dialect", "keep_alive"), [(CHAT, b":\n"), ("anthropic", b'data: {"type": "ping"}\n\n')])
def test_silence_within_an_answer_is_filled_as_the_dialect_does(
    gateway: Gatewayed, dialect: str, keep_alive: bytes
) -> None:
    gateway.up.default = Script(fault="stall", after=2)
    with ask_raw(gateway, dialect, OWN_KIND[dialect]) as raw:
        raw.head()
        while not raw.body.endswith(keep_alive) or raw.body.count(keep_alive) < 2:
            raw.piece()
        gateway.up.resume()
        assert kinds_of(raw.rest())[-1] == ENDS[dialect]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_stream_of_the_same_dialect_is_relayed_as_it_came(gateway: Gatewayed, dialect: str) -> None:
    gateway.up.default = script = Script()
    with ask_raw(gateway, dialect, OWN_KIND[dialect], stream_options={"include_usage": True}) as raw:
        assert raw.head().headers["tailrace-run"]
        raw.read()
    (frames,) = (frames for end, frames in FRAMES.items() if PATHS[dialect].endswith(end))
    told = b"".join(frame.data for frame in frames(script))
    if dialect == "openai-responses":  # each answer has an id of its own
        told = re.sub(rb"resp_upstream\d+", re.findall(rb"resp_upstream\d+", raw.body)[0], told)
    assert bytes(raw.body) == told


def test_an_upstreams_ids_reconnection_times_and_empty_blocks_are_not_relayed(gateway: Gatewayed) -> None:
    gateway.up.default = Script(noise=True)
    for dialect in DIALECTS:
        with ask_raw(gateway, dialect, OWN_KIND[dialect]) as raw:
            raw.head()
            events = raw.rest()
        assert all(event.data and not event.id for event in events)
        assert b"\n: " not in raw.body
        assert b"retry:" not in raw.body


def test_a_usage_that_only_we_asked_for_is_not_relayed(gateway: Gatewayed) -> None:
    with ask_raw(gateway, CHAT, "openai") as raw:
        raw.head()
        events = raw.rest()
    assert gateway.seen[0].body["stream_options"] == {"include_usage": True}
    assert all(json.loads(event.data)["choices"] for event in events[:-1])


@pytest.mark.parametrize("after", [0, 2])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_providers_own_code_is_what_the_sdk_shows_before_the_stream_and_in_it(
    gateway: Gatewayed, dialect: str, after: int
) -> None:
    error = {"message": "long", "type": "invalid_request_error", "code": "context_length_exceeded", "param": "input"}
    for kind in ("openai", "openai-responses"):
        gateway.up.default = Script(fault="error", after=after, error=error)
        for mode in MODES:
            with pytest.raises(ERRORS[dialect], match="long") as caught:
                gateway.sdks.ask(dialect, kind, mode)
            told: Any = caught.value
            if dialect == "anthropic":
                assert (told.type, told.error_code) == (error["type"], error["code"])
            else:
                assert (told.code, told.param, told.type) == (error["code"], error["param"], error["type"])


def test_a_native_client_reads_the_providers_code_beside_our_type(gateway: Gatewayed) -> None:
    gateway.up.default = Script(fault="error", error={"type": "billing_error", "message": "unpaid"})
    with gateway.server.open("POST", "/api/chat", {}, {"message": "Hi", "model": "anthropic"}) as native:
        error = next(json.loads(event.data)["error"] for event in native.rest() if event.event == "error")
    assert (error["type"], error["code"], error["retryable"]) == ("provider_rejected", "billing_error", False)


@pytest.mark.parametrize("word", ["billing_error", "not_found_error"])
def test_an_account_or_a_model_that_is_not_there_is_passed_over_for_the_fallback(gateway: Gatewayed, word: str) -> None:
    gateway.up.default = Script(fault="error", error={"type": word, "message": "no"})
    assert gateway.sdks.ask("anthropic", "anthropic+spare").text == "Hello, world!"
    with pytest.raises(ERRORS["anthropic"]) as caught:
        gateway.sdks.ask("anthropic", "anthropic")
    told: Any = caught.value
    assert (told.status_code, told.type) == ({"billing_error": 402, "not_found_error": 404}[word], word)


# Large answers.


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_answer_of_nearly_8_mb_comes_whole_however_often_its_frames_repeat_it(
    gateway: Gatewayed, dialect: str, stream: bool
) -> None:
    gateway.up.default = Script(pieces=("x" * 250_000,) * 33, chunking="whole")
    answer = gateway.ask(dialect, OWN_KIND[dialect], stream=stream)
    assert answer.status == 200
    assert answer.body.count(b"x") >= 8_250_000
    assert ENDS[dialect].encode() in answer.body if stream else answer.json()
    run = gateway.server.ask("GET", f"/api/chat/{answer.headers['tailrace-run']}", {"accept": "application/json"})
    assert (run.json()["status"], len(run.json()["text"])) == ("finished", 8_250_000)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_larger_one_fails_as_such(gateway: Gatewayed, dialect: str) -> None:
    gateway.up.default = Script(pieces=("x" * 250_000,) * 34, chunking="whole")
    answer = gateway.ask(dialect, OWN_KIND[dialect], stream=False)
    assert answer.status == 422
    assert "8388608 bytes" in error_in(answer, dialect)["message"]


# The run behind an answer.


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_answer_can_be_watched_and_cancelled_natively(gateway: Gatewayed, dialect: str) -> None:
    gateway.up.default = Script(fault="stall", after=2)
    with ask_raw(gateway, dialect, OWN_KIND[dialect]) as raw:
        run = raw.head().headers["tailrace-run"]
        with gateway.server.open("GET", f"/api/chat/{run}") as native:
            assert [event.event for event in native.events(3)] == ["start", "message", "message"]
            gateway.server.ask("DELETE", f"/api/chat/{run}")
            assert [event.event for event in native.rest()] == ["error", "done"]
        last = raw.rest()[-1]
    assert "cancelled" in json.loads(last.data)["error"]["message"]


def test_what_tries_cost_that_came_to_nothing_is_told_with_them_wherever_the_provider_told(gateway: Gatewayed) -> None:
    gateway.up.default = Script(fault="error")
    for model in ("anthropic+spare", "anthropic"):
        answer = gateway.ask("anthropic", model)
        path = f"/api/chat/{answer.headers['tailrace-run']}"
        *failed, last = gateway.server.ask("GET", path, {"accept": "application/json"}).json()["attempts"]
        assert [attempt["usage"] for attempt in failed] == [{"input_tokens": 5}] * len(failed)
        assert last.get("usage") == (None if answer.status == 200 else {"input_tokens": 5})


@pytest.mark.parametrize("stream", [True, False])
def test_who_leaves_while_waiting_has_left(gateway: Gatewayed, stream: bool) -> None:
    gateway.up.default = Script(fault="no head")
    raw = ask_raw(gateway, CHAT, "openai", stream=stream)
    gateway.up.wait_for(lambda _: gateway.seen)
    raw.close()
    gateway.up.wait_for(lambda _: gateway.seen[0].aborted_at is not None)
    assert (gateway.seen[0].aborted_at or 0) - gateway.seen[0].started_at < 1.4  # nobody gave up for other reasons


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_request_that_is_repeated_with_its_key_is_answered_by_the_same_run(gateway: Gatewayed, dialect: str) -> None:
    key = {"idempotency-key": f"key of {dialect}"}
    answers = [gateway.ask(dialect, OWN_KIND[dialect], key) for _ in range(3)]
    assert len({(answer.headers["tailrace-run"], answer.body) for answer in answers}) == 1
    assert len(gateway.seen) == 1
    other = gateway.ask(dialect, OWN_KIND[dialect], key, temperature=0.5)
    assert other.status == 422
    assert error_in(other, dialect)["message"]


def test_a_failure_that_its_key_keeps_is_not_to_be_asked_for_again(gateway: Gatewayed) -> None:
    gateway.up.default = Script(status=500)
    key = {"idempotency-key": "failed"}
    first, again = (gateway.ask(CHAT, "openai", key) for _ in range(2))
    assert (first.status, first.body) == (again.status, again.body)
    assert first.headers["x-should-retry"] == again.headers["x-should-retry"] == "false"
    assert len(gateway.seen) == 2  # the target got its second try, the caller no second run


def test_together_the_same_key_starts_one_answer(gateway: Gatewayed) -> None:
    gateway.up.default = Script(delay=0.01)
    answers: list[Answer] = []

    def ask() -> None:
        answers.append(gateway.ask(CHAT, "openai", {"idempotency-key": "together"}, stream=True))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer.headers["tailrace-run"] for answer in answers}) == 1
    assert all(answer.body.endswith(b"data: [DONE]\n\n") for answer in answers)
    assert len(gateway.seen) == 1


def test_where_its_own_kind_fails_another_kind_answers_in_the_callers_dialect(gateway: Gatewayed) -> None:
    gateway.up.default = Script(status=529)
    for dialect in DIALECTS:
        assert gateway.sdks.ask(dialect, f"{OWN_KIND[dialect]}+others").text == "Hello, world!"
