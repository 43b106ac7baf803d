"""Handing on a chat.completions stream as it came, and putting its chunks together to the whole completion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from tailrace.chat.dialects.frames import COMMENT, raw
from tailrace.chat.dialects.openai_chat.writer import error_frame

if TYPE_CHECKING:
    from tailrace.chat.dialects.writing import Head
    from tailrace.errors import RunError
    from tailrace.sse import Event

__all__ = ["ChatAccumulator", "ChatRelay", "relayed"]

_DONE = "[DONE]"
_WORDS = frozenset({"id", "index", "name", "role", "type"})
"""Fields of a delta that are said whole; some servers repeat them in every chunk."""


class _Chunk(msgspec.Struct):
    choices: list[msgspec.Raw] | None = None
    usage: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(_Chunk).decode


def relayed(event: Event, *, include_usage: bool) -> bool:
    """Tell whether a client is to see the event: not where it has no content, or a usage that only we asked for."""
    data = event.data
    if not data:
        return False
    # Nearly every chunk has a choice; only those that may have none are read.
    if include_usage or '"usage"' not in data or not ('"choices":[]' in data or '"choices": []' in data):
        return True
    try:
        chunk = _decode(data)
    except msgspec.DecodeError:
        return True
    return bool(chunk.choices) or not chunk.usage


class ChatRelay:
    """Hands on one stream of chunks."""

    keep_alive = COMMENT

    def __init__(self, head: Head) -> None:
        self._include_usage = head.include_usage

    def write(self, event: Event) -> bytes:
        """Return the chunk's block as it came, or nothing."""
        return raw(event) if relayed(event, include_usage=self._include_usage) else b""

    def fail(self, error: RunError) -> bytes:
        """Return the error as a chunk of its own."""
        return error_frame(error)


class ChatAccumulator:
    """Puts chunks together, as the official SDK does, for any number of choices."""

    def __init__(self) -> None:
        self._answer: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}

    def add(self, event: Event) -> None:
        """Take the next chunk."""
        if not event.data or event.data.startswith(_DONE):
            return
        chunk: dict[str, Any] = msgspec.json.decode(event.data)
        for choice in chunk.pop("choices", None) or ():
            self._add_choice(choice)
        chunk.pop("obfuscation", None)  # it pads chunks, of which there are none now
        self._answer |= {name: value for name, value in chunk.items() if value is not None or name not in self._answer}

    def whole(self) -> dict[str, Any]:
        """Return the completion."""
        choices = [self._choices[index] for index in sorted(self._choices)]
        for choice in choices:
            for call in choice["message"].get("tool_calls") or ():
                call.pop("index", None)
        return {**self._answer, "object": "chat.completion", "choices": choices}

    def _add_choice(self, said: dict[str, Any]) -> None:
        index = said.get("index") or 0
        choice = self._choices.setdefault(
            index,
            {"index": index, "message": {"role": "assistant", "content": None, "refusal": None}, "logprobs": None},
        )
        choice.setdefault("finish_reason", None)
        _merge(choice["message"], said.pop("delta", None) or {})
        if isinstance(logprobs := said.pop("logprobs", None), dict):
            choice["logprobs"] = _merge(choice["logprobs"] or {}, logprobs)
        choice |= {name: value for name, value in said.items() if value is not None or name not in choice}


def _merge(whole: dict[str, Any], delta: dict[str, Any]) -> dict[str, Any]:
    for name, piece in delta.items():
        known = whole.get(name)
        if isinstance(piece, list):
            whole[name] = _merge_list(known if isinstance(known, list) else [], piece)
        elif isinstance(piece, dict):
            whole[name] = _merge(known if isinstance(known, dict) else {}, piece)
        elif isinstance(piece, str) and isinstance(known, str):
            whole[name] = (piece or known) if name in _WORDS else known + piece
        elif piece is not None or name not in whole:
            whole[name] = piece
    return whole


def _merge_list(whole: list[Any], pieces: list[Any]) -> list[Any]:
    """Merge entries that have an index into those of the same index; others are new ones."""
    for piece in pieces:
        place = piece.get("index") if isinstance(piece, dict) else None
        known = [entry for entry in reversed(whole) if isinstance(entry, dict)]
        same = next((entry for entry in known if place is not None and entry.get("index") == place), None)
        if same is not None and _goes_on(same, piece):
            _merge(same, piece)
        elif known and place is None and isinstance(piece, dict) and "function" in piece and not piece.get("id"):
            _merge(known[0], piece)  # a server that counts nothing: the fragment goes on with the last call
        else:
            whole.append(_merge({}, piece) if isinstance(piece, dict) else piece)
    return whole


def _goes_on(entry: dict[str, Any], piece: dict[str, Any]) -> bool:
    """Tell whether a fragment goes on with the newest entry of its index; some servers give one index to all calls."""
    return not (piece.get("id") and entry.get("id") and piece["id"] != entry["id"])
