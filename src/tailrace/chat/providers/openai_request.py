"""An `Ask` as a chat.completions request."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from tailrace.chat.providers import parts, tools
from tailrace.chat.providers.effort import effort_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tailrace.chat.ask import Ask, Message, ResponseFormat

__all__ = ["failed_result", "json_schema", "user_of", "write"]

_LONGEST_USER = 64  # characters; Anthropic's API takes 256


def write(ask: Ask, limit_field: str) -> dict[str, Any]:
    """Return the request's body; `limit_field` is what the server calls the bound on tokens.

    What the system said first is one message, since the templates of many models take no second one;
    what it says later stays at its place. Reasoning models show what they think without being asked,
    where they show it at all.
    """
    system = [{"role": "system", "content": ask.preamble}] if ask.preamble else []
    said = {
        limit_field: ask.max_tokens,
        "temperature": ask.temperature,
        "top_p": ask.top_p,
        "stop": list(ask.stop) or None,
        "tools": [tools.to_openai(tool) for tool in ask.tools] or None,
        "tool_choice": tools.choose_openai(ask.tool_choice) if ask.tool_choice else None,
        "parallel_tool_calls": ask.parallel_tool_calls,
        "reasoning_effort": effort_of(ask),
        "verbosity": ask.verbosity,
        "response_format": _format(ask.response_format) if ask.response_format else None,
        "user": user_of(ask),
    }
    return {
        "model": ask.model,
        "messages": [*system, *_messages(ask)],
        "stream": True,
        "stream_options": {"include_usage": True},
        **{name: value for name, value in said.items() if value is not None},
    }


def user_of(ask: Ask) -> str | None:
    """Return who asks, unless the name is longer than OpenAI's APIs take; it helps them against abuse, no more."""
    return ask.user if ask.user and len(ask.user) <= _LONGEST_USER else None


def failed_result(text: str) -> str:
    """Say that a tool failed, in an API whose results have no flag for it."""
    return f"Error: {text}"


def json_schema(wanted: ResponseFormat) -> dict[str, Any]:
    """Return name, schema and what else is said of them, as both of OpenAI's APIs have it."""
    more = {"description": wanted.description, "strict": wanted.strict}
    named = {"name": wanted.name, "schema": wanted.schema}
    return named | {key: value for key, value in more.items() if value is not None}


def _format(wanted: ResponseFormat) -> dict[str, Any]:
    schema = {"json_schema": json_schema(wanted)} if wanted.mode == "json_schema" else {}
    return {"type": wanted.mode, **schema}


def _messages(ask: Ask) -> Iterator[dict[str, Any]]:
    for role, turn in groupby(ask.dialogue, lambda message: message.role):
        if role == "assistant":
            yield _assistant(tuple(turn))
        else:
            yield from map(_message, turn)


def _message(message: Message) -> dict[str, Any]:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": _result(message)}
    # Only OpenAI's own models know the developer, and they take the system for one.
    return {"role": "system" if message.role == "developer" else message.role, "content": _content(message)}


def _assistant(turn: tuple[Message, ...]) -> dict[str, Any]:
    """Write a turn as one message: the API wants the results of all its calls right after it."""
    said = [parts.to_openai(part) for message in turn for part in message.parts]
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for message in turn
        for call in message.tool_calls
    ]
    content = _content(turn[0]) if len(turn) == 1 else said
    return {"role": "assistant", "content": content or None} | ({"tool_calls": calls} if calls else {})


def _result(message: Message) -> str | list[dict[str, Any]]:
    return failed_result(message.text) if message.is_error else _content(message)


def _content(message: Message) -> str | list[dict[str, Any]]:
    content = message.content
    return content if isinstance(content, str) else [parts.to_openai(part) for part in content]
