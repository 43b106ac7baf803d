"""The native dialect: deltas as events, and events as what they come to."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.errors import ErrorType, RunError
from tailrace.log import Record
from tailrace.runs import NativeRenderer, Status, Summary, Text, Thinking, ToolCall
from tailrace.runs.native import DONE, Said, entry, error_entry, finish_entry, start_entry
from tailrace.sse import Decoder

ANY_TEXT = st.text(st.characters())  # lone surrogates too
USAGE: dict[str, int | bool] = {"input_tokens": 1, "output_tokens": 2, "estimated": True}
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
    finish = json.loads(finish_entry(text, USAGE, text, text)[1])
    assert finish == {"finish_reason": said, "usage": USAGE, "model": said, "provider": said}
    assert json.loads(error_entry(RunError(ErrorType.PROVIDER_FAILED, text), USAGE)[1])["error"]["message"] == said


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
    log = records(start_entry("r", "m"), *map(entry, deltas), finish_entry("stop", USAGE, "m", "p"), DONE)
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
    summary.add(records(start_entry("r", "m"), error_entry(RunError(ErrorType.PROVIDER_CUT, "cut"), USAGE), DONE))
    assert summary.status is Status.FAILED
    assert summary.error == {"type": "provider_cut", "message": "cut", "retryable": True}
    assert summary.usage == USAGE
