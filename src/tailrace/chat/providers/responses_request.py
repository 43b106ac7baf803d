"""An `Ask` as a Responses request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tailrace.chat.providers import parts, tools
from tailrace.chat.providers.effort import effort_of
from tailrace.chat.providers.openai_request import failed_result, json_schema, user_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tailrace.chat.ask import Ask, Message, ResponseFormat

__all__ = ["write"]


def write(ask: Ask) -> dict[str, Any]:
    """Return the request's body. The provider keeps nothing of the answer: who asks here has it kept by us."""
    said = {
        "instructions": ask.preamble or None,
        "max_output_tokens": ask.max_tokens,
        "temperature": ask.temperature,
        "top_p": ask.top_p,
        "tools": [tools.to_responses(tool) for tool in ask.tools] or None,
        "tool_choice": tools.choose_responses(ask.tool_choice) if ask.tool_choice else None,
        "parallel_tool_calls": ask.parallel_tool_calls,
        "reasoning": _reasoning(ask) or None,
        "text": _text(ask) or None,
        "user": user_of(ask),
    }
    return {
        "model": ask.model,
        "input": [item for message in ask.dialogue for item in _items(message)],
        "stream": True,
        "store": False,
        **{name: value for name, value in said.items() if value is not None},
    }


def _reasoning(ask: Ask) -> dict[str, Any]:
    effort = effort_of(ask)
    # The reasoning itself is never shown there; a summary is, to those who ask.
    shown = {"summary": "auto"} if ask.thinking else {}
    return shown | ({"effort": effort} if effort else {})


def _text(ask: Ask) -> dict[str, Any]:
    verbosity = {"verbosity": ask.verbosity} if ask.verbosity else {}
    return verbosity | ({"format": _format(ask.response_format)} if ask.response_format else {})


def _format(wanted: ResponseFormat) -> dict[str, Any]:
    return {"type": wanted.mode, **(json_schema(wanted) if wanted.mode == "json_schema" else {})}


def _items(message: Message) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        output = failed_result(message.text) if message.is_error else _content(message)
        yield {"type": "function_call_output", "call_id": message.tool_call_id, "output": output}
        return
    if message.content:
        yield {"role": message.role, "content": _content(message)}
    for call in message.tool_calls:
        yield {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}


def _content(message: Message) -> str | list[dict[str, Any]]:
    content = message.content
    if isinstance(content, str):
        return content
    return [parts.to_responses(part, said=message.role == "assistant") for part in content]
