"""Native chat: runs that are cancelled, given up, or broken by their upstream."""

from __future__ import annotations

import time
from statistics import median

import pytest

from tests.support.backed import Backed, data_of, error_of, names_of, text_of
from tests.support.raw import Answer
from tests.support.upstream import Script, Seen

# Cancelling.


def cancelled(answer: Answer, run: str) -> None:
    assert (answer.status, answer.json()) == (200, {"run": run, "status": "cancelled"})


@pytest.mark.parametrize("fault", ["no head", "head only", "stall"])
@pytest.mark.parametrize("model", ["claude", "gpt"])
def test_cancelling_ends_it_for_all_viewers_and_aborts_the_upstream(backed: Backed, fault: str, model: str) -> None:
    backed.up.script(Script(fault=fault, after=1))  # type: ignore[arg-type]
    with backed.ask(model=model) as raw:
        first = raw.events(2 if fault == "stall" else 1)
        run = data_of(first[0])["run"]
        seen = backed.wait_seen()
        with backed.attach(run) as viewer:
            cancelled(backed.cancel(run), run)
            cancelled(backed.cancel(run), run)
            events = [*first, *raw.rest()]
            assert viewer.rest() == events
    backed.up.wait_for(lambda _: seen.aborted_at is not None)
    assert names_of(events)[-2:] == ["error", "done"]
    assert error_of(events)["type"] == "caller_cancelled"
    assert backed.state(run)["status"] == "cancelled"
    cancelled(backed.cancel(run), run)


def test_a_cancelled_upstream_is_aborted_within_a_tenth_of_a_second(backed: Backed) -> None:
    took = []
    for number in range(1, 6):
        backed.up.script(Script(fault="stall", after=1))
        with backed.ask() as raw:
            run = data_of(raw.events(2)[0])["run"]
            asked_at = time.monotonic()
            backed.cancel(run)
        took.append(aborted_at(backed, backed.wait_seen(number)) - asked_at)
    assert median(took) < 0.1


def aborted_at(backed: Backed, seen: Seen) -> float:
    backed.up.wait_for(lambda _: seen.aborted_at is not None)
    assert seen.aborted_at is not None
    return seen.aborted_at


def test_what_has_ended_stays_as_it_ended(backed: Backed) -> None:
    with backed.ask() as raw:
        run = data_of(raw.rest()[0])["run"]
    assert backed.cancel(run).json() == {"run": run, "status": "finished"}
    assert backed.state(run)["status"] == "finished"


# Viewers who leave.


def test_an_upstream_that_nobody_listens_to_is_aborted_after_the_grace(backed: Backed) -> None:
    backed.up.script(Script(fault="stall", after=1))
    with backed.ask(grace=0.4) as raw:
        run = data_of(raw.events(2)[0])["run"]
        left_at = time.monotonic()
    assert 0.4 <= aborted_at(backed, backed.wait_seen()) - left_at < 1.4
    state = backed.state(run)
    assert (state["status"], state["error"]["type"]) == ("cancelled", "caller_gone")
    assert state["text"] == "Hello"


def test_no_grace_is_at_once(backed: Backed) -> None:
    backed.up.script(Script(fault="stall", after=1))
    with backed.ask(grace=0) as raw:
        raw.events(2)
    left_at = time.monotonic()
    assert aborted_at(backed, backed.wait_seen()) - left_at < 0.5


def test_whoever_returns_within_the_grace_finds_the_answer_going_on(backed: Backed) -> None:
    backed.up.script(Script(fault="stall", after=1))
    with backed.ask(grace=0.5) as raw:
        first = raw.events(2)
    with backed.attach(data_of(first[0])["run"], first[-1].id) as raw:
        raw.event()
        assert raw.silent_for(0.7)
        backed.up.resume()
        assert text_of(first) + text_of(raw.rest()) == "Hello, world!"


# What goes wrong upstream.


@pytest.mark.parametrize("model", ["claude", "gpt"])
@pytest.mark.parametrize(
    ("script", "error", "said"),
    [
        (Script(status=401), "provider_auth", ""),
        (Script(status=403), "provider_auth", ""),
        (Script(status=400), "provider_rejected", ""),
        (Script(status=429, headers={"Retry-After": "3"}), "provider_rate_limited", ""),
        (Script(status=500), "provider_failed", ""),
        (Script(status=503), "provider_overloaded", ""),
        (Script(status=529), "provider_overloaded", ""),
        (Script(status=200, content_type="application/json"), "provider_malformed", ""),
        (Script(fault="reset before head"), "provider_unreachable", ""),
        (Script(fault="close before head"), "provider_unreachable", ""),
        (Script(fault="no head"), "provider_first_token_timeout", ""),
        (Script(fault="head only"), "provider_first_token_timeout", ""),
        (Script(fault="stall", after=2), "provider_idle_timeout", "Hello, "),
        (Script(fault="reset", after=2), "provider_cut", "Hello, "),
        (Script(fault="cut", after=2), "provider_cut", "Hello, "),
        (Script(fault="eof", after=2), "provider_incomplete", "Hello, "),
        (Script(fault="no terminal"), "provider_incomplete", "Hello, world!"),
        (Script(fault="malformed", after=2), "provider_malformed", "Hello, "),
        (Script(fault="error", after=2), "provider_overloaded", "Hello, "),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_fault_of_the_upstream_is_an_error_of_its_type_and_what_was_said_is_kept(
    backed: Backed, model: str, script: Script, error: str, said: str
) -> None:
    backed.up.script(script, script)  # a fault before content is tried once more
    with backed.ask(model=model) as raw:
        events = raw.rest()
        assert raw.complete
    assert names_of(events)[0] == "start"
    assert names_of(events)[-2:] == ["error", "done"]
    told = error_of(events)
    assert told["type"] == error
    assert set(told) - {"code"} == {"type", "message", "retryable"}  # a code where the provider has one
    assert "sk-secret" not in told["message"]
    assert text_of(events) == said
    state = backed.state(data_of(events[0])["run"])
    assert (state["status"], state["text"], state["error"]) == ("failed", said, told)


def test_a_provider_that_refuses_the_connection_is_unreachable(backed: Backed) -> None:
    with backed.ask(model="refusing/m") as raw:
        events = raw.rest()
    assert names_of(events) == ["start", "error", "done"]
    assert (error_of(events)["type"], error_of(events)["retryable"]) == ("provider_unreachable", True)
