"""Tools in the form of each API."""

from __future__ import annotations

from typing import Any

import pytest

from tailrace.chat.ask import ToolChoice
from tailrace.chat.providers.tools import (
    choose_anthropic,
    choose_openai,
    choose_responses,
    input_of,
    to_anthropic,
    to_openai,
    to_responses,
)

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
OPENAI: dict[str, Any] = {
    "type": "function",
    "function": {"name": "weather", "description": "Look outside.", "parameters": SCHEMA},
}
RESPONSES: dict[str, Any] = {"type": "function", **OPENAI["function"], "strict": False}
ANTHROPIC: dict[str, Any] = {"name": "weather", "description": "Look outside.", "input_schema": SCHEMA}


def test_each_form_becomes_the_other() -> None:
    for tool in (OPENAI, RESPONSES, ANTHROPIC):
        assert to_anthropic(tool) == ANTHROPIC
        assert to_openai(tool) == OPENAI
        assert to_responses(tool) == RESPONSES


def test_what_is_strict_in_one_form_is_strict_in_each() -> None:
    strict = {**ANTHROPIC, "strict": True}
    assert to_openai(strict)["function"]["strict"]
    assert to_responses(strict)["strict"]
    assert to_anthropic(to_responses(strict)) == strict


def test_a_form_that_is_right_already_passes_unchanged() -> None:
    assert to_anthropic(ANTHROPIC) is ANTHROPIC
    assert to_openai(OPENAI) is OPENAI
    assert to_responses(RESPONSES) is RESPONSES


def test_a_function_without_parameters_takes_an_empty_object() -> None:
    converted = to_anthropic({"type": "function", "function": {"name": "now"}})
    assert converted == {"name": "now", "input_schema": {"type": "object", "properties": {}}}
    assert to_responses({"type": "function", "function": {"name": "now"}})["parameters"] == converted["input_schema"]


def test_a_providers_own_server_side_tool_passes_unchanged() -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    assert to_anthropic(search) is search
    assert to_openai(search) is search
    assert to_responses(search) is search


def test_a_choice_is_written_as_each_api_has_it() -> None:
    named, any_tool = ToolChoice("tool", "f"), ToolChoice("required")
    assert choose_openai(named) == {"type": "function", "function": {"name": "f"}}
    assert choose_responses(named) == {"type": "function", "name": "f"}
    assert choose_anthropic(named, None) == {"type": "tool", "name": "f"}
    assert (choose_openai(any_tool), choose_responses(any_tool)) == ("required", "required")
    assert choose_anthropic(any_tool, True) == {"type": "any"}


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("auto"), None, {"type": "auto"}),
        (ToolChoice("none"), False, {"type": "none"}),
    ],
)
def test_anthropic_is_told_of_parallel_calls_within_the_choice(
    choice: ToolChoice | None, parallel: bool | None, expected: dict[str, Any] | None
) -> None:
    assert choose_anthropic(choice, parallel) == expected


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ("", {}),
        ('{"x": 1}', {"x": 1}),
        ("[1]", {"INVALID_JSON": "[1]"}),
        ('{"x"', {"INVALID_JSON": '{"x"'}),
        ("[" * 20_000, {"INVALID_JSON": "[" * 20_000}),
    ],
)
def test_arguments_become_an_object_and_what_is_none_is_wrapped(arguments: str, given: dict[str, Any]) -> None:
    assert input_of(arguments) == given
