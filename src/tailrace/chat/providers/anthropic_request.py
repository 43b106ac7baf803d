"""An `Ask` as a Messages request."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from tailrace.chat.providers import parts, tools

if TYPE_CHECKING:
    from tailrace.chat.ask import Ask, Message

__all__ = ["write"]

_MAX_TOKENS = 4096  # the API has no default of its own
_THINKING_BUDGET = 4096
_LEAST_BUDGET = 1024  # the API refuses less


def write(ask: Ask) -> dict[str, Any]:
    """Return the request's body; what the system says stands apart from the conversation there."""
    said = {
        "system": ask.instructions or None,
        "temperature": ask.temperature,
        "top_p": ask.top_p,
        "stop_sequences": list(ask.stop) or None,
        "tools": [tools.to_anthropic(tool) for tool in ask.tools] or None,
        "tool_choice": tools.choose_anthropic(ask.tool_choice, ask.parallel_tool_calls) if ask.tools else None,
        "output_config": _output(ask) or None,
        "metadata": {"user_id": ask.user} if ask.user else None,
    }
    body = {
        "model": ask.model,
        "max_tokens": ask.max_tokens or _MAX_TOKENS,
        "messages": [
            _turn(role, tuple(turn))
            for role, turn in groupby(
                ask.conversation, lambda message: "assistant" if message.role == "assistant" else "user"
            )
        ],
        "stream": True,
        **{name: value for name, value in said.items() if value is not None},
    }
    return _with_thinking(body, ask)


def _output(ask: Ask) -> dict[str, Any]:
    effort = {"effort": ask.effort} if ask.effort not in (None, "none") else {}
    wanted = ask.response_format
    if wanted is None or wanted.schema is None:
        return effort
    return effort | {"format": {"type": "json_schema", "schema": wanted.schema}}


def _with_thinking(body: dict[str, Any], ask: Ask) -> dict[str, Any]:
    """Add what the caller says of thinking.

    Thinking without a budget or an effort gets a budget on top of `max_tokens`, which stays what the
    answer may have; the API demands one below the other, and refuses a temperature beside them.
    """
    if ask.effort == "none":
        return body
    if ask.thinking_budget is not None:
        body["thinking"] = {"type": "enabled", "budget_tokens": ask.thinking_budget}
    elif ask.thinking and ask.effort:
        body["thinking"] = {"type": "adaptive"}
    elif ask.thinking and not _within_tool_use(ask):
        answer = body["max_tokens"]
        budget = max(_LEAST_BUDGET, min(_THINKING_BUDGET, answer))
        body |= {"max_tokens": answer + budget, "thinking": {"type": "enabled", "budget_tokens": budget}}
        body.pop("temperature", None)
    return body


def _within_tool_use(ask: Ask) -> bool:
    """Tell whether the answer goes on with a turn of which the tools were called.

    With a budget, the API wants such a turn to begin with what was thought before, signed, and nobody has that here.
    """
    return ask.messages[-1].role == "tool"


def _turn(role: str, turn: tuple[Message, ...]) -> dict[str, Any]:
    """Write neighbours as one turn: the results of parallel calls have to come together."""
    if len(turn) == 1 and isinstance(turn[0].content, str) and turn[0].role != "tool" and not turn[0].tool_calls:
        return {"role": role, "content": turn[0].content}
    return {"role": role, "content": [block for message in turn for block in _blocks(message)]}


def _blocks(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        return [_result(message)]
    calls = [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": tools.input_of(call.arguments)}
        for call in message.tool_calls
    ]
    return [*map(parts.to_anthropic, message.parts), *calls]


def _result(message: Message) -> dict[str, Any]:
    content = message.content
    said = content if isinstance(content, str) else [parts.to_anthropic(part) for part in content]
    result = {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": said}
    return result | ({"is_error": True} if message.is_error else {})
