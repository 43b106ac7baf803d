"""Writing an answer as Anthropic's Messages has it: events, or the whole message.

    stop                        end_turn; refusal where the model's words were a refusal, tool_use where it called tools
    length                      max_tokens
    tool_calls                  tool_use
    content_filter, refusal     refusal
    pause                       pause_turn
    any other word              end_turn: the API's list is closed

A thought has no signature here: another API's reasoning cannot have one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tailrace.chat.dialects.anthropic.errors import failure
from tailrace.chat.dialects.frames import named, quoted, to_json
from tailrace.chat.dialects.segments import Segments, said
from tailrace.chat.dialects.telling import Teller
from tailrace.chat.dialects.writing import Head
from tailrace.chat.providers.tools import input_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tailrace.chat.dialects.request import Request
    from tailrace.chat.dialects.segments import Segment, Step
    from tailrace.errors import RunError
    from tailrace.runs.deltas import Delta, Text, Thinking, ToolCall, Usage

__all__ = ["PING", "MessagesWriter", "error_frame", "head", "whole"]

PING = b'event: ping\ndata: {"type": "ping"}\n\n'

_STOP = {
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "refusal": "refusal",
    "pause": "pause_turn",
}
_STOP_SEQUENCE = None  # no other API says which one it was


class MessagesWriter(Teller):
    """Writes one stream of events, one content block after the other."""

    def __init__(self, head: Head) -> None:
        super().__init__(head)
        self._segments = Segments()

    @property
    def keep_alive(self) -> bytes:
        """A ping, which the API sends at any time after its first event."""
        return PING if self._open else super().keep_alive

    def _opening(self) -> bytes:
        usage = _usage(replace(self._usage, output_tokens=0, reasoning_tokens=None))  # what was read may be known
        message = {**_base(self._head), "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
        return _event("message_start", {"message": message})

    def _say(self, delta: Text | Thinking | ToolCall) -> bytes:
        return b"".join(map(self._step, self._segments.take(delta)))

    def _failure(self, error: RunError) -> bytes:
        return error_frame(error)

    def _step(self, step: Step) -> bytes:
        segment = step.segment
        if step.what == "piece":
            kind, field = _DELTAS[segment.kind]
            delta = f'{{"type":"{kind}","{field}":{quoted(step.piece)}}}'
            data = f'{{"type":"content_block_delta","index":{segment.index},"delta":{delta}}}'
            return named("content_block_delta", data)
        if step.what == "begin":
            block = _block(self._head, segment, "", {})
            return _event("content_block_start", {"index": segment.index, "content_block": block})
        return _event("content_block_stop", {"index": segment.index})

    def _finish(self, reason: str) -> bytes:
        steps = [self._step(step) for step in self._segments.finish()]
        stop = {"stop_reason": _stop_reason(reason, self._segments.told), "stop_sequence": _STOP_SEQUENCE}
        ending = _event("message_delta", {"delta": stop, "usage": _usage(self._usage)})
        return b"".join([*steps, ending, _event("message_stop", {})])


_DELTAS = {
    "text": ("text_delta", "text"),
    "refusal": ("text_delta", "text"),
    "thinking": ("thinking_delta", "thinking"),
    "call": ("input_json_delta", "partial_json"),
}


def head(request: Request, run: str, created: int) -> Head:
    """Return what the answer to `request` says of itself."""
    return Head(run=run, model=request.model, created=created)


def whole(head: Head, deltas: Iterable[Delta]) -> dict[str, Any]:
    """Return the message that `deltas` come to."""
    answer = said(deltas)
    return {
        **_base(head),
        "content": [
            _block(head, segment, segment.text, input_of(segment.text) if segment.kind == "call" else {})
            for segment in answer.segments
        ],
        "stop_reason": _stop_reason(answer.reason or "stop", answer.segments),
        "stop_sequence": _STOP_SEQUENCE,
        "usage": _usage(answer.usage),
    }


def error_frame(error: RunError) -> bytes:
    """Return the error as an event."""
    return named("error", to_json(failure(error)))


def _event(kind: str, body: dict[str, Any]) -> bytes:
    return named(kind, to_json({"type": kind, **body}))


def _base(head: Head) -> dict[str, Any]:
    return {"id": f"msg_{head.run}", "type": "message", "role": "assistant", "model": head.model}


def _block(head: Head, segment: Segment, text: str, given: dict[str, Any]) -> dict[str, Any]:
    if segment.kind == "call":
        call = segment.id or f"toolu_{head.run}_{segment.call}"
        return {"type": "tool_use", "id": call, "name": segment.name, "input": given}
    if segment.kind == "thinking":
        return {"type": "thinking", "thinking": text, "signature": ""}
    return {"type": "text", "text": text}


def _stop_reason(reason: str, segments: Sequence[Segment]) -> str:
    if reason != "stop":
        return _STOP.get(reason, "end_turn")
    kinds = {segment.kind for segment in segments}
    if "call" in kinds:  # OpenAI says so where the caller chose the tool
        return "tool_use"
    return "refusal" if "refusal" in kinds else "end_turn"


def _usage(usage: Usage) -> dict[str, Any]:
    """Return the counts as the API has them: what the cache had part in does not count as `input_tokens` there."""
    cached, created = usage.cached_input_tokens, usage.cache_creation_input_tokens
    counts = {
        "input_tokens": max(0, (usage.input_tokens or 0) - (cached or 0) - (created or 0)),
        "cache_creation_input_tokens": created,
        "cache_read_input_tokens": cached,
        "output_tokens": usage.output_tokens or 0,
    }
    thought = usage.reasoning_tokens
    details = {} if thought is None else {"output_tokens_details": {"thinking_tokens": thought}}
    return {name: count for name, count in counts.items() if count is not None} | details
