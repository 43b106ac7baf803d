"""Anthropic Messages: what is asked, and how a stream is read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.chat.ask import Ask, Message, ToolUse
from tailrace.chat.providers.anthropic import Anthropic, AnthropicParser
from tailrace.chat.providers.base import ProviderOptions
from tailrace.chat.upstream import Connections
from tailrace.errors import ErrorType
from tailrace.runs.deltas import Delta, Finish, Text, Thinking, ToolCall, Usage
from tailrace.sse import Event
from tests.support.answers import cuts, merged, parsed, pieces
from tests.support.upstream_frames import FRAMES, Script

HI = Message("user", "Hi")


def _read(*frames: dict[str, Any]) -> tuple[list[Delta], AnthropicParser]:
    parser = AnthropicParser()
    return parser.feed(Event(json.dumps(frame), frame["type"]) for frame in frames), parser


def _request(ask: Ask) -> dict[str, Any]:
    return Anthropic(ProviderOptions(name="p", kind="anthropic"), Connections()).request(ask)


def _start(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def _delta(index: int, **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def _ending(reason: str | None, usage: dict[str, int] | None = None) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}


STOP = {"type": "message_stop"}


def test_a_plain_question_is_asked_with_the_defaults_that_the_api_lacks() -> None:
    assert _request(Ask(messages=(HI,), model="claude")) == {
        "model": "claude",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
    }


def test_what_the_system_says_stands_apart_from_the_conversation() -> None:
    messages = (Message("system", "Be kind."), HI, Message("assistant", "Hello."), Message("user", "More"))
    body = _request(Ask(messages=messages, system="Be brief.", temperature=0.5, max_tokens=9))
    assert body["system"] == "Be brief.\n\nBe kind."
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert (body["temperature"], body["max_tokens"]) == (0.5, 9)


@pytest.mark.parametrize(
    ("asked", "budget", "max_tokens"), [(None, 4096, 8192), (100, 1024, 1124), (9000, 4096, 13096)]
)
def test_thinking_gets_a_budget_on_top_of_the_answer_and_no_temperature(
    asked: int | None, budget: int, max_tokens: int
) -> None:
    body = _request(Ask(messages=(HI,), thinking=True, temperature=1.0, max_tokens=asked))
    assert body["thinking"] == {"type": "enabled", "budget_tokens": budget}
    assert body["max_tokens"] == max_tokens
    assert "temperature" not in body


def test_a_turn_that_goes_on_after_its_tools_thinks_no_further_since_nobody_has_its_signed_thoughts() -> None:
    call = Message("assistant", tool_calls=(ToolUse("a", "look", "{}"),))
    body = _request(Ask(messages=(HI, call, Message("tool", "sun", tool_call_id="a")), thinking=True))
    assert "thinking" not in body
    assert body["max_tokens"] == 4096


def test_tools_in_openais_form_are_converted() -> None:
    tool = {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}
    assert _request(Ask(messages=(HI,), tools=(tool,)))["tools"] == [
        {"name": "now", "input_schema": {"type": "object"}}
    ]


def test_the_key_goes_into_its_own_header_and_none_is_sent_where_there_is_none() -> None:
    assert Anthropic.headers("k") == {"anthropic-version": "2023-06-01", "x-api-key": "k"}
    assert Anthropic.headers("") == {"anthropic-version": "2023-06-01"}


@settings(deadline=None)
@given(said=pieces(), sizes=cuts(), noise=st.booleans())
def test_any_chunking_of_the_same_bytes_gives_the_answer_that_was_said(
    said: tuple[Delta, ...], sizes: list[int], noise: bool
) -> None:
    wire = b"".join(frame.data for frame in FRAMES["/messages"](Script(pieces=said, noise=noise, usage=(7, 3))))
    parser = AnthropicParser()
    assert merged(parsed(parser, wire, sizes)) == merged([Usage(7), *said, Usage(7, 3), Finish("stop")])
    assert parser.finished


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["type", "index", "delta", "text", "usage", "error", "content_block"]), inner)
    ),
)


@settings(deadline=None)
@given(st.lists(_json, max_size=3))
def test_no_json_makes_a_parser_raise(values: list[Any]) -> None:
    parser = AnthropicParser()
    parser.feed(Event(json.dumps(value)) for value in values)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "refusal"),
        ("pause_turn", "pause"),
        ("brand_new", "brand_new"),
        (None, "stop"),
    ],
)
def test_a_stop_reason_becomes_the_common_word(theirs: str | None, ours: str) -> None:
    assert _read(_ending(theirs), STOP)[0] == [Finish(ours)]


def test_the_finish_waits_for_message_stop() -> None:
    deltas, parser = _read(_ending("end_turn", {"output_tokens": 3}))
    assert (deltas, parser.finished) == ([], False)


def test_usage_is_cumulative_and_each_message_delta_replaces_what_it_names() -> None:
    start = {"type": "message_start", "message": {"usage": {"input_tokens": 377, "output_tokens": 1}}}
    deltas, _ = _read(
        start,
        _ending(None, {"output_tokens": 20}),
        _ending("end_turn", {"input_tokens": 400, "output_tokens": 65}),
        STOP,
    )
    assert deltas == [Usage(377), Usage(400, 65), Finish("stop")]


def test_what_the_cache_had_part_in_counts_as_input() -> None:
    usage = {"input_tokens": 12, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 5, "output_tokens": 1}
    end = {"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}}
    deltas, _ = _read(
        {"type": "message_start", "message": {"usage": usage}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": end},
        STOP,
    )
    assert deltas == [Usage(20, None, 5, 3), Usage(20, 9, 5, 3, 4), Finish("stop")]


def test_a_callers_own_body_is_relayed_as_it_is_but_for_the_model_and_the_stream() -> None:
    body = {"model": "smart", "messages": [], "max_tokens": 9, "brand_new": 1}
    assert Anthropic.relay_request(body, "claude") == {**body, "model": "claude", "stream": True}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"effort": "high"}, {"output_config": {"effort": "high"}}),
        ({"effort": "low", "thinking": True}, {"output_config": {"effort": "low"}, "thinking": {"type": "adaptive"}}),
        ({"effort": "none", "thinking": True}, {}),
        ({"thinking_budget": 2000}, {"thinking": {"type": "enabled", "budget_tokens": 2000}}),
    ],
)
def test_how_much_to_think_is_said_as_it_was_asked(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    body = _request(Ask(messages=(HI,), **fields))
    assert {key: body[key] for key in body.keys() & {"thinking", "output_config"}} == expected
    assert body["max_tokens"] == 4096


def test_each_event_can_be_had_with_what_it_said() -> None:
    said = Event(json.dumps(_delta(0, type="text_delta", text="a")), "content_block_delta")
    ping, empty = Event('{"type": "ping"}', "ping"), Event("", "ping")
    broken = Event(json.dumps({"type": "error", "error": {"message": "x"}}), "error")
    parser = AnthropicParser()
    assert parser.pair([said, empty, ping]) == [(said, [Text("a")]), (ping, [])]
    assert parser.pair([broken, said]) == []
    assert parser.failure is not None


def test_text_and_thinking_that_come_with_the_start_of_a_block_are_kept() -> None:
    deltas, _ = _read(_start(0, type="thinking", thinking="Hm"), _start(1, type="text", text="Oh"))
    assert deltas == [Thinking("Hm"), Text("Oh")]


def test_signatures_citations_and_empty_deltas_say_nothing() -> None:
    deltas, _ = _read(
        _delta(0, type="signature_delta", signature="x"),
        _delta(0, type="citations_delta", citation={"text": "quoted"}),
        _delta(0, type="text_delta", text=""),
        _delta(0, type="compaction_delta", content="x"),
        {"type": "content_block_delta", "index": 0},
        {"type": "content_block_start", "index": 0},
    )
    assert deltas == []


def test_a_server_side_tools_input_is_not_a_call_and_does_not_count() -> None:
    deltas, _ = _read(
        _start(0, type="server_tool_use", id="srv", name="web_search", input={}),
        _delta(0, type="input_json_delta", partial_json='{"query": "x"}'),
        _start(1, type="web_search_tool_result", tool_use_id="srv", content=[{"type": "web_search_result"}]),
        _start(2, type="fallback", **{"from": "a", "to": "b", "trigger": "refusal"}),
        _start(3, type="tool_use", id="toolu", name="weather", input={}),
        _delta(3, type="input_json_delta", partial_json=""),
        _delta(3, type="input_json_delta", partial_json="{}"),
    )
    assert deltas == [ToolCall(0, "toolu", "weather"), ToolCall(0, arguments="{}")]


def test_a_whole_input_that_comes_with_the_start_is_given_when_no_delta_follows() -> None:
    start = _start(0, type="tool_use", id="a", name="now", input={"zone": "UTC"})
    stop = {"type": "content_block_stop", "index": 0}
    assert _read(start, stop)[0][1:] == [ToolCall(0, arguments='{"zone": "UTC"}')]
    piece = _delta(0, type="input_json_delta", partial_json="{}")
    assert _read(start, piece, stop)[0][1:] == [ToolCall(0, arguments="{}")]


def test_an_error_event_ends_the_answer_and_keeps_what_came_with_it() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    deltas, parser = _read(_delta(0, type="text_delta", text="a"), error, _delta(0, type="text_delta", text="b"))
    assert deltas == [Text("a")]
    assert parser.failure is not None
    assert parser.failure.type == ErrorType.PROVIDER_OVERLOADED
    assert parser.feed([Event(json.dumps(STOP))]) == []


def test_an_unknown_event_of_any_shape_is_passed_over() -> None:
    deltas, parser = _read({"type": "brand_new", "index": "x", "delta": 7, "usage": []})
    assert (deltas, parser.failure) == ([], None)


@pytest.mark.parametrize(
    "data", ["{", "[]", "7", "null", "{}", '{"type": "content_block_delta", "index": "x"}', "[" * 20_000]
)
def test_a_frame_that_cannot_be_read_is_malformed(data: str) -> None:
    parser = AnthropicParser()
    assert parser.feed([Event(data)]) == []
    assert parser.failure is not None
    assert parser.failure.type == ErrorType.PROVIDER_MALFORMED


def test_padding_after_the_json_is_tolerated() -> None:
    parser = AnthropicParser()
    assert parser.feed([Event(json.dumps(_delta(0, type="text_delta", text="a")) + "     ")]) == [Text("a")]


def test_what_follows_message_stop_is_nothing_of_this_answer() -> None:
    deltas, parser = _read(STOP, _delta(0, type="text_delta", text="late"))
    assert deltas == [Finish("stop")]
    assert parser.finished
