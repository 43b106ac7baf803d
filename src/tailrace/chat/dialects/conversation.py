"""From the messages that a dialect's reader found to an `Ask`: what is the same for all dialects.

Here stand the ties that come from a message's place in the conversation. Anthropic's API has no
system message within it, and takes a last message of the assistant as the beginning of the answer,
where OpenAI's two begin a new one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tailrace.chat.ask import Ask, Message
from tailrace.chat.dialects.kinds import ANTHROPIC, CHAT, RESPONSES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tailrace.chat.dialects.fields import Fields

__all__ = ["Conversation", "tie_image"]

_SYSTEM = frozenset({"system", "developer"})
_OPENAI = (CHAT, RESPONSES)


class _Spoken(NamedTuple):
    fields: Fields
    message: Message


class Conversation:
    """The messages so far, each with the object of the body that it came from."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._spoken: list[_Spoken] = []

    def say(self, fields: Fields, role: str, content: str | Sequence[dict[str, Any]], **more: Any) -> None:
        """Add a message. One that says nothing is left to the dialect's own kind of provider, but for the system's."""
        said = content if isinstance(content, str) else tuple(content) or ""
        if not (said or more):
            if role not in _SYSTEM:
                fields.tie_all()
            return
        self._spoken.append(_Spoken(fields, Message(role, said, **more)))

    def ask(self, said: dict[str, Any]) -> Ask | None:
        """Return all of it as an `Ask`, with what else was `said`; None where there is nothing to answer."""
        turns = [spoken for spoken in self._spoken if spoken.message.role not in _SYSTEM]
        if not turns:
            return None
        self._tie_late_instructions(turns[0])
        self._tie_last(turns[-1])
        return Ask(messages=tuple(spoken.message for spoken in self._spoken), **said)

    def _tie_late_instructions(self, first: _Spoken) -> None:
        for spoken in self._spoken[self._spoken.index(first) :]:
            if spoken.message.role in _SYSTEM:
                spoken.fields.tie_all(*_OPENAI)

    def _tie_last(self, last: _Spoken) -> None:
        if last.message.role == "assistant":
            last.fields.tie_all(*((ANTHROPIC,) if self._kind == ANTHROPIC else _OPENAI))


def tie_image(url: str, fields: Fields, name: str) -> None:
    """Note which kinds take the image at `url`: Anthropic's API takes data only in base64."""
    if url[:5].lower() == "data:" and ";base64," not in url[:100].lower():
        fields.tie(name, *_OPENAI)
