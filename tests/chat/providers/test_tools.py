"""Tool definitions in OpenAI's and Anthropic's form."""

from __future__ import annotations

from typing import Any

from tailrace.chat.providers.tools import to_anthropic, to_openai

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
OPENAI: dict[str, Any] = {
    "type": "function",
    "function": {"name": "weather", "description": "Look outside.", "parameters": SCHEMA},
}
ANTHROPIC: dict[str, Any] = {"name": "weather", "description": "Look outside.", "input_schema": SCHEMA}


def test_each_form_becomes_the_other() -> None:
    assert to_anthropic(OPENAI) == ANTHROPIC
    assert to_openai(ANTHROPIC) == OPENAI


def test_a_form_that_is_right_already_passes_unchanged() -> None:
    assert to_anthropic(ANTHROPIC) is ANTHROPIC
    assert to_openai(OPENAI) is OPENAI


def test_a_function_without_parameters_takes_an_empty_object() -> None:
    converted = to_anthropic({"type": "function", "function": {"name": "now"}})
    assert converted == {"name": "now", "input_schema": {"type": "object", "properties": {}}}


def test_a_providers_own_server_side_tool_passes_unchanged() -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    assert to_anthropic(search) is search
    assert to_openai(search) is search
