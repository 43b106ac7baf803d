"""The pieces of an answer, the same whoever the provider is.

A producer yields these; a provider module reads them out of its upstream's frames, a dialect
writes them for a client. Nothing here knows a wire format: a `Frame` is handed on as it came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

__all__ = ["Delta", "Finish", "Frame", "Part", "Refusal", "Restart", "Text", "Thinking", "ToolCall", "Usage"]


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the answer's text."""

    text: str


@dataclass(frozen=True, slots=True)
class Refusal(Text):
    """A piece of the text in which the model says that it will not answer. To who knows no difference, it is text."""


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
    """Tokens so far, cumulative. None where the provider has not said; a later one replaces what it names.

    `input_tokens` is all that was read, `output_tokens` all that was written. The others are parts of them, never
    more: of the input, what came out of a cache and what was put into one; of the output, what was reasoning.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    reasoning_tokens: int | None = None

    def updated(self, said: Usage) -> Usage:
        """Return the counts after `said`, which may leave out what was said before."""
        if self == _UNSAID:
            return said
        return replace(self, **said.known())

    def known(self) -> dict[str, int]:
        """Return the counts that were said, by their names."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: count for name, count in named.items() if count is not None}


_UNSAID = Usage()


@dataclass(frozen=True, slots=True)
class Finish:
    """The model ended by itself; the last delta of a complete answer.

    `reason` is `stop`, `length`, `tool_calls`, `content_filter`, `refusal` or `pause`; a provider's
    other words pass through as they are.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Restart:
    """The answer so far is void: it broke for `reason`, and begins anew with what `model` of `provider` says."""

    provider: str
    model: str
    reason: str


Delta = Text | Thinking | ToolCall | Usage | Finish
"""What an upstream says."""


class Frame(NamedTuple):
    """An upstream's event that clients of its own dialect are shown as it came, and what it says to all others."""

    event: str
    data: str
    deltas: Sequence[Delta] = ()


Part = Delta | Frame | Restart
"""What an item of an answer may hold: also what came with a delta, and what voids those before."""
