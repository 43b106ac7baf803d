"""Requests of each dialect: what they say to every provider, and what is refused before anybody is asked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.chat.ask import Ask, Message, ResponseFormat, ToolChoice, ToolUse
from tailrace.chat.dialects import DIALECTS, BadRequest, Request, check
from tailrace.chat.providers import anthropic_request, openai_request, responses_request

CHAT, RESPONSES, MESSAGES = "openai-chat", "openai-responses", "anthropic"
KINDS = ("openai", "openai-responses", "anthropic")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
PNG = "data:image/png;base64,aGk="

BODIES: dict[str, dict[str, Any]] = {
    CHAT: {
        "model": "smart",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look"},
                    {"type": "image_url", "image_url": {"url": PNG}},
                    {"type": "image_url", "image_url": {"url": "https://h/a.png"}},
                ],
            },
            {
                "role": "assistant",
                "content": "Well.",
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}},
                    {"id": "b", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}},
                ],
            },
            {"role": "tool", "tool_call_id": "a", "content": "Rain"},
            {"role": "tool", "tool_call_id": "b", "content": "Sun"},
            {"role": "user", "content": "So?"},
        ],
        "max_tokens": 99,
        "temperature": 0.5,
        "top_p": 0.9,
        "tools": [
            {"type": "function", "function": {"name": "weather", "description": "Look out.", "parameters": SCHEMA}}
        ],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "parallel_tool_calls": False,
        "reasoning_effort": "high",
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}},
        "user": "ann",
        "stream": True,
        "stream_options": {"include_usage": True},
    },
    RESPONSES: {
        "model": "smart",
        "instructions": "Be brief.",
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Look"},
                    {"type": "input_image", "image_url": PNG, "detail": "auto"},
                    {"type": "input_image", "image_url": "https://h/a.png", "detail": "auto"},
                ],
            },
            {"role": "assistant", "content": "Well."},
            {"type": "function_call", "call_id": "a", "name": "weather", "arguments": '{"city":"Oslo"}'},
            {"type": "function_call", "call_id": "b", "name": "weather", "arguments": '{"city":"Rome"}'},
            {"type": "function_call_output", "call_id": "a", "output": "Rain"},
            {"type": "function_call_output", "call_id": "b", "output": "Sun"},
            {"role": "user", "content": "So?"},
        ],
        "max_output_tokens": 99,
        "temperature": 0.5,
        "top_p": 0.9,
        "tools": [
            {
                "type": "function",
                "name": "weather",
                "description": "Look out.",
                "parameters": SCHEMA,
                "strict": False,
            }
        ],
        "tool_choice": {"type": "function", "name": "weather"},
        "parallel_tool_calls": False,
        "reasoning": {"effort": "high"},
        "text": {"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA, "strict": True}},
        "user": "ann",
        "stream": True,
        "store": False,
    },
    MESSAGES: {
        "model": "smart",
        "system": "Be brief.",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
                    {"type": "image", "source": {"type": "url", "url": "https://h/a.png"}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "Well."},
                    {"type": "tool_use", "id": "a", "name": "weather", "input": {"city": "Oslo"}},
                    {"type": "tool_use", "id": "b", "name": "weather", "input": {"city": "Rome"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": "Rain"},
                    {"type": "tool_result", "tool_use_id": "b", "content": "Sun"},
                    {"type": "text", "text": "So?"},
                ],
            },
        ],
        "max_tokens": 99,
        "temperature": 0.5,
        "top_p": 0.9,
        "tools": [{"name": "weather", "description": "Look out.", "input_schema": SCHEMA}],
        "tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
        "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": SCHEMA}},
        "metadata": {"user_id": "ann"},
        "stream": True,
    },
}
"""One question in all three dialects, with all that they share."""

WRITERS = {
    "openai": lambda ask: openai_request.write(ask, "max_tokens"),
    "openai-responses": responses_request.write,
    "anthropic": anthropic_request.write,
}


def _read(name: str, body: dict[str, Any]) -> Request:
    return DIALECTS[name].read(body)


def _asked(name: str, **more: Any) -> Request:
    """Read a small request with `more` in it."""
    turn = {"role": "user", "content": "Hi"}
    body: dict[str, Any] = {"model": "smart"}
    body |= {"input": [turn]} if name == RESPONSES else {"messages": [turn]}
    return _read(name, body | ({"max_tokens": 9} if name == MESSAGES else {}) | more)


def _normal(body: dict[str, Any]) -> Any:
    """Write what may be said in two ways in one of them: a text as its only part."""

    def walk(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: walk(inner, key) for key, inner in value.items()}
        if name == "content" and isinstance(value, list) and len(value) == 1 and "text" in value[0]:
            return value[0]["text"]
        return [walk(inner) for inner in value] if isinstance(value, list) else value

    return walk(body)


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_question_says_the_same_in_every_dialect_to_every_kind_of_provider(name: str, kind: str) -> None:
    request = _read(name, BODIES[name])
    assert request.ask is not None
    ask = request.ask if kind == request.kind else check(request, kind)
    [theirs] = (dialect for dialect in DIALECTS.values() if dialect.kind == kind)
    written = _normal(WRITERS[kind](ask) | {"model": "smart"})
    expected = _normal(BODIES[theirs.name])
    if kind == "openai-responses" and name != RESPONSES:
        assert written.pop("text")["format"].items() >= {"type": "json_schema", "schema": SCHEMA}.items()
        expected.pop("text")
    assert written == expected


@pytest.mark.parametrize("name", DIALECTS)
def test_a_request_keeps_the_callers_own_body_and_what_concerns_the_answer(name: str) -> None:
    body = BODIES[name] | {"brand_new": {"a": 1}}
    request = _read(name, body)
    assert request.body == body
    assert (request.dialect, request.model, request.stream, request.user) == (name, "smart", True, "ann")
    assert request.include_usage == (name == CHAT)


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize(
    ("metadata", "user"), [({"user": "ben"}, "ben"), ({"user": ""}, None), ({"user": 7}, None), ({}, None)]
)
def test_whom_the_callers_own_notes_name_is_who_asks_where_nobody_else_is_named(
    name: str, metadata: dict[str, Any], user: str | None
) -> None:
    request = _asked(name, metadata=metadata)
    assert request.user == user
    assert request.ask is not None
    assert request.ask.user is None, "no provider is told"


FOREIGN: dict[str, dict[str, Any]] = {
    CHAT: {
        "n": 2,
        "logprobs": True,
        "top_logprobs": 3,
        "logit_bias": {"1": 1},
        "seed": 1,
        "frequency_penalty": 0.1,
        "presence_penalty": -1,
        "modalities": ["text", "audio"],
        "audio": {"voice": "x"},
        "web_search_options": {},
        "functions": [{"name": "f"}],
        "function_call": "auto",
        "brand_new": True,
        "tool_choice": {"type": "allowed_tools"},
        "response_format": {"type": "grammar"},
        "reasoning_effort": "brand_new",
    },
    RESPONSES: {
        "previous_response_id": "resp_1",
        "conversation": "conv_1",
        "prompt": {"id": "p"},
        "truncation": "auto",
        "max_tool_calls": 3,
        "top_logprobs": 1,
        "include": ["message.output_text.logprobs"],
        "context_management": [{"type": "compaction"}],
        "tool_choice": {"type": "file_search"},
        "brand_new": 0,
    },
    MESSAGES: {
        "top_k": 5,
        "container": "c",
        "mcp_servers": [{"url": "u"}],
        "context_management": {"edits": []},
        "inference_geo": "eu",
        "brand_new": "x",
    },
}


@pytest.mark.parametrize(("name", "field"), [(name, field) for name in FOREIGN for field in FOREIGN[name]])
def test_a_field_that_only_its_own_kind_knows_is_refused_by_name_for_all_others(name: str, field: str) -> None:
    request = _asked(name, **{field: FOREIGN[name][field]})
    for kind in (*KINDS, "demo"):
        if kind == request.kind:
            continue
        with pytest.raises(BadRequest, match=f"{field}.*'{kind}'") as caught:
            check(request, kind)
        assert (caught.value.param, caught.value.code) == (field, "unsupported_parameter")


IDLE: dict[str, dict[str, Any]] = {
    CHAT: {
        "metadata": {"a": "b"},
        "store": True,
        "service_tier": "flex",
        "prompt_cache_key": "k",
        "prediction": {"type": "content", "content": "x"},
        "n": 1,
        "logprobs": False,
        "logit_bias": {},
        "frequency_penalty": 0,
        "modalities": ["text"],
        "stream_options": {"include_obfuscation": False},
        "response_format": {"type": "text"},
        "seed": None,
        "tool_choice": None,
        "messages": [{"role": "system", "content": ""}, {"role": "user", "content": "Hi"}],
    },
    RESPONSES: {
        "metadata": {"a": "b"},
        "store": True,
        "service_tier": "flex",
        "prompt_cache_retention": "24h",
        "stream_options": {"include_obfuscation": False},
        "include": ["reasoning.encrypted_content"],
        "truncation": "disabled",
        "background": True,
        "text": {"format": {"type": "text"}},
        "previous_response_id": None,
    },
    MESSAGES: {
        "service_tier": "auto",
        "cache_control": {"type": "ephemeral"},
        "speed": "fast",
        "thinking": {"type": "disabled"},
        "system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}],
    },
}


@pytest.mark.parametrize(("name", "field"), [(name, field) for name in IDLE for field in IDLE[name]])
def test_a_field_that_does_not_change_the_answer_is_no_reason_to_refuse(name: str, field: str) -> None:
    request = _asked(name, **{field: IDLE[name][field]})
    for kind in {*KINDS, "demo"} - {request.kind}:
        assert check(request, kind).messages


SOME: list[tuple[str, dict[str, Any], str, set[str]]] = [
    (CHAT, {"stop": ["x"]}, "stop", {"anthropic"}),
    (CHAT, {"stop": "x"}, "stop", {"anthropic"}),
    (CHAT, {"verbosity": "low"}, "verbosity", {"openai-responses"}),
    (CHAT, {"temperature": 1.5}, "temperature", {"openai-responses"}),
    (CHAT, {"reasoning_effort": "minimal"}, "reasoning_effort", {"openai-responses"}),
    (CHAT, {"response_format": {"type": "json_object"}}, "response_format", {"openai-responses"}),
    (RESPONSES, {"text": {"verbosity": "high"}}, "text.verbosity", {"openai"}),
    (RESPONSES, {"text": {"format": {"type": "json_object"}}}, "text.format", {"openai"}),
    (RESPONSES, {"reasoning": {"effort": "minimal"}}, "reasoning.effort", {"openai"}),
    (RESPONSES, {"reasoning": {"context": "all_turns"}}, "reasoning.context", set()),
    (RESPONSES, {"tools": [{"type": "web_search"}]}, "tools.0", set()),
    (RESPONSES, {"input": [{"type": "item_reference", "id": "x"}]}, "input.0", set()),
    (RESPONSES, {"input": []}, "input", set()),
    (RESPONSES, {"input": ""}, "input", set()),
    (MESSAGES, {"stop_sequences": ["x"]}, "stop_sequences", {"openai"}),
    (MESSAGES, {"tools": [{"type": "web_search_20250305", "name": "s"}]}, "tools.0", set()),
    (MESSAGES, {"tools": [{"name": "f", "input_schema": {}, "defer_loading": True}]}, "tools.0.defer_loading", set()),
    (MESSAGES, {"thinking": {"type": "between_tools"}}, "thinking.type", set()),
    (MESSAGES, {"thinking": {"type": "adaptive", "display": "omitted"}}, "thinking.display", set()),
    (CHAT, {"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools.0", set()),
]


def _turns(name: str, *turns: dict[str, Any]) -> dict[str, Any]:
    return {"input" if name == RESPONSES else "messages": [{"role": "user", "content": "Hi"}, *turns]}


FILE = {"type": "file", "file": {"file_id": "x"}}
SOME += [
    (CHAT, _turns(CHAT, {"role": "system", "content": "x"}), "messages.1", {"openai-responses"}),
    (CHAT, _turns(CHAT, {"role": "assistant", "content": "x"}), "messages.1", {"openai-responses"}),
    (CHAT, _turns(CHAT, {"role": "user", "content": ""}), "messages.1", set()),
    (CHAT, _turns(CHAT, {"role": "user", "content": "x", "name": "ann"}), "messages.1.name", set()),
    (CHAT, _turns(CHAT, {"role": "function", "name": "f", "content": "x"}), "messages.1", set()),
    (CHAT, _turns(CHAT, {"role": "user", "content": [FILE]}), "messages.1.content.0", set()),
    (
        CHAT,
        _turns(CHAT, {"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG, "detail": "high"}}]}),
        "messages.1.content.0.image_url.detail",
        {"openai-responses"},
    ),
    (
        CHAT,
        _turns(CHAT, {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/svg,x"}}]}),
        "messages.1.content.0.image_url.url",
        {"openai-responses"},
    ),
    (RESPONSES, _turns(RESPONSES, {"role": "developer", "content": "x"}), "input.1", {"openai"}),
    (
        RESPONSES,
        _turns(
            RESPONSES,
            {"type": "function_call_output", "call_id": "a", "output": [{"type": "input_image", "image_url": PNG}]},
        ),
        "input.1.output.0",
        {"anthropic"},
    ),
    (
        RESPONSES,
        _turns(RESPONSES, {"role": "user", "content": [{"type": "input_image", "file_id": "x"}]}),
        "input.1.content.0",
        set(),
    ),
    (MESSAGES, _turns(MESSAGES, {"role": "assistant", "content": "Once"}), "messages.1", set()),
    (
        MESSAGES,
        _turns(MESSAGES, {"role": "user", "content": [{"type": "document", "source": {}}]}),
        "messages.1.content.0",
        set(),
    ),
    (
        MESSAGES,
        _turns(
            MESSAGES,
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "a",
                        "content": [{"type": "image", "source": {"type": "url", "url": "https://h/a"}}],
                    }
                ],
            },
        ),
        "messages.1.content.0.content.0",
        {"openai-responses"},
    ),
]


@pytest.mark.parametrize(("name", "fields", "path", "kinds"), SOME, ids=[f"{it[0]} {it[2]}" for it in SOME])
def test_what_some_kinds_cannot_be_told_is_refused_for_those_alone(
    name: str, fields: dict[str, Any], path: str, kinds: set[str]
) -> None:
    request = _asked(name, **fields)
    for kind in set(KINDS) - {request.kind}:
        if kind in kinds:
            check(request, kind)
            continue
        with pytest.raises(BadRequest) as caught:
            check(request, kind)
        assert caught.value.param == path


NO_OBJECTS: tuple[Any, ...] = ([], "x", None, 7)
MALFORMED: list[tuple[str, Any, str]] = [
    *((name, body, "") for name in DIALECTS for body in NO_OBJECTS),
    *((name, {"messages": [], "input": "x", "max_tokens": 1}, "model") for name in DIALECTS),
    (CHAT, {"model": "m"}, "messages"),
    (MESSAGES, {"model": "m", "max_tokens": 1}, "messages"),
    (MESSAGES, {"model": "m", "messages": []}, "max_tokens"),
    (CHAT, {"model": 7}, "model"),
    (CHAT, {"model": "m", "messages": "x"}, "messages"),
    (CHAT, {"model": "m", "messages": ["x"]}, "messages.0"),
    (CHAT, {"model": "m", "messages": [{"content": "x"}]}, "messages.0.role"),
    (CHAT, {"model": "m", "messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role"),
    (CHAT, {"model": "m", "messages": [{"role": "user", "content": 7}]}, "messages.0.content"),
    (CHAT, {"model": "m", "messages": [{"role": "user", "content": ["x"]}]}, "messages.0.content.0"),
    (CHAT, {"model": "m", "messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text"),
    (CHAT, {"model": "m", "messages": [{"role": "tool", "content": "x"}]}, "messages.0.tool_call_id"),
    (CHAT, {"model": "m", "messages": [], "temperature": 3}, "temperature"),
    (CHAT, {"model": "m", "messages": [], "temperature": "hot"}, "temperature"),
    (CHAT, {"model": "m", "messages": [], "temperature": True}, "temperature"),
    (CHAT, {"model": "m", "messages": [], "max_tokens": 0}, "max_tokens"),
    (CHAT, {"model": "m", "messages": [], "max_tokens": True}, "max_tokens"),
    (CHAT, {"model": "m", "messages": [], "stream": "yes"}, "stream"),
    (CHAT, {"model": "m", "messages": [], "stream_options": []}, "stream_options"),
    (CHAT, {"model": "m", "messages": [], "stop": [1]}, "stop.0"),
    (CHAT, {"model": "m", "messages": [], "tools": [{"type": "function", "function": {}}]}, "tools.0.function.name"),
    (RESPONSES, {"model": "m", "input": 7}, "input"),
    (RESPONSES, {"model": "m", "input": [{"type": "function_call", "name": "f"}]}, "input.0.call_id"),
    (RESPONSES, {"model": "m", "input": [{"role": "tool", "content": "x"}]}, "input.0.role"),
    (MESSAGES, {"model": "m", "max_tokens": 1, "messages": [{"role": "user"}]}, "messages.0.content"),
    (
        MESSAGES,
        {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": [{"type": "tool_result"}]}]},
        "messages.0.content.0.tool_use_id",
    ),
    (MESSAGES, {"model": "m", "max_tokens": 1, "messages": [], "tools": [{"name": "f"}]}, "tools.0.input_schema"),
    (
        MESSAGES,
        {"model": "m", "max_tokens": 1, "messages": [], "tool_choice": {"type": "tool", "name": ""}},
        "tool_choice.name",
    ),
]


@pytest.mark.parametrize(("name", "body", "path"), MALFORMED, ids=[f"{it[0]} {it[2]}" for it in MALFORMED])
def test_a_malformed_body_is_refused_with_the_name_of_the_field(name: str, body: Any, path: str) -> None:
    with pytest.raises(BadRequest) as caught:
        DIALECTS[name].read(body)
    assert caught.value.param == path
    assert str(caught.value).startswith(path)


def test_a_conversation_that_nobody_began_is_left_to_its_own_kind() -> None:
    for name in (CHAT, MESSAGES):
        request = _asked(name, messages=[])
        assert request.ask is None
        with pytest.raises(BadRequest) as caught:
            check(request, "demo")
        assert caught.value.param == "messages"


def test_a_response_that_may_be_read_later_is_one_that_streams() -> None:
    request = _asked(RESPONSES, background=True, stream=True)
    assert request.background
    assert check(request, "anthropic").messages


def test_a_question_that_is_a_string_is_what_the_user_says() -> None:
    assert _asked(RESPONSES, input="Hi").ask == Ask(messages=(Message("user", "Hi"),))


def test_earlier_thoughts_are_kept_from_another_model() -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "x"}
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [thought, {"type": "text", "text": "Yes."}]},
        {"role": "user", "content": "So?"},
    ]
    assert [message.text for message in check(_asked(MESSAGES, messages=turns), "openai").messages] == [
        "Hi",
        "Yes.",
        "So?",
    ]
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"}
    items = [{"role": "user", "content": "Hi"}, reasoning, {"role": "user", "content": "So?"}]
    assert len(check(_asked(RESPONSES, input=items), "anthropic").messages) == 2


def test_the_order_of_blocks_is_kept_over_several_messages() -> None:
    blocks = [
        {"type": "text", "text": "a"},
        {"type": "tool_use", "id": "1", "name": "f", "input": {}},
        {"type": "text", "text": "b"},
        {"type": "tool_use", "id": "2", "name": "f", "input": {}},
    ]
    results = [{"type": "tool_result", "tool_use_id": it, "content": "x", "is_error": it == "2"} for it in ("1", "2")]
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": blocks},
        {"role": "user", "content": results},
    ]
    ask = check(_asked(MESSAGES, messages=turns), "openai")
    assert [message.role for message in ask.messages] == ["user", "assistant", "assistant", "tool", "tool"]
    _, said, answered = anthropic_request.write(ask)["messages"]
    assert said["content"] == blocks
    assert [result.get("is_error", False) for result in answered["content"]] == [False, True]
    written = openai_request.write(ask, "max_tokens")["messages"]
    assert [len(written[1]["tool_calls"]), written[3]["content"]] == [2, "Error: x"]
    assert responses_request.write(ask)["input"][-1]["output"] == "Error: x"


@pytest.mark.parametrize(("budget", "effort"), [(1024, "low"), (4096, "medium"), (16_384, "high")])
def test_a_budget_for_thinking_is_the_nearest_effort_to_openais_models(budget: int, effort: str) -> None:
    ask = check(_asked(MESSAGES, thinking={"type": "enabled", "budget_tokens": budget}), "openai")
    assert openai_request.write(ask, "max_tokens")["reasoning_effort"] == effort
    assert responses_request.write(ask)["reasoning"] == {"effort": effort, "summary": "auto"}
    assert anthropic_request.write(ask)["thinking"] == {"type": "enabled", "budget_tokens": budget}


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"type": "auto"}, ToolChoice("auto")),
        ({"type": "any"}, ToolChoice("required")),
        ({"type": "none"}, ToolChoice("none")),
        ({"type": "tool", "name": "f"}, ToolChoice("tool", "f")),
    ],
)
def test_anthropics_tool_choices_have_a_common_word(theirs: dict[str, Any], ours: ToolChoice) -> None:
    request = _asked(MESSAGES, tool_choice=theirs, tools=[{"name": "f", "input_schema": {}}])
    assert request.ask is not None
    assert request.ask.tool_choice == ours
    assert anthropic_request.write(request.ask)["tool_choice"] == theirs


def test_a_users_name_that_is_too_long_for_openai_is_left_out_and_for_anthropic_is_said() -> None:
    ask = check(_asked(MESSAGES, metadata={"user_id": "x" * 65}), "openai")
    assert "user" not in openai_request.write(ask, "max_tokens")
    assert "user" not in responses_request.write(ask)
    assert anthropic_request.write(ask)["metadata"] == {"user_id": "x" * 65}


def test_a_response_format_is_read_whole() -> None:
    wanted = {"name": "n", "schema": SCHEMA, "description": "d", "strict": False}
    for request in (
        _asked(CHAT, response_format={"type": "json_schema", "json_schema": wanted}),
        _asked(RESPONSES, text={"format": {"type": "json_schema", **wanted}}),
    ):
        assert request.ask is not None
        assert request.ask.response_format == ResponseFormat("json_schema", SCHEMA, "n", "d", strict=False)


def test_earlier_refusals_are_words_to_another_api() -> None:
    turn = {"role": "assistant", "content": None, "refusal": "No."}
    request = _asked(CHAT, **_turns(CHAT, turn, {"role": "user", "content": "Why?"}))
    written = anthropic_request.write(check(request, "anthropic"))
    assert written["messages"][1]["content"] == [{"type": "text", "text": "No."}]


def test_calls_without_words_are_a_message() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
    turns = _turns(
        CHAT, {"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "a", "content": ""}
    )
    ask = check(_asked(CHAT, **turns), "anthropic")
    assert ask.messages[1:] == (
        Message("assistant", tool_calls=(ToolUse("a", "f"),)),
        Message("tool", tool_call_id="a"),
    )
    assert openai_request.write(ask, "max_tokens")["messages"][1]["content"] is None


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("model", "messages", "input", "role", "content", "type", "text", "tools", "function", "name"),
                    *("max_tokens", "thinking", "system", "output", "call_id", "tool_use_id", "source", "url", "stop"),
                ]
            ),
            inner | st.sampled_from(["user", "assistant", "tool", "text", "function_call_output", "tool_result", "m"]),
        )
    ),
)


_SHARED = (
    *("messages", "input", "tools", "tool_choice", "thinking", "stop", "text", "reasoning", "metadata", "system"),
    *("output_config", "response_format", "temperature", "stream_options", "logit_bias"),
)


@settings(deadline=None)
@given(body=st.dictionaries(st.sampled_from(_SHARED), _json))
def test_no_body_makes_a_reader_raise_anything_else(body: dict[str, Any]) -> None:
    for dialect in DIALECTS.values():
        try:
            request = dialect.read({"model": "m", "max_tokens": 1, **body})
        except BadRequest:
            continue
        for kind in KINDS:
            try:
                ask = check(request, kind)
            except BadRequest:
                continue
            json.dumps(WRITERS[kind](ask))
