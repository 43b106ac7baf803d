"""OpenAI Responses: what is asked, and how a stream is read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.chat.ask import Ask, Message, ToolUse
from tailrace.chat.providers.base import ProviderOptions
from tailrace.chat.providers.responses import OpenAIResponses, OpenAIResponsesParser
from tailrace.chat.upstream import Connections
from tailrace.errors import ErrorType
from tailrace.runs.deltas import Delta, Finish, Refusal, Text, Thinking, ToolCall, Usage
from tailrace.sse import Event

HI = Message("user", "Hi")
COMPLETED: dict[str, Any] = {"type": "response.completed", "response": {"usage": None}}


def _read(*frames: dict[str, Any] | Event) -> tuple[list[Delta], OpenAIResponsesParser]:
    parser = OpenAIResponsesParser()
    return parser.feed(it if isinstance(it, Event) else Event(json.dumps(it), it["type"]) for it in frames), parser


def _request(ask: Ask) -> dict[str, Any]:
    return OpenAIResponses(ProviderOptions(name="p", kind="openai-responses"), Connections()).request(ask)


def _delta(kind: str, piece: str, item: int = 0, **more: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}.delta", "output_index": item, "delta": piece, **more}


def _item(what: str, item: int, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.output_item.{what}", "output_index": item, "item": fields}


def test_a_plain_question_asks_for_a_stream_that_the_provider_does_not_keep() -> None:
    assert _request(Ask(messages=(HI,), model="gpt")) == {
        "model": "gpt",
        "input": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "store": False,
    }


def test_a_conversation_is_written_as_items_in_its_order() -> None:
    messages = (
        Message("system", "Be kind."),
        HI,
        Message("assistant", ({"type": "text", "text": "a"},), (ToolUse("1", "f", "{}"),)),
        Message("tool", "x", tool_call_id="1", is_error=True),
        Message("developer", "No jokes."),
    )
    body = _request(Ask(messages=messages, system="Be brief.", thinking=True))
    assert body["instructions"] == "Be brief.\n\nBe kind."
    assert body["reasoning"] == {"summary": "auto"}
    assert body["input"] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "a"}]},
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "Error: x"},
        {"role": "developer", "content": "No jokes."},
    ]


def test_the_endpoint_and_the_key_are_as_openais_sdk_has_them() -> None:
    assert (OpenAIResponses.public_url, OpenAIResponses.path) == ("https://api.openai.com/v1", "/responses")
    assert OpenAIResponses.headers("k") == {"Authorization": "Bearer k"}
    assert OpenAIResponses.headers("") == {}


def test_a_callers_own_body_is_relayed_as_it_is_but_for_the_model_and_the_stream() -> None:
    body = {"model": "smart", "input": "Hi", "background": True, "brand_new": 1}
    assert OpenAIResponses.relay_request(body, "gpt") == {**body, "model": "gpt", "stream": True}


def test_text_refusals_and_reasoning_are_told_apart() -> None:
    deltas, parser = _read(
        {"type": "response.created", "response": {}},
        _delta("reasoning_summary_text", "Hm", summary_index=0),
        _delta("reasoning_text", "so", 1, content_index=0),
        _delta("output_text", "Oh", 2),
        _delta("output_text", "", 2),
        _delta("refusal", "No", 3),
        COMPLETED,
    )
    assert deltas == [Thinking("Hm"), Thinking("so"), Text("Oh"), Refusal("No"), Finish("stop")]
    assert parser.finished


def test_the_parts_of_a_summary_are_paragraphs() -> None:
    def part(index: int) -> dict[str, Any]:
        return {"type": "response.reasoning_summary_part.added", "output_index": 0, "summary_index": index}

    deltas, _ = _read(
        part(0), _delta("reasoning_summary_text", "a"), part(1), _delta("reasoning_summary_text", "b", summary_index=1)
    )
    assert deltas == [Thinking("a"), Thinking("\n\n"), Thinking("b")]


def test_parallel_calls_are_counted_from_zero_whatever_items_lie_between() -> None:
    deltas, _ = _read(
        _item("added", 0, type="reasoning", summary=[]),
        _item("added", 1, type="function_call", call_id="a", name="f", arguments=""),
        _item("added", 3, type="function_call", call_id="b", name="g", arguments=""),
        _delta("function_call_arguments", "{", 1),
        _delta("function_call_arguments", "[", 3),
        _delta("function_call_arguments", "}", 1),
        {"type": "response.function_call_arguments.done", "output_index": 1, "arguments": "{}"},
        _item("done", 1, type="function_call", call_id="a", name="f", arguments="{}"),
        COMPLETED,
    )
    assert deltas == [
        ToolCall(0, "a", "f"),
        ToolCall(1, "b", "g"),
        ToolCall(0, arguments="{"),
        ToolCall(1, arguments="["),
        ToolCall(0, arguments="}"),
        Finish("tool_calls"),
    ]


def test_what_comes_without_deltas_is_read_when_it_is_complete() -> None:
    text = {"type": "output_text", "text": "Hi"}
    refusal = {"type": "refusal", "refusal": "No"}
    deltas, _ = _read(
        _item("done", 0, type="reasoning", summary=[{"type": "summary_text", "text": "Hm"}]),
        _item("done", 1, type="message", content=[text, refusal]),
        _item("done", 2, type="function_call", call_id="a", name="f", arguments="{}"),
        _item("added", 3, type="function_call", call_id="b", name="g"),
        {"type": "response.function_call_arguments.done", "output_index": 3, "arguments": "[]"},
        _item("done", 3, type="function_call", call_id="b", name="g", arguments="[]"),
        _item("done", 4, type="web_search_call", id="ws"),
    )
    assert deltas == [
        Thinking("Hm"),
        Text("Hi"),
        Refusal("No"),
        ToolCall(0, "a", "f"),
        ToolCall(0, arguments="{}"),
        ToolCall(1, "b", "g"),
        ToolCall(1, arguments="[]"),
    ]


def test_what_had_deltas_is_not_told_again() -> None:
    deltas, _ = _read(
        _delta("output_text", "Hi"), _item("done", 0, type="message", content=[{"type": "output_text", "text": "Hi"}])
    )
    assert deltas == [Text("Hi")]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("max_output_tokens", "length"),
        ("content_filter", "content_filter"),
        ("brand_new", "brand_new"),
        (None, "length"),
    ],
)
def test_an_incomplete_response_says_why_in_the_common_word(theirs: str | None, ours: str) -> None:
    frame = {"type": "response.incomplete", "response": {"incomplete_details": {"reason": theirs}}}
    deltas, parser = _read(frame)
    assert deltas == [Finish(ours)]
    assert parser.finished


def test_usage_is_told_with_its_parts_before_the_finish() -> None:
    usage = {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 3},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 4},
    }
    completed = {"type": "response.completed", "response": {"usage": usage}}
    assert _read(completed)[0] == [Usage(20, 9, 5, 3, 4), Finish("stop")]


@pytest.mark.parametrize(
    ("frame", "type_"),
    [
        ({"type": "error", "code": "server_error", "message": "x", "param": None}, ErrorType.PROVIDER_FAILED),
        ({"type": "error", "code": "rate_limit_exceeded", "message": "x"}, ErrorType.PROVIDER_RATE_LIMITED),
        ({"type": "error", "error": {"type": "invalid_request_error", "message": "x"}}, ErrorType.PROVIDER_REJECTED),
        (
            {"type": "response.failed", "response": {"error": {"code": "server_error", "message": "x"}}},
            ErrorType.PROVIDER_FAILED,
        ),
    ],
)
def test_an_error_in_the_stream_ends_the_answer_and_keeps_what_came_before(
    frame: dict[str, Any], type_: ErrorType
) -> None:
    deltas, parser = _read(_delta("output_text", "a"), frame, _delta("output_text", "b"), COMPLETED)
    assert deltas == [Text("a")]
    assert parser.failure is not None
    assert (parser.failure.type, parser.failure.message) == (type_, "the provider reported: x")
    assert not parser.finished


def test_unknown_events_and_those_of_the_providers_own_tools_are_passed_over() -> None:
    deltas, parser = _read(
        {"type": "response.web_search_call.searching", "item_id": "x", "output_index": 0},
        {"type": "response.image_generation_call.partial_image", "partial_image_b64": "x", "delta": {"a": 1}},
        {"type": "brand_new", "delta": 7, "response": []},
        Event("[DONE]"),
        Event(""),
    )
    assert (deltas, parser.ended) == ([], False)


@pytest.mark.parametrize(
    "data", ["{", "[]", "7", "null", "{}", '{"type": "response.output_text.delta", "delta": 7}', "[" * 20_000]
)
def test_a_frame_that_cannot_be_read_is_malformed(data: str) -> None:
    parser = OpenAIResponsesParser()
    assert parser.feed([Event(data)]) == []
    assert parser.failure is not None
    assert parser.failure.type == ErrorType.PROVIDER_MALFORMED


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["type", "delta", "item", "response", "error", "output_index"]), inner)
    ),
)


@settings(deadline=None)
@given(st.lists(_json, max_size=3))
def test_no_json_makes_a_parser_raise(values: list[Any]) -> None:
    parser = OpenAIResponsesParser()
    parser.feed(Event(json.dumps(value)) for value in values)
