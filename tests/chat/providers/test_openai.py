"""OpenAI chat.completions: what is asked, and how a stream is read, with the habits of those who imitate it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.chat.ask import Ask, Message
from tailrace.chat.providers.base import ProviderOptions
from tailrace.chat.providers.openai import OpenAI, OpenAIParser
from tailrace.chat.upstream import Connections
from tailrace.errors import ErrorType
from tailrace.runs.deltas import Delta, Finish, Refusal, Text, Thinking, ToolCall, Usage
from tailrace.sse import Event
from tests.support.answers import cuts, merged, parsed, pieces
from tests.support.upstream_frames import FRAMES, Script

HI = Message("user", "Hi")
DONE = Event("[DONE]")


def _read(*frames: dict[str, Any] | Event) -> tuple[list[Delta], OpenAIParser]:
    parser = OpenAIParser()
    return parser.feed(it if isinstance(it, Event) else Event(json.dumps(it)) for it in frames), parser


def _request(ask: Ask, base_url: str = "http://127.0.0.1/v1") -> dict[str, Any]:
    return OpenAI(ProviderOptions(name="p", kind="openai", base_url=base_url), Connections()).request(ask)


def _chunk(finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


def _call(**call: Any) -> dict[str, Any]:
    return _chunk(tool_calls=[call])


def test_a_plain_question_asks_for_a_stream_with_its_usage() -> None:
    assert _request(Ask(messages=(HI,), model="gpt")) == {
        "model": "gpt",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_what_the_system_says_first_is_one_message_and_what_it_says_later_stays_at_its_place() -> None:
    messages = (Message("developer", "Be kind."), HI, Message("developer", "No jokes."))
    body = _request(Ask(messages=messages, system="Be brief.", temperature=0, max_tokens=9))
    assert body["messages"] == [
        {"role": "system", "content": "Be brief.\n\nBe kind."},
        {"role": "user", "content": "Hi"},
        {"role": "system", "content": "No jokes."},
    ]
    assert (body["temperature"], body["max_tokens"]) == (0, 9)


@pytest.mark.parametrize(
    ("base_url", "name"), [("", "max_completion_tokens"), ("http://127.0.0.1:11434/v1", "max_tokens")]
)
def test_the_bound_on_tokens_has_its_new_name_for_openai_itself_and_the_old_one_for_all_others(
    base_url: str, name: str
) -> None:
    body = _request(Ask(messages=(HI,), max_tokens=9), base_url)
    assert {key: body[key] for key in body if key.startswith("max_")} == {name: 9}


def test_tools_in_anthropics_form_are_converted() -> None:
    body = _request(Ask(messages=(HI,), tools=({"name": "now", "input_schema": {"type": "object"}},)))
    assert body["tools"] == [{"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}]


def test_the_key_is_a_bearer_token_and_none_is_sent_where_there_is_none() -> None:
    assert OpenAI.headers("k") == {"Authorization": "Bearer k"}
    assert OpenAI.headers("") == {}


@settings(deadline=None)
@given(said=pieces(), sizes=cuts(), noise=st.booleans())
def test_any_chunking_of_the_same_bytes_gives_the_answer_that_was_said(
    said: tuple[Delta, ...], sizes: list[int], noise: bool
) -> None:
    wire = b"".join(frame.data for frame in FRAMES["/chat/completions"](Script(pieces=said, noise=noise, usage=(7, 3))))
    parser = OpenAIParser()
    assert merged(parsed(parser, wire, sizes)) == merged([*said, Usage(7, 3), Finish("stop")])
    assert parser.finished


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["choices", "delta", "content", "usage", "error", "tool_calls", "index"]), inner
        )
    ),
)


@settings(deadline=None)
@given(st.lists(_json, max_size=3))
def test_no_json_makes_a_parser_raise(values: list[Any]) -> None:
    parser = OpenAIParser()
    parser.feed(Event(json.dumps(value)) for value in values)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("content_filter", "content_filter"),
        ("function_call", "tool_calls"),
        ("brand_new", "brand_new"),
        ("", "stop"),
        (None, "stop"),
    ],
)
def test_a_finish_reason_becomes_the_common_word(theirs: str | None, ours: str) -> None:
    assert _read(_chunk(theirs), DONE)[0] == [Finish(ours)]


def test_the_finish_waits_for_the_terminal() -> None:
    deltas, parser = _read(_chunk("stop"))
    assert (deltas, parser.finished) == ([], False)


def test_calls_without_a_finish_reason_finish_as_tool_calls() -> None:
    assert _read(_call(index=0, id="a", function={"name": "f"}), DONE)[0][-1] == Finish("tool_calls")


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_is_thinking_and_comes_before_the_text_of_the_same_chunk(field: str) -> None:
    assert _read(_chunk(**{field: "Hm", "content": "Oh"}))[0] == [Thinking("Hm"), Text("Oh")]


def test_reasoning_that_is_no_text_is_passed_over() -> None:
    assert _read(_chunk(reasoning={"tokens": 3}, content="Oh"))[0] == [Text("Oh")]


def test_a_refusal_is_text_that_says_so() -> None:
    assert _read(_chunk(refusal="I cannot."))[0] == [Refusal("I cannot.")]


def test_the_parts_of_the_usage_are_told() -> None:
    usage = {
        "prompt_tokens": 20,
        "completion_tokens": 9,
        "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 4},
    }
    assert _read({"choices": [], "usage": usage}, DONE)[0][0] == Usage(20, 9, 5, 3, 4)
    bare = usage | {"prompt_tokens_details": None, "completion_tokens_details": {}}
    assert _read({"choices": [], "usage": bare}, DONE)[0][0] == Usage(20, 9)


def test_a_callers_own_body_is_relayed_with_its_usage_asked_for() -> None:
    body = {
        "model": "smart",
        "messages": [],
        "stream": False,
        "seed": 7,
        "stream_options": {"include_obfuscation": False},
    }
    assert OpenAI.relay_request(body, "gpt") == {
        "model": "gpt",
        "messages": [],
        "stream": True,
        "seed": 7,
        "stream_options": {"include_obfuscation": False, "include_usage": True},
    }
    assert OpenAI.relay_request({"stream_options": None}, "gpt")["stream_options"] == {"include_usage": True}
    assert body["model"] == "smart"


def test_frames_that_say_nothing_add_nothing() -> None:
    frames: tuple[dict[str, Any] | Event, ...] = (
        _chunk(role="assistant"),
        _chunk(role="assistant", content=""),
        _chunk(content=None, refusal=None, tool_calls=None),
        {"choices": []},
        {"choices": None},
        {"choices": [{"index": 0, "finish_reason": None}]},
        {"choices": [], "usage": None, "obfuscation": "aaaa", "provider": "x"},
        {"choices": [{"index": 0, "delta": None}]},
        {},
        Event(""),
    )
    assert _read(*frames)[0] == []


def test_only_the_first_choice_is_the_answer() -> None:
    chunk = {"choices": [{"index": 1, "delta": {"content": "b"}}, {"index": 0, "delta": {"content": "a"}}]}
    assert _read(chunk)[0] == [Text("a")]


@pytest.mark.parametrize(
    "frames",
    [
        ({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}},),
        (_chunk("stop") | {"usage": {"prompt_tokens": 7, "completion_tokens": 3}},),
        (
            _chunk() | {"usage": {"prompt_tokens": 7, "completion_tokens": 1}},
            _chunk("stop") | {"usage": {"prompt_tokens": 7, "completion_tokens": 3}},
            {"choices": [], "usage": None},
        ),
    ],
    ids=["a chunk of its own", "with the finish", "cumulative on each"],
)
def test_usage_is_told_once_before_the_finish_wherever_it_came(frames: tuple[dict[str, Any], ...]) -> None:
    assert _read(*frames, DONE)[0] == [Usage(7, 3), Finish("stop")]


def test_parallel_calls_keep_their_fragments_apart() -> None:
    deltas, _ = _read(
        _call(index=0, id="a", type="function", function={"name": "f", "arguments": ""}),
        _call(index=1, id="b", type="function", function={"name": "g", "arguments": ""}),
        _call(index=0, function={"arguments": "{}"}),
        _call(index=1, function={"arguments": "[]"}),
    )
    assert deltas == [
        ToolCall(0, "a", "f"),
        ToolCall(1, "b", "g"),
        ToolCall(0, arguments="{}"),
        ToolCall(1, arguments="[]"),
    ]


CALL_HABITS = {
    "counted from one": (
        _call(index=1, id="a", function={"name": "f", "arguments": "{}"}),
        _call(index=2, id="b", function={"name": "g", "arguments": "[]"}),
    ),
    "every call at index 0": (
        _call(index=0, id="a", function={"name": "f", "arguments": "{}"}),
        _call(index=0, id="b", function={"name": "g", "arguments": "[]"}),
    ),
    "no index": (
        _call(id="a", function={"name": "f", "arguments": "{"}),
        _call(function={"arguments": "}"}),
        _call(id="b", function={"name": "g", "arguments": "["}),
        _call(function={"arguments": "]"}),
    ),
    "id and name on each fragment": (
        _call(index=0, id="a", function={"name": "f", "arguments": "{"}),
        _call(index=0, id="a", function={"name": "f", "arguments": "}"}),
        _call(index=1, id="b", function={"name": "g", "arguments": "[]"}),
    ),
    "empty id on later fragments": (
        _call(index=0, id="a", function={"name": "f", "arguments": "{"}),
        _call(index=0, id="", function={"name": None, "arguments": "}"}),
        _call(index=1, id="b", function={"name": "g", "arguments": "[]"}),
    ),
    "both in one chunk": (
        _chunk(
            tool_calls=[
                {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}},
                {"index": 1, "id": "b", "function": {"name": "g", "arguments": "[]"}},
            ]
        ),
    ),
}


@pytest.mark.parametrize("frames", CALL_HABITS.values(), ids=CALL_HABITS)
def test_calls_are_counted_from_zero_whatever_the_server_counts_by(frames: tuple[dict[str, Any], ...]) -> None:
    assert merged(_read(*frames)[0]) == [ToolCall(0, "a", "f", "{}"), ToolCall(1, "b", "g", "[]")]


def test_arguments_given_as_an_object_become_its_text() -> None:
    assert _read(_call(index=0, id="a", function={"name": "f", "arguments": {"x": 1}}))[0] == [
        ToolCall(0, "a", "f", '{"x":1}')
    ]


@pytest.mark.parametrize(
    ("frame", "type_"),
    [
        ({"error": {"message": "x", "type": "server_error"}}, ErrorType.PROVIDER_FAILED),
        ({"error": {"message": "x", "code": 429}}, ErrorType.PROVIDER_RATE_LIMITED),
        ({"error": "x"}, ErrorType.PROVIDER_FAILED),
        (_chunk("error") | {"error": {"message": "x", "code": 503}}, ErrorType.PROVIDER_OVERLOADED),
        ({"object": "error", "message": "x", "type": "BadRequestError", "code": 400}, ErrorType.PROVIDER_REJECTED),
    ],
)
def test_an_error_in_the_stream_ends_the_answer_and_keeps_what_came_with_it(
    frame: dict[str, Any], type_: ErrorType
) -> None:
    deltas, parser = _read(_chunk(content="a"), frame, _chunk(content="b"), DONE)
    assert deltas == [Text("a")]
    assert parser.failure is not None
    assert (parser.failure.type, parser.failure.message) == (type_, "the provider reported: x")
    assert not parser.finished


def test_a_null_error_is_none() -> None:
    assert _read(_chunk(content="a") | {"error": None}, DONE)[0] == [Text("a"), Finish("stop")]


@pytest.mark.parametrize("data", ["{", "[]", "7", '{"choices": 7}', '{"choices": [{"delta": "x"}]}', "[" * 20_000])
def test_a_frame_that_cannot_be_read_is_malformed(data: str) -> None:
    parser = OpenAIParser()
    assert parser.feed([Event(data)]) == []
    assert parser.failure is not None
    assert parser.failure.type == ErrorType.PROVIDER_MALFORMED


def test_what_follows_the_terminal_is_nothing_of_this_answer() -> None:
    deltas, parser = _read(Event("[DONE] "), _chunk(content="late"))
    assert deltas == [Finish("stop")]
    assert parser.feed([DONE]) == []
