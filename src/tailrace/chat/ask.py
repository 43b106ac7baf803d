"""The question, in the one form that every provider understands.

Dialects and the native endpoint build an `Ask`; a provider turns it into its upstream's request.
Nothing here knows which model names exist or what a caller may spend.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import msgspec

__all__ = ["Ask", "Effort", "Message", "ResponseFormat", "Role", "ToolChoice", "ToolUse"]

Role = Literal["system", "developer", "user", "assistant", "tool"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]

_ROLES = frozenset(get_args(Role))
_SYSTEM = frozenset({"system", "developer"})
_MAX_TEMPERATURE = 2.0  # OpenAI's bound; Anthropic's is 1 and that API says so itself


class ToolUse(msgspec.Struct, frozen=True):
    """A tool that the assistant called earlier in the conversation; `arguments` is the JSON text that it wrote."""

    id: str
    name: str
    arguments: str = ""


class Message(msgspec.Struct, frozen=True):
    """One turn of the conversation, or a part of it: neighbours of one role are one turn.

    `content` is its text, or a tuple of content parts in the form of any of the APIs, which tell
    them apart by their `type`; a provider writes text and images in its own form and passes all
    else through unread. What an assistant said comes before the `tool_calls` it made. A message of
    role `tool` is the result of the call `tool_call_id`, and `is_error` says that the tool failed.

    Raises:
        ValueError: the role is not one of `Role`, the content is empty where something must be
            said, or the fields are not those of the role.
    """

    role: str  # one of `Role`; checked here, so that a refusal can name the choices
    content: str | tuple[dict[str, Any], ...] = ""
    tool_calls: tuple[ToolUse, ...] = ()
    tool_call_id: str = ""
    is_error: bool = False

    def __post_init__(self) -> None:
        if self.role not in _ROLES:
            raise ValueError(f"role {self.role!r} is not one of {', '.join(sorted(_ROLES))}")
        if (self.role == "tool") != bool(self.tool_call_id):
            raise ValueError("a message of role 'tool', and no other, names its call by tool_call_id")
        if self.tool_calls and self.role != "assistant":
            raise ValueError(f"a message of role {self.role!r} makes no tool_calls")
        if not (self.content or self.tool_calls or self.role == "tool"):  # a tool may have nothing to say
            raise ValueError(f"the content of a message of role {self.role!r} is empty")

    @property
    def parts(self) -> tuple[dict[str, Any], ...]:
        """The content as parts, whichever way it was given."""
        if isinstance(self.content, tuple):
            return self.content
        return ({"type": "text", "text": self.content},) if self.content else ()

    @property
    def text(self) -> str:
        """The readable part of the content."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part["text"] for part in self.content if isinstance(part.get("text"), str))


class ToolChoice(msgspec.Struct, frozen=True):
    """Whether the model calls tools: as it likes, never, some tool at least, or the one called `name`."""

    mode: Literal["auto", "none", "required", "tool"]
    name: str = ""

    def __post_init__(self) -> None:
        if (self.mode == "tool") != bool(self.name):
            raise ValueError("a tool_choice of mode 'tool', and no other, names the tool")


class ResponseFormat(msgspec.Struct, frozen=True):
    """What the answer's text has to be: any JSON object, or JSON that fits `schema` (which `name` is a title of)."""

    mode: Literal["json_object", "json_schema"]
    schema: dict[str, Any] | None = None
    name: str = "answer"
    description: str | None = None
    strict: bool | None = None

    def __post_init__(self) -> None:
        if (self.mode == "json_schema") != (self.schema is not None):
            raise ValueError("a response format of mode 'json_schema', and no other, has a schema")


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A request for one answer.

    `model` is the provider's own name for the model, `tools` are in the form of any of the APIs (each
    provider converts). How much the model should reason is said as an `effort`, or as a
    `thinking_budget` in tokens; `thinking` asks to see the reasoning where the model can show it.
    `user` is who asks, as the caller names them to the provider; `metadata` is the caller's own and
    goes to no upstream. `headers` go along with the request, whichever provider it is made to: names in
    lower case, and values as `passing` lets them through.

    Raises:
        ValueError: there is nothing to answer, or a number is outside its range.
    """

    messages: tuple[Message, ...]
    model: str = ""
    system: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    tools: tuple[dict[str, Any], ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    thinking: bool = False
    thinking_budget: int | None = None
    effort: Effort | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    response_format: ResponseFormat | None = None
    user: str | None = None
    metadata: dict[str, Any] | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if all(message.role in _SYSTEM for message in self.messages):
            raise ValueError("messages needs at least one message of role 'user'")
        for name, least in (("max_tokens", 1), ("thinking_budget", 0)):
            count = getattr(self, name)
            if count is not None and count < least:
                raise ValueError(f"{name} is {count}; expected {least} or more")
        for name, most in (("temperature", _MAX_TEMPERATURE), ("top_p", 1.0)):
            number = getattr(self, name)
            if number is not None and not 0 <= number <= most:
                raise ValueError(f"{name} is {number}; expected 0 to {most:g}")

    @property
    def instructions(self) -> str:
        """All that was said in the system's voice: `system`, then the system and developer messages."""
        return self._joined(self.messages)

    @property
    def preamble(self) -> str:
        """What was said in the system's voice before anybody else spoke."""
        return self._joined(self.messages[: self._first_turn])

    @property
    def conversation(self) -> tuple[Message, ...]:
        """The turns of user, assistant and tools."""
        return tuple(message for message in self.messages if message.role not in _SYSTEM)

    @property
    def dialogue(self) -> tuple[Message, ...]:
        """All that follows the preamble, with what the system says in between at its place."""
        return self.messages[self._first_turn :]

    @property
    def _first_turn(self) -> int:
        return next(place for place, message in enumerate(self.messages) if message.role not in _SYSTEM)

    def _joined(self, messages: tuple[Message, ...]) -> str:
        spoken = [message.text for message in messages if message.role in _SYSTEM]
        return "\n\n".join([self.system, *spoken] if self.system else spoken)
