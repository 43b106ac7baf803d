"""Answers as each dialect writes them, judged by its published SDK."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.chat.dialects import DIALECTS, Head
from tailrace.chat.providers.anthropic import AnthropicParser
from tailrace.chat.providers.openai import OpenAIParser
from tailrace.chat.providers.responses import OpenAIResponsesParser
from tailrace.errors import ErrorType, ProviderError, RunError
from tailrace.runs.deltas import Delta, Finish, Refusal, Text, Thinking, ToolCall, Usage
from tailrace.sse import Decoder
from tests.chat.dialects.judges import JUDGES
from tests.support.answers import cuts, merged, parsed, pieces

if TYPE_CHECKING:
    from collections.abc import Callable

    from tailrace.chat.providers.parser import Parser

HEAD = Head(run="r1", model="smart", created=1_790_000_000, include_usage=True)
USAGE = Usage(20, 9, 5, 3, 4)
PARSERS: dict[str, Callable[[], Parser]] = {
    "openai-chat": OpenAIParser,
    "openai-responses": OpenAIResponsesParser,
    "anthropic": AnthropicParser,
}

every_dialect = pytest.mark.parametrize("name", DIALECTS)


def _wire(name: str, deltas: list[Delta]) -> bytes:
    return DIALECTS[name].writer(HEAD).write(deltas)


def _frames(wire: bytes) -> list[tuple[str, Any]]:
    """Return the blocks as (event, data), the data read where it is JSON."""
    events = Decoder().receive(wire)
    return [(it.event, json.loads(it.data) if it.data.startswith("{") else it.data) for it in events]


def _call(index: int, name: str, *arguments: str) -> list[Delta]:
    return [ToolCall(index, f"call_{index}", name), *(ToolCall(index, arguments=piece) for piece in arguments)]


TWO_CALLS: list[Delta] = [
    Text("Let me look."),
    ToolCall(0, "call_0", "weather"),
    ToolCall(1, "call_1", "time"),
    ToolCall(0, arguments='{"city":'),
    ToolCall(1, arguments='{"zone":'),
    ToolCall(0, arguments=' "Oslo"}'),
    ToolCall(1, arguments='"CET"}'),
]

ANSWERS: dict[str, list[Delta]] = {
    "text": [Text("Hel"), Text("lo")],
    "multi-byte text": [Text("Grüße, "), Text("日本語"), Text(' \N{WATER WAVE}\u2028\u0085\r\n\0"\\')],
    "thinking": [Thinking("Hm, "), Thinking("so."), Text("Yes.")],
    "thinking after text": [Text("Wait."), Thinking("Hm."), Text("Yes.")],
    "calls in turn": [*_call(0, "weather", '{"city"', ': "Oslo"}'), *_call(1, "now"), *_call(2, "time", "{}")],
    "calls interleaved": TWO_CALLS,
    "text after calls": [*TWO_CALLS, Text(" There.")],
    "refusal": [Refusal("I cannot "), Refusal("do that.")],
    "text, then a refusal": [Text("Well. "), Refusal("No.")],
    "nothing": [],
}


@every_dialect
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("sizes", [(65_536,), (1,)], ids=["whole", "byte by byte"])
def test_the_sdk_accumulates_what_was_said(name: str, answer: list[Delta], sizes: tuple[int, ...]) -> None:
    calls = any(isinstance(delta, ToolCall) for delta in answer)
    deltas = [*answer, USAGE, Finish("tool_calls" if calls else "stop")]
    _expect(name, answer, JUDGES[name].stream(_wire(name, deltas), sizes))
    _expect(name, answer, JUDGES[name].whole(DIALECTS[name].whole(HEAD, deltas)))


def _expect(name: str, answer: list[Delta], verdict: Any) -> None:
    said = "".join(it.text for it in answer if type(it) is Text)
    refusal = "".join(it.text for it in answer if isinstance(it, Refusal))
    expected = (said + refusal, "") if name == "anthropic" else (said, refusal)
    assert (verdict.text, verdict.refusal) == expected
    assert verdict.thinking == "".join(it.text for it in answer if isinstance(it, Thinking))
    calls: dict[int, list[str]] = {}
    for it in answer:
        if isinstance(it, ToolCall):
            call = calls.setdefault(it.index, [it.id, it.name, ""])
            call[2] += it.arguments
    assert verdict.calls == [(id_, tool, json.loads(text or "{}")) for id_, tool, text in calls.values()]
    assert verdict.usage == (20, 9, 5, 4)


REASONS = {
    "openai-chat": ("stop", "length", "tool_calls", "content_filter", "content_filter", "length", "stop"),
    "openai-responses": (
        "completed",
        "incomplete: max_output_tokens",
        "completed",
        "incomplete: content_filter",
        "incomplete: content_filter",
        "incomplete: None",
        "completed",
    ),
    "anthropic": ("end_turn", "max_tokens", "tool_use", "refusal", "refusal", "pause_turn", "end_turn"),
}


@every_dialect
def test_each_end_of_an_answer_has_the_dialects_own_word(name: str) -> None:
    ours = ("stop", "length", "tool_calls", "content_filter", "refusal", "pause", "brand_new")
    for reason, theirs in zip(ours, REASONS[name], strict=True):
        deltas: list[Delta] = [Text("a"), USAGE, Finish(reason)]
        whole = DIALECTS[name].whole(HEAD, deltas)
        if theirs == "incomplete: None":
            assert (whole["status"], whole["incomplete_details"]) == ("incomplete", {"reason": None})
            continue
        assert JUDGES[name].stream(_wire(name, deltas)).reason == theirs
        assert JUDGES[name].whole(whole).reason == theirs


@pytest.mark.parametrize(
    ("said", "stop_reason"),
    [(Refusal("No."), "refusal"), (ToolCall(0, "a", "f", "{}"), "tool_use"), (Text("Yes."), "end_turn")],
)
def test_in_anthropics_words_a_stop_says_what_the_answer_was(said: Delta, stop_reason: str) -> None:
    assert DIALECTS["anthropic"].whole(HEAD, [said, Finish("stop")])["stop_reason"] == stop_reason


@every_dialect
@pytest.mark.parametrize("before", [[], [Thinking("Hm.")], [Text("Hel")], TWO_CALLS[:5]], ids=str)
@pytest.mark.parametrize("opened", [False, True])
def test_the_sdk_raises_on_an_error_and_says_why(name: str, before: list[Delta], opened: bool) -> None:
    writer = DIALECTS[name].writer(HEAD)
    opening = writer.open() if opened else b""
    wire = opening + writer.write(before) + writer.fail(RunError(ErrorType.PROVIDER_CUT, "the line broke"))
    assert b"[DONE]" not in wire
    with pytest.raises(JUDGES[name].raises, match="the line broke"):
        JUDGES[name].stream(wire)


@every_dialect
def test_nothing_is_written_after_the_end(name: str) -> None:
    writer = DIALECTS[name].writer(HEAD)
    assert writer.write([Text("a"), Finish("stop"), Text("late"), Finish("stop")]) == _wire(
        name, [Text("a"), Finish("stop")]
    )
    assert writer.write([Text("late")]) == b""
    assert writer.fail(RunError(ErrorType.PROVIDER_CUT, "late")) == b""
    failed = DIALECTS[name].writer(HEAD)
    assert failed.fail(RunError(ErrorType.PROVIDER_CUT, "x"))
    assert (failed.write([Text("late")]), failed.fail(RunError(ErrorType.PROVIDER_CUT, "x"))) == (b"", b"")


@every_dialect
def test_an_answer_is_opened_once(name: str) -> None:
    writer = DIALECTS[name].writer(HEAD)
    assert writer.open()
    assert writer.open() == b""
    assert writer.write([Usage(1)]) == b""


@every_dialect
def test_a_count_of_tokens_alone_does_not_begin_an_answer(name: str) -> None:
    assert DIALECTS[name].writer(HEAD).write([Usage(1)]) == b""


@every_dialect
def test_no_block_has_an_id_or_a_retry_and_every_block_has_data(name: str) -> None:
    wire = _wire(name, [Thinking("a"), *TWO_CALLS, Text("id: 1\nretry: 2"), USAGE, Finish("stop")])
    assert wire.endswith(b"\n\n")
    for block in wire.decode().split("\n\n")[:-1]:
        fields = [line.partition(":")[0] for line in block.split("\n")]
        assert fields == (["data"] if name == "openai-chat" else ["event", "data"])


@every_dialect
def test_what_keeps_a_stream_alive_is_seen_by_no_client(name: str) -> None:
    writer = DIALECTS[name].writer(HEAD)
    said: list[Delta] = [Text("a"), *_call(0, "f", "{}"), USAGE, Finish("tool_calls")]
    wire = writer.keep_alive + writer.open()
    for delta in said:
        wire += writer.keep_alive + writer.write([delta])
    wire += writer.keep_alive
    assert JUDGES[name].stream(wire, (3,)) == JUDGES[name].stream(_wire(name, said))


def test_anthropics_ping_begins_after_the_first_event() -> None:
    writer = DIALECTS["anthropic"].writer(HEAD)
    assert writer.keep_alive == b":\n"
    writer.open()
    assert writer.keep_alive == b'event: ping\ndata: {"type": "ping"}\n\n'


def test_the_chunk_with_the_usage_comes_only_where_it_was_asked_for() -> None:
    deltas: list[Delta] = [Text("a"), USAGE, Finish("stop")]
    asked = [data for _, data in _frames(_wire("openai-chat", deltas))]
    assert [chunk["usage"] for chunk in asked[:-2]] == [None, None, None]
    assert (asked[-2]["choices"], asked[-2]["usage"]["total_tokens"], asked[-1]) == ([], 29, "[DONE]")
    plain = DIALECTS["openai-chat"].writer(Head(run="r1", model="m", created=1)).write(deltas)
    assert b"usage" not in plain
    assert plain.endswith(b"data: [DONE]\n\n")


def test_a_messages_stream_has_the_events_of_the_api_in_their_order() -> None:
    wire = _wire("anthropic", [Usage(20), Thinking("a"), Text("b"), *_call(0, "f", "{}"), USAGE, Finish("tool_calls")])
    frames = _frames(wire)
    assert [event for event, _ in frames] == [
        "message_start",
        *("content_block_start", "content_block_delta", "content_block_stop") * 3,
        "message_delta",
        "message_stop",
    ]
    assert all(event == data["type"] for event, data in frames)
    assert frames[0][1]["message"]["usage"] == {"input_tokens": 20, "output_tokens": 0}
    assert [data["index"] for _, data in frames if "index" in data] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert frames[-2][1]["usage"] == {
        "input_tokens": 12,
        "cache_creation_input_tokens": 3,
        "cache_read_input_tokens": 5,
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 4},
    }


def test_a_responses_stream_has_the_events_of_the_api_in_their_order_and_counts_them() -> None:
    wire = _wire("openai-responses", [Thinking("a"), Text("b"), *_call(0, "f", "{}"), USAGE, Finish("tool_calls")])
    frames = _frames(wire)
    assert [event.removeprefix("response.") for event, _ in frames] == [
        *("created", "in_progress"),
        *("output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta"),
        *("reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done"),
        *("output_item.added", "content_part.added", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done"),
        *("output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done"),
        "completed",
    ]
    assert [data["sequence_number"] for _, data in frames] == list(range(len(frames)))
    response = frames[-1][1]["response"]
    assert response == DIALECTS["openai-responses"].whole(HEAD, [Thinking("a"), Text("b"), *_call(0, "f", "{}"), USAGE])
    assert response["output"] == [data["item"] for event, data in frames if event == "response.output_item.done"]


def test_an_answer_that_was_cut_leaves_its_last_item_incomplete() -> None:
    response = DIALECTS["openai-responses"].whole(HEAD, [*_call(0, "f", "{}"), Text("b"), Finish("length")])
    assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]


def test_a_failed_response_keeps_what_was_said() -> None:
    writer = DIALECTS["openai-responses"].writer(HEAD)
    writer.write([Text("Hel")])
    failed, error = _frames(writer.fail(ProviderError(ErrorType.PROVIDER_RATE_LIMITED, "later", status=429)))
    response = failed[1]["response"]
    assert (failed[0], response["status"]) == ("response.failed", "failed")
    assert response["error"] == {"code": "rate_limit_exceeded", "message": "later"}
    assert response["output"][0]["content"][0]["text"] == "Hel"
    assert error[1]["sequence_number"] == failed[1]["sequence_number"] + 1


def test_a_call_without_an_id_gets_one() -> None:
    for name in DIALECTS:
        wire = _wire(name, [ToolCall(0, "", "f", "{}"), Finish("tool_calls")])
        [(call, _, _)] = JUDGES[name].stream(wire).calls
        assert call.endswith("_r1_0")
        whole = DIALECTS[name].whole(HEAD, [ToolCall(0, "", "f", "{}")])
        assert JUDGES[name].whole(whole).calls[0][0] == call


def test_arguments_that_are_no_object_are_wrapped_as_anthropic_advises() -> None:
    whole = DIALECTS["anthropic"].whole(HEAD, [ToolCall(0, "a", "f", '{"x'), Finish("length")])
    assert whole["content"][0]["input"] == {"INVALID_JSON": '{"x'}


@every_dialect
def test_half_a_surrogate_pair_breaks_no_stream(name: str) -> None:
    wire = _wire(name, [Text("a\ud83d"), *_call(0, "f", '{"x":"\ud83d"}'), Finish("stop")])
    assert JUDGES[name].stream(wire).text == "a\N{REPLACEMENT CHARACTER}"


@every_dialect
def test_a_long_event_is_written_whole(name: str) -> None:
    text = "\N{WATER WAVE}" * 500_000
    assert JUDGES[name].stream(_wire(name, [Text(text), Finish("stop")])).text == text


_INVERTIBLE = ("stop", "length", "content_filter")


@settings(deadline=None)
@given(said=pieces(), sizes=cuts(), reason=st.sampled_from(_INVERTIBLE), name=st.sampled_from(sorted(DIALECTS)))
def test_what_a_writer_writes_its_own_kind_of_provider_reads(
    said: tuple[Delta, ...], sizes: list[int], reason: str, name: str
) -> None:
    calls = any(isinstance(delta, ToolCall) for delta in said)
    ours = {"stop": "tool_calls" if calls else "stop", "content_filter": "refusal"} if name == "anthropic" else {}
    read_back = ours.get(reason, "tool_calls" if calls and reason == "stop" and name != "openai-chat" else reason)
    wire = _wire(name, [*said, USAGE, Finish(reason)])
    deltas = parsed(PARSERS[name](), wire, sizes)
    ended = [delta for delta in deltas if not (isinstance(delta, Usage) and delta.output_tokens is None)]
    assert _grouped(merged(ended)) == _grouped(merged([*said, USAGE, Finish(read_back)]))


def _grouped(deltas: list[Delta]) -> list[Delta]:
    """Every call's fragments joined where it began: calls that never became an object are told at the end."""
    calls: dict[int, list[ToolCall]] = {}
    for delta in deltas:
        if isinstance(delta, ToolCall):
            calls.setdefault(delta.index, []).append(delta)
    joined = [
        ToolCall(index, parts[0].id, parts[0].name, "".join(part.arguments for part in parts))
        for index, parts in calls.items()
    ]
    texts = merged(delta for delta in deltas if not isinstance(delta, ToolCall))
    return [*joined, *texts]


@settings(deadline=None)
@given(said=pieces(), name=st.sampled_from(sorted(DIALECTS)))
def test_the_bytes_are_the_same_however_the_deltas_are_batched(said: tuple[Delta, ...], name: str) -> None:
    deltas = [*said, USAGE, Finish("stop")]
    writer = DIALECTS[name].writer(HEAD)
    assert b"".join(writer.write([delta]) for delta in deltas) == _wire(name, deltas)
