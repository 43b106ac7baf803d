"""What OpenAI's two APIs say alike, read from either of their bodies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from tailrace.chat.ask import Effort, ResponseFormat, ToolChoice
from tailrace.chat.dialects.kinds import CHAT, RESPONSES

if TYPE_CHECKING:
    from tailrace.chat.dialects.fields import Fields

__all__ = [
    "IDLE",
    "effort_of",
    "function_of",
    "mode_of",
    "schema_of",
    "simple_format",
    "temperature_of",
    "verbosity_of",
]

IDLE = (
    "metadata",
    "store",
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
)
"""Fields that change the price, the speed or the books of an answer, but not the answer."""

_EFFORTS = get_args(Effort)
_MODES = ("auto", "none", "required")


def temperature_of(fields: Fields) -> float | None:
    """Take the temperature, which goes up to 2 in OpenAI's APIs and to 1 in Anthropic's."""
    temperature = fields.number("temperature", 2)
    if temperature is not None and temperature > 1:
        fields.tie("temperature", CHAT, RESPONSES)
    return temperature


def effort_of(fields: Fields, name: str) -> str | None:
    """Take the effort of reasoning; the least one is OpenAI's alone."""
    effort = fields.choice(name, _EFFORTS)
    if effort == "minimal":
        fields.tie(name, CHAT, RESPONSES)
    return effort


def verbosity_of(fields: Fields) -> str | None:
    """Take how long an answer is to be, which only OpenAI's APIs can be told."""
    verbosity = fields.choice("verbosity", ("low", "medium", "high"))
    if verbosity is not None:
        fields.tie("verbosity", CHAT, RESPONSES)
    return verbosity


def mode_of(fields: Fields) -> ToolChoice | None:
    """Take a tool choice that is a word."""
    mode = fields.choice("tool_choice", _MODES)
    return None if mode is None else ToolChoice(mode)  # type: ignore[arg-type]  # `choice` has looked


def function_of(function: Fields) -> dict[str, Any]:
    """Take a function's definition; its name is all that must be there."""
    parameters = function.nested("parameters")
    said = {
        "name": function.required("name"),
        "description": function.text("description"),
        "parameters": None if parameters is None else parameters.whole,
        "strict": function.flag("strict"),
    }
    function.tie_rest()
    return {key: value for key, value in said.items() if value is not None}


def simple_format(wanted: Fields, kind: str) -> ResponseFormat | None:
    """Take a response format that is named by its type alone."""
    if kind == "json_object":
        wanted.tie_all(CHAT, RESPONSES)
        return ResponseFormat("json_object")
    if kind != "text":
        wanted.tie_all()
    return None


def schema_of(wanted: Fields) -> ResponseFormat | None:
    """Take a schema that the answer is to fit, and what is said of it."""
    schema = wanted.nested("schema")
    if schema is None:
        wanted.tie_all()
        return None
    said = ResponseFormat(
        "json_schema", schema.whole, wanted.required("name"), wanted.text("description"), wanted.flag("strict")
    )
    wanted.tie_rest()
    return said
