"""The pieces of an answer, the same whoever the provider is.

A producer yields these; a provider module reads them out of its upstream's frames, a dialect
writes them for a client. Nothing here knows a wire format.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Delta", "Finish", "Text", "Thinking", "ToolCall", "Usage"]


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the answer's text."""

    text: str


@dataclass(frozen=True, slots=True)
class Thinking:
    """A piece of the model's reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A fragment of one tool call.

    `index` tells parallel calls apart; `id` and `name` come with a call's first fragment and are
    empty after; `arguments` is the next piece of its JSON text.
    """

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens so far, cumulative. None where the provider has not said; a later one replaces what it names."""

    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """The model ended by itself; the last delta of a complete answer.

    `reason` is `stop`, `length`, `tool_calls`, `content_filter`, `refusal` or `pause`; a provider's
    other words pass through as they are.
    """

    reason: str


Delta = Text | Thinking | ToolCall | Usage | Finish
