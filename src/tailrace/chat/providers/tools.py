"""Tool definitions: OpenAI's form and Anthropic's, each from the other.

A definition in neither form (a provider's own server-side tool) passes through as it is: only its
provider can judge it.
"""

from __future__ import annotations

from typing import Any

__all__ = ["to_anthropic", "to_openai"]

_ANY_OBJECT = {"type": "object", "properties": {}}


def to_openai(tool: dict[str, Any]) -> dict[str, Any]:
    """Write `tool` as a chat.completions function."""
    if "input_schema" not in tool:
        return tool
    function = {key: tool[key] for key in ("name", "description") if key in tool}
    return {"type": "function", "function": {**function, "parameters": tool["input_schema"]}}


def to_anthropic(tool: dict[str, Any]) -> dict[str, Any]:
    """Write `tool` as a Messages tool."""
    function = tool.get("function")
    if not isinstance(function, dict):
        return tool
    converted = {key: function[key] for key in ("name", "description") if key in function}
    return {**converted, "input_schema": function.get("parameters") or _ANY_OBJECT}
