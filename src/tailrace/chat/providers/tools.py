"""Tools: definitions, choices and calls in the form of each API, whichever of them they were given in.

A definition in no form that is known here (a provider's own server-side tool) passes through as it is:
only its provider can judge it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from tailrace.chat.ask import ToolChoice

__all__ = [
    "choose_anthropic",
    "choose_openai",
    "choose_responses",
    "input_of",
    "to_anthropic",
    "to_openai",
    "to_responses",
]

_ANY_OBJECT = {"type": "object", "properties": {}}
_SAID = ("name", "description", "strict")


def to_openai(tool: dict[str, Any]) -> dict[str, Any]:
    """Write `tool` as a chat.completions function."""
    function = _function(tool)
    return tool if function is None or "function" in tool else {"type": "function", "function": function}


def to_responses(tool: dict[str, Any]) -> dict[str, Any]:
    """Write `tool` as a Responses function, which is strict there unless it says that it is not."""
    function = _function(tool)
    if function is None or _is_responses(tool):
        return tool
    return {"type": "function", "parameters": _ANY_OBJECT, "strict": False, **function}


def to_anthropic(tool: dict[str, Any]) -> dict[str, Any]:
    """Write `tool` as a Messages tool."""
    function = _function(tool)
    if function is None or "input_schema" in tool:
        return tool
    converted = {key: function[key] for key in _SAID if key in function}
    return {**converted, "input_schema": function.get("parameters") or _ANY_OBJECT}


def choose_openai(choice: ToolChoice) -> str | dict[str, Any]:
    """Write `choice` as chat.completions has it."""
    return {"type": "function", "function": {"name": choice.name}} if choice.mode == "tool" else choice.mode


def choose_responses(choice: ToolChoice) -> str | dict[str, Any]:
    """Write `choice` as Responses has it."""
    return {"type": "function", "name": choice.name} if choice.mode == "tool" else choice.mode


def choose_anthropic(choice: ToolChoice | None, parallel: bool | None) -> dict[str, Any] | None:
    """Write `choice`, and whether calls may be parallel, as Messages has it; None where nothing is said."""
    mode = "auto" if choice is None else choice.mode
    said: dict[str, Any] = {"type": "any" if mode == "required" else mode}
    if choice is not None and mode == "tool":
        said["name"] = choice.name
    if parallel is False and mode != "none":
        said["disable_parallel_tool_use"] = True
    return None if said == {"type": "auto"} and choice is None else said


def input_of(arguments: str) -> dict[str, Any]:
    """Return a call's arguments as the object that Messages wants; what is none is wrapped as that API advises."""
    try:
        value = msgspec.json.decode(arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {"INVALID_JSON": arguments}


def _function(tool: dict[str, Any]) -> dict[str, Any] | None:
    """Return the definition as chat.completions has it within `function`; None for one in no form known here."""
    function = tool.get("function")
    if isinstance(function, dict):
        return function
    if _is_responses(tool):
        # What is not strict is said to be so in this API alone.
        return {key: tool[key] for key in (*_SAID, "parameters") if tool.get(key) not in (None, False)}
    if "input_schema" in tool:
        return {**{key: tool[key] for key in _SAID if key in tool}, "parameters": tool["input_schema"]}
    return None


def _is_responses(tool: dict[str, Any]) -> bool:
    return tool.get("type") == "function" and "function" not in tool and "name" in tool
