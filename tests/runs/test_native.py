"""The native dialect: deltas as events, and events as what they come to."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.errors import ErrorType, ProviderError, RunError
from tailrace.log import Record
from tailrace.runs import NativeRenderer, Status, Summary, Text, Thinking, ToolCall
from tailrace.runs.account import Account
from tailrace.runs.deltas import Delta, Finish, Refusal, Restart, Usage
from tailrace.runs.frames import Said
from tailrace.runs.native import (
    DONE,
    deltas_of_record,
    entry,
    error_entry,
    error_of_record,
    finish_entry,
    restart_entry,
    start_entry,
)
from tailrace.sse import Decoder

ANY_TEXT = st.text(st.characters())  # lone surrogates too
USAGE: dict[str, int | bool] = {"input_tokens": 1, "output_tokens": 2, "estimated": True}
ACCOUNT = Account(USAGE, "m", "p", 0.25, 1.5, [{"provider": "p", "model": "m", "outcome": "answered"}])
DELTAS = st.lists(
    st.builds(Text, ANY_TEXT)
    | st.builds(Thinking, ANY_TEXT)
    | st.builds(ToolCall, st.integers(0, 3), ANY_TEXT, ANY_TEXT, ANY_TEXT),
    max_size=12,
)


def records(*entries: Said) -> list[Record]:
    return [Record(offset, event, data, 100.0 + offset) for offset, (event, data) in enumerate(entries, 1)]


@pytest.mark.parametrize(
    ("delta", "event", "data"),
    [
        (Text('Hi "you"\n\u2028'), "", {"text": 'Hi "you"\n\u2028'}),
        (Thinking("hm"), "thinking", {"text": "hm"}),
        (
            ToolCall(1, "call", "f", '{"a'),
            "tool",
            {"index": 1, "id": "call", "name": "f", "arguments": '{"a'},
        ),
    ],
)
def test_a_delta_is_an_event_with_compact_json(delta: Text | Thinking | ToolCall, event: str, data: object) -> None:
    said = entry(delta)
    assert said[0] == event
    assert json.loads(said[1]) == data
    assert said[1] == json.dumps(data, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize(
    ("text", "said"), [("\ud83d", "\ufffd"), ("a\ude00b", "a\ufffdb"), ("\ud83d\ude00", "😀"), ("é\ud83dx", "é\ufffdx")]
)
def test_half_of_a_surrogate_pair_is_said_as_the_replacement_character(text: str, said: str) -> None:
    assert json.loads(entry(Text(text))[1]) == {"text": said}
    assert json.loads(entry(Thinking(text))[1]) == {"text": said}
    assert json.loads(entry(ToolCall(0, text, text, text))[1]) == {
        "index": 0, "id": said, "name": said, "arguments": said
    }  # fmt: skip
    assert json.loads(start_entry("r", text)[1]) == {"run": "r", "model": said}
    finish = json.loads(finish_entry(text, replace(ACCOUNT, model=text, provider=text))[1])
    assert (finish["finish_reason"], finish["model"], finish["provider"]) == (said, said, said)
    assert json.loads(error_entry(RunError(ErrorType.PROVIDER_FAILED, text), ACCOUNT)[1])["error"]["message"] == said


@given(DELTAS)
@settings(deadline=None)
def test_whatever_is_said_can_be_rendered_and_comes_back(deltas: list[Text | Thinking | ToolCall]) -> None:
    log = records(start_entry("r", "m"), *map(entry, deltas), DONE)
    events = Decoder().receive(b"".join(NativeRenderer().render("r", log)))
    assert [(event.event, event.id) for event in events] == [
        (record.event or "message", f"r-{record.offset}") for record in log
    ]
    assert [event.data for event in events] == [record.data for record in log]


def test_only_the_first_event_tells_how_long_to_wait_before_coming_back() -> None:
    first, second = NativeRenderer().render("r", records(start_entry("r", "m"), entry(Text("x"))))
    assert first.startswith(b"retry: 2000\n")
    assert b"retry" not in second


def test_a_record_without_data_is_not_shown() -> None:
    assert NativeRenderer().render("r", [Record(1, "", None, 0.0), Record(2, "ping", None, 0.0)]) == [b"", b""]


@given(DELTAS, st.data())
@settings(deadline=None)
def test_a_summary_is_the_same_however_the_records_come(
    deltas: list[Text | Thinking | ToolCall], data: st.DataObject
) -> None:
    log = records(start_entry("r", "m"), *map(entry, deltas), finish_entry("stop", ACCOUNT), DONE)
    whole, parts = Summary(), Summary()
    whole.add(log)
    cut = data.draw(st.integers(0, len(log)))
    parts.add(log[:cut])
    parts.add(log[cut:])
    assert parts == whole
    clean = [json.loads(record.data or "") for record in log if record.event == ""]
    assert whole.text == "".join([said["text"] for said in clean])
    assert (whole.status, whole.finish_reason, whole.created, whole.ended) == (Status.FINISHED, "stop", 101, log[-1].at)
    assert whole.spoken == len(log) - 2


def test_the_fragments_of_each_tool_call_are_put_together() -> None:
    summary = Summary()
    fragments = [
        ToolCall(0, "a", "f", '{"x'),
        ToolCall(1, "b", "g"),
        ToolCall(0, arguments='":1}'),
        ToolCall(1, arguments="{}"),
    ]
    summary.add(records(*map(entry, fragments)))
    assert summary.snapshot() == {
        "text": "",
        "thinking": "",
        "tools": [
            {"index": 0, "id": "a", "name": "f", "arguments": '{"x":1}'},
            {"index": 1, "id": "b", "name": "g", "arguments": "{}"},
        ],
    }


def test_a_snapshot_names_tools_only_where_there_are_any() -> None:
    summary = Summary()
    summary.add(records(entry(Text("a")), entry(Thinking("b"))))
    assert summary.snapshot() == {"text": "a", "thinking": "b"}


def test_a_run_that_failed_says_why() -> None:
    summary = Summary()
    summary.add(records(start_entry("r", "m"), error_entry(RunError(ErrorType.PROVIDER_CUT, "cut"), ACCOUNT), DONE))
    assert summary.status is Status.FAILED
    assert summary.error == {"type": "provider_cut", "message": "cut", "retryable": True}
    assert summary.usage == USAGE


@pytest.mark.parametrize("parts", [{}, {"cached_input_tokens": 7}, {"reasoning_tokens": 0, "cached_input_tokens": 1}])
def test_the_end_and_the_failure_of_a_run_tell_the_same_account(parts: dict[str, int | bool]) -> None:
    account = replace(ACCOUNT, usage=USAGE | parts)
    finish = json.loads(finish_entry("stop", account)[1])
    error = json.loads(error_entry(RunError(ErrorType.PROVIDER_CUT, "cut"), account)[1])
    assert {name: finish[name] for name in account.told()} == account.told()
    assert {name: error[name] for name in account.told()} == account.told()
    finished, failed = Summary(), Summary()
    finished.add(records(finish_entry("stop", account)))
    failed.add(records(error_entry(RunError(ErrorType.PROVIDER_CUT, "cut"), account)))
    for summary in (finished, failed):
        assert {name: getattr(summary, name) for name in account.told()} == account.told()


def test_an_end_that_was_written_in_the_producers_place_leaves_the_rest_as_it_was() -> None:
    summary = Summary(model="m", provider="p")
    summary.add(records(error_entry(RunError(ErrorType.TAILRACE_INTERRUPTED, "died"), None)))
    assert (summary.model, summary.provider, summary.usage, summary.attempts) == ("m", "p", None, [])


@given(DELTAS)
def test_what_was_said_can_be_read_back_but_for_what_no_text_can_say(deltas: list[Text | Thinking | ToolCall]) -> None:
    said = list(map(entry, deltas))
    read = [delta for record in said for delta in deltas_of_record(*record)]
    assert list(map(entry, read)) == said  # type: ignore[arg-type]  # they are what was written
    assert list(map(type, read)) == list(map(type, deltas))


def test_a_refusal_is_text_that_can_be_told_apart() -> None:
    event, data = entry(Refusal("no"))
    assert (event, json.loads(data)) == ("", {"text": "no", "refusal": True})
    assert deltas_of_record(event, data) == (Refusal("no"),)


def test_an_end_is_read_back_as_its_tokens_and_its_reason() -> None:
    account = replace(ACCOUNT, usage=USAGE | {"cached_input_tokens": 1})
    end: list[Delta] = [Usage(1, 2, cached_input_tokens=1), Finish("length")]
    assert list(deltas_of_record(*finish_entry("length", account))) == end


def test_a_failure_is_read_back_with_what_a_status_needs() -> None:
    error = ProviderError(ErrorType.PROVIDER_RATE_LIMITED, "slow down", status=429, retry_after=2.5)
    read = error_of_record(error_entry(error, ACCOUNT)[1])
    assert isinstance(read, ProviderError)
    assert (read.type, read.message, read.retryable, read.status, read.retry_after) == (
        ErrorType.PROVIDER_RATE_LIMITED,
        "slow down",
        True,
        429,
        2.5,
    )


def test_a_failure_keeps_the_providers_words_and_shows_the_most_exact_one() -> None:
    error = ProviderError(ErrorType.PROVIDER_REJECTED, "no", code="too_long", kind="invalid", param="messages")
    data = error_entry(error, ACCOUNT)[1]
    assert json.loads(data)["error"]["code"] == "too_long"
    read = error_of_record(data)
    assert isinstance(read, ProviderError)
    assert (read.code, read.kind, read.param) == ("too_long", "invalid", "messages")
    assert "code" not in json.loads(error_entry(ProviderError(ErrorType.PROVIDER_CUT, "cut"), ACCOUNT)[1])["error"]


def test_what_was_said_before_a_restart_is_void() -> None:
    summary = Summary()
    before = entry(Text("a")), entry(Thinking("b")), entry(ToolCall(0, "c", "f"))
    summary.add(records(*before, restart_entry(Restart("q", "n", "provider_cut")), entry(Text("anew"))))
    assert summary.snapshot() == {"text": "anew", "thinking": ""}
