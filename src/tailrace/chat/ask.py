"""The question, in the one form that every provider understands.

Dialects and the native endpoint build an `Ask`; a provider turns it into its upstream's request.
Nothing here knows which model names exist or what a caller may spend.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import msgspec

__all__ = ["Ask", "Message", "Role"]

Role = Literal["system", "developer", "user", "assistant"]

_ROLES = frozenset(get_args(Role))
_MAX_TEMPERATURE = 2.0  # OpenAI's bound; Anthropic's is 1 and that API says so itself


class Message(msgspec.Struct, frozen=True):
    """One turn of the conversation.

    `content` is its text, or a tuple of content parts in the upstream's own form, which pass
    through unread (only the text of `{"type": "text"}` parts is ever looked at).

    Raises:
        ValueError: the role is not one of `Role`, or the content is empty.
    """

    role: str  # one of `Role`; checked here, so that a refusal can name the choices
    content: str | tuple[dict[str, Any], ...]

    def __post_init__(self) -> None:
        if self.role not in _ROLES:
            raise ValueError(f"role {self.role!r} is not one of {', '.join(sorted(_ROLES))}")
        if not self.content:
            raise ValueError(f"the content of a message of role {self.role!r} is empty")

    @property
    def text(self) -> str:
        """The readable part of the content."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part["text"] for part in self.content if isinstance(part.get("text"), str))


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A request for one answer.

    `model` is the provider's own name for the model, `tools` are in OpenAI's or Anthropic's form
    (each provider converts), `thinking` asks for the model's reasoning where it can show it,
    `metadata` is the caller's and goes to no upstream.

    Raises:
        ValueError: there is nothing to answer, or a number is outside its range.
    """

    messages: tuple[Message, ...]
    model: str = ""
    system: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    tools: tuple[dict[str, Any], ...] = ()
    thinking: bool = False
    metadata: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if not any(message.role in ("user", "assistant") for message in self.messages):
            raise ValueError("messages needs at least one message of role 'user'")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ValueError(f"max_tokens is {self.max_tokens}; expected 1 or more")
        if self.temperature is not None and not 0 <= self.temperature <= _MAX_TEMPERATURE:
            raise ValueError(f"temperature is {self.temperature}; expected 0 to {_MAX_TEMPERATURE:g}")

    @property
    def instructions(self) -> str:
        """All that was said in the system's voice: `system`, then the system and developer messages."""
        spoken = [message.text for message in self.messages if message.role in ("system", "developer")]
        return "\n\n".join([self.system, *spoken] if self.system else spoken)

    @property
    def conversation(self) -> tuple[Message, ...]:
        """The turns of user and assistant."""
        return tuple(message for message in self.messages if message.role in ("user", "assistant"))
