"""A `Script` as a Responses stream: the third format beside those of `tests.support.upstream_frames`.

Written down from the API's own documentation, without a line of the code under test.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from tailrace.runs.deltas import Refusal, Text, Thinking, ToolCall
from tests.support.upstream_script import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tailrace.runs.deltas import Delta
    from tests.support.upstream_script import Script

__all__ = ["responses_error", "responses_frames"]

_NOISE = (
    Frame(b": keep-alive\n\n"),
    Frame(b"id: 7\nretry: 10\n\n"),
    Frame(b'event: keepalive\ndata: {"type":"keepalive","sequence_number":0}\n\n'),
    Frame(b'event: brand_new\ndata: {"type":"brand_new","sequence_number":0,"delta":{"a":1},"response":[]}\n\n'),
    Frame(b"event: ping\n\n"),
    Frame(b"data:\n\n"),
)
_IDS = count(1)
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


@dataclass
class _Item:
    """An output item while it is being told."""

    index: int
    kind: str
    call: ToolCall | None = None
    text: str = ""

    @property
    def place(self) -> dict[str, Any]:
        part = {"message": {"content_index": 0}, "refusal": {"content_index": 0}, "reasoning": {"summary_index": 0}}
        return {"item_id": f"item_{self.index}", "output_index": self.index, **part.get(self.kind, {})}

    def part(self, text: str) -> dict[str, Any]:
        if self.kind == "reasoning":
            return {"type": "summary_text", "text": text}
        if self.kind == "refusal":
            return {"type": "refusal", "refusal": text}
        return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}

    def whole(self, *, done: bool) -> dict[str, Any]:
        parts = [self.part(self.text)] if done else []
        if self.call is not None:
            said = {"call_id": self.call.id, "name": self.call.name, "arguments": self.text if done else ""}
            more: dict[str, Any] = {"type": "function_call", **said}
        elif self.kind == "reasoning":
            more = {"type": "reasoning", "summary": parts}
        else:
            more = {"type": "message", "role": "assistant", "content": parts}
        return {"id": f"item_{self.index}", "status": "completed" if done else "in_progress", **more}


class _Teller:
    def __init__(self) -> None:
        self._id = f"resp_upstream{next(_IDS)}"
        self._number = 0
        self._items: list[_Item] = []

    def event(self, kind: str, *, piece: bool = False, **fields: Any) -> Frame:
        text = json.dumps({"type": kind, "sequence_number": self._number, **fields}, ensure_ascii=False)
        self._number += 1
        return Frame(f"event: {kind}\ndata: {text}\n\n".encode(), piece)

    def tell(self, script: Script) -> Iterator[Frame]:
        yield self.event("response.created", response=self._response("in_progress"))
        yield self.event("response.in_progress", response=self._response("in_progress"))
        item = None
        for delta in script.deltas:
            if item is None or not _goes_on(item, delta):
                if item is not None:
                    yield from self._end(item)
                item = _Item(len(self._items), _kind(delta), delta if isinstance(delta, ToolCall) else None)
                self._items.append(item)
                yield from self._begin(item)
                if isinstance(delta, ToolCall) and not delta.arguments:
                    continue
            if script.noise:
                yield from _NOISE
            yield self._delta(item, delta)
        if item is not None:
            yield from self._end(item)
        yield self._finish(script)

    def _begin(self, item: _Item) -> Iterator[Frame]:
        calls = item.call is not None and not item.call.arguments
        added = {"output_index": item.index, "item": item.whole(done=False)}
        yield self.event("response.output_item.added", piece=calls, **added)
        if item.call is None:
            kind = "reasoning_summary_part" if item.kind == "reasoning" else "content_part"
            yield self.event(f"response.{kind}.added", **item.place, part=item.part(""))

    def _delta(self, item: _Item, delta: Delta) -> Frame:
        piece = delta.arguments if isinstance(delta, ToolCall) else getattr(delta, "text", "")
        item.text += piece
        return self.event(f"response.{_EVENTS[item.kind]}.delta", piece=True, **item.place, delta=piece)

    def _end(self, item: _Item) -> Iterator[Frame]:
        field = {"refusal": "refusal", "function_call": "arguments"}.get(item.kind, "text")
        said: dict[str, Any] = {**item.place, field: item.text}
        yield self.event(f"response.{_EVENTS[item.kind]}.done", **said)
        if item.call is None:
            kind = "reasoning_summary_part" if item.kind == "reasoning" else "content_part"
            yield self.event(f"response.{kind}.done", **item.place, part=item.part(item.text))
        yield self.event("response.output_item.done", output_index=item.index, item=item.whole(done=True))

    def _finish(self, script: Script) -> Frame:
        reason = _INCOMPLETE.get(script.finish)
        status = "incomplete" if reason else "completed"
        response = self._response(status) | {
            "output": [item.whole(done=True) for item in self._items],
            "incomplete_details": {"reason": reason} if reason else None,
            "usage": script.usage and _usage(*script.usage),
        }
        return self.event(f"response.{status}", response=response)

    def _response(self, status: str) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "response",
            "created_at": 1_790_000_000,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": "gpt-test",
            "output": [],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": None,
            "brand_new_field": {"kept": True},
        }


_EVENTS = {
    "message": "output_text",
    "refusal": "refusal",
    "reasoning": "reasoning_summary_text",
    "function_call": "function_call_arguments",
}


def _kind(delta: Delta) -> str:
    if isinstance(delta, ToolCall):
        return "function_call"
    if isinstance(delta, Thinking):
        return "reasoning"
    assert isinstance(delta, Text)
    return "refusal" if isinstance(delta, Refusal) else "message"


def _goes_on(item: _Item, delta: Delta) -> bool:
    return item.kind == _kind(delta) and not (isinstance(delta, ToolCall) and delta.id)


def _usage(read: int, written: int) -> dict[str, Any]:
    return {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": read + written,
    }


def responses_frames(script: Script) -> Iterator[Frame]:
    """Return all frames of a script."""
    return _Teller().tell(script)


def responses_error(script: Script) -> bytes:
    """Return the script's error as a block."""
    error = {"type": "error", "sequence_number": 9, "error": dict(script.error)}
    return f"event: error\ndata: {json.dumps(error)}\n\n".encode()
