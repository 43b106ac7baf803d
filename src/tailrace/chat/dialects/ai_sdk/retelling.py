"""What a message held before its answer went on, as chunks from which the SDK rebuilds it.

A page that was reloaded has nothing of the message, or replaces what it has by what it is sent. Tool calls come as
input that is being written and then has its output: `tool-input-available` would make the page run the tool once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tailrace.chat.dialects.frames import to_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["chunks_of"]

Chunk = dict[str, Any]

_SPOKEN: Final = frozenset({"text", "reasoning"})
_AS_THEY_ARE: Final = frozenset({"file", "source-url", "source-document"})
_ENDED: Final = {
    "output-available": ("tool-output-available", "output"),
    "output-error": ("tool-output-error", "errorText"),
}


def chunks_of(parts: Sequence[Chunk]) -> Iterator[Chunk]:
    """Return the chunks of a message's parts, which were read before."""
    for place, part in enumerate(parts):
        kind: str = part["type"]
        if kind in _SPOKEN:
            yield from _spoken(part, kind, f"before-{place}")
        elif kind == "step-start":
            yield {"type": "start-step"}
        elif kind in _AS_THEY_ARE or kind.startswith("data-"):
            yield part
        else:
            yield from _called(part, kind)


def _spoken(part: Chunk, kind: str, name: str) -> Iterator[Chunk]:
    more = {field: part[field] for field in ("providerMetadata",) if part.get(field) is not None}
    yield {"type": f"{kind}-start", "id": name, **more}
    yield {"type": f"{kind}-delta", "id": name, "delta": part["text"]}
    yield {"type": f"{kind}-end", "id": name}


def _called(part: Chunk, kind: str) -> Iterator[Chunk]:
    call = {"toolCallId": part["toolCallId"]}
    dynamic = kind == "dynamic-tool"
    name = part["toolName"] if dynamic else kind.removeprefix("tool-")
    yield {"type": "tool-input-start", **call, "toolName": name, **({"dynamic": True} if dynamic else {})}
    given = part.get("input")
    yield {"type": "tool-input-delta", **call, "inputTextDelta": to_json({} if given is None else given)}
    if part["state"] in _ENDED:
        ended, field = _ENDED[part["state"]]
        yield {"type": ended, **call, field: part.get(field)}
    elif part["state"] == "output-denied":
        yield {"type": "tool-output-denied", **call}
