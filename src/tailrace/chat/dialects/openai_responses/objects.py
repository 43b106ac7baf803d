"""The objects that Responses is made of: the response, its output items, its error and its usage.

    stop, tool_calls           completed
    length                     incomplete: max_output_tokens
    content_filter, refusal    incomplete: content_filter
    pause                      incomplete, for no reason that the API knows
    any other word             completed: the API's list is closed

Another API's reasoning is told as a summary, as OpenAI tells its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tailrace.chat.dialects.faults import responses_code
from tailrace.chat.dialects.segments import said
from tailrace.chat.dialects.writing import Head
from tailrace.runs.deltas import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tailrace.chat.dialects.request import Request
    from tailrace.chat.dialects.segments import Segment
    from tailrace.errors import RunError
    from tailrace.runs.deltas import Delta

__all__ = ["begun", "ended", "error_of", "failed", "head", "item_of", "part_of", "state_of", "whole"]

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter", "refusal": "content_filter"}
_PREFIX = {"text": "msg", "refusal": "msg", "thinking": "rs", "call": "fc"}
_ECHOED = (
    "background",
    "instructions",
    "max_output_tokens",
    "metadata",
    "parallel_tool_calls",
    "previous_response_id",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_p",
    "truncation",
    "user",
)
"""The fields of a request that its response repeats."""

_USUAL: dict[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
}


def head(request: Request, run: str, created: int) -> Head:
    """Return what the answer to `request` says of itself."""
    echo = {name: request.body[name] for name in _ECHOED if request.body.get(name) is not None}
    return Head(run=run, model=request.model, created=created, echo=echo)


def whole(head: Head, deltas: Iterable[Delta]) -> dict[str, Any]:
    """Return the response that `deltas` come to."""
    answer = said(deltas)
    return ended(head, answer.segments, answer.usage, answer.reason or "stop")


def begun(head: Head) -> dict[str, Any]:
    """Return the response before it says anything."""
    return _response(head, "in_progress")


def ended(head: Head, segments: Sequence[Segment], usage: Usage, reason: str) -> dict[str, Any]:
    """Return the response that the model brought to its end."""
    state = state_of(reason)
    last = len(segments) - 1
    output = [
        item_of(head, segment, state if segment.index == last else "completed", segment.text) for segment in segments
    ]
    details = {"incomplete_details": {"reason": _INCOMPLETE.get(reason)}} if state == "incomplete" else {}
    return {**_response(head, state), **details, "output": output, "usage": _usage(usage)}


def failed(head: Head, segments: Sequence[Segment], usage: Usage, error: RunError) -> dict[str, Any]:
    """Return the response that broke, with what it had said."""
    response = ended(head, segments, usage, "pause")
    return {**response, "status": "failed", "incomplete_details": None, "error": error_of(error)}


def error_of(error: RunError) -> dict[str, Any]:
    """Return what a failed response has as its error."""
    return {"code": responses_code(error), "message": error.message}


def state_of(reason: str) -> str:
    """Return the state in which an answer ends that ended for `reason`."""
    return "incomplete" if reason in _INCOMPLETE or reason == "pause" else "completed"


def item_of(head: Head, segment: Segment, status: str, text: str) -> dict[str, Any]:
    """Return a segment as an output item, with `text` as all that it says so far."""
    item = {"id": f"{_PREFIX[segment.kind]}_{head.run}_{segment.index}"}
    if segment.kind == "call":
        call = {"call_id": segment.id or f"call_{head.run}_{segment.call}", "name": segment.name, "arguments": text}
        return {**item, "type": "function_call", "status": status, **call}
    content = [part_of(segment, text)] if status != "in_progress" else []
    if segment.kind == "thinking":
        return {**item, "type": "reasoning", "summary": content}
    return {**item, "type": "message", "status": status, "role": "assistant", "content": content}


def part_of(segment: Segment, text: str) -> dict[str, Any]:
    """Return the one part that a segment's item has, unless it is a call."""
    if segment.kind == "thinking":
        return {"type": "summary_text", "text": text}
    if segment.kind == "refusal":
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _response(head: Head, status: str) -> dict[str, Any]:
    return {
        "id": f"resp_{head.run}",
        "object": "response",
        "created_at": head.created,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": head.model,
        "output": [],
        "usage": None,
        **_USUAL,
        **head.echo,
    }


def _usage(usage: Usage) -> dict[str, Any] | None:
    if usage == Usage():
        return None
    read, written = usage.input_tokens or 0, usage.output_tokens or 0
    return {
        "input_tokens": read,
        "input_tokens_details": {
            "cached_tokens": usage.cached_input_tokens or 0,
            "cache_write_tokens": usage.cache_creation_input_tokens or 0,
        },
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": read + written,
    }
