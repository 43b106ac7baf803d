"""What a scripted upstream says: the frames of a `Script` in the wire formats of the three kinds.

Only bytes are made here; sending them, and breaking off, is `tests.support.upstream`'s.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tailrace.runs.deltas import Delta, Refusal, Text, Thinking, ToolCall
from tests.support.upstream_responses import responses_error, responses_frames
from tests.support.upstream_script import Frame, Script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["FRAMES", "Frame", "Script", "openai_chunk"]


def _anthropic(script: Script) -> Iterator[Frame]:
    usage = {"input_tokens": script.usage[0], "output_tokens": 1} if script.usage else None
    message: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "usage": usage}
    yield _named("message_start", {"message": message})
    index, open_kind = -1, ""
    for delta in script.deltas:
        kind = _block_kind(delta)
        if kind != open_kind or (isinstance(delta, ToolCall) and delta.id):
            if open_kind:
                yield from _end_block(index, open_kind)
            index, open_kind = index + 1, kind
            yield _named(
                "content_block_start", {"index": index, "content_block": _block(delta)}, isinstance(delta, ToolCall)
            )
            if isinstance(delta, ToolCall) and not delta.arguments:
                continue
        if script.noise:
            yield from _ANTHROPIC_NOISE
        body = {"index": index, "delta": _block_delta(delta)}
        yield _named("content_block_delta", body, not (isinstance(delta, ToolCall) and delta.id))
    if open_kind:
        yield from _end_block(index, open_kind)
    ending: dict[str, Any] = {"delta": {"stop_reason": _ANTHROPIC_STOP.get(script.finish, script.finish)}}
    yield _named("message_delta", ending | ({"usage": {"output_tokens": script.usage[1]}} if script.usage else {}))
    yield _named("message_stop", {})


_ANTHROPIC_STOP = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "pause": "pause_turn"}


def _block_kind(delta: Delta) -> str:
    return {Text: "text", Refusal: "text", Thinking: "thinking", ToolCall: "tool_use"}[type(delta)]


def _block(delta: Delta) -> dict[str, Any]:
    if isinstance(delta, ToolCall):
        return {"type": "tool_use", "id": delta.id, "name": delta.name, "input": {}}
    return (
        {"type": "text", "text": ""}
        if isinstance(delta, Text)
        else {"type": "thinking", "thinking": "", "signature": ""}
    )


def _block_delta(delta: Delta) -> dict[str, Any]:
    if isinstance(delta, ToolCall):
        return {"type": "input_json_delta", "partial_json": delta.arguments}
    if isinstance(delta, Thinking):
        return {"type": "thinking_delta", "thinking": delta.text}
    assert isinstance(delta, Text)
    return {"type": "text_delta", "text": delta.text}


def _end_block(index: int, kind: str) -> Iterator[Frame]:
    if kind == "thinking":
        yield _named("content_block_delta", {"index": index, "delta": {"type": "signature_delta", "signature": "c2ln"}})
    yield _named("content_block_stop", {"index": index})


def _named(kind: str, body: dict[str, Any], piece: bool = False) -> Frame:
    text = json.dumps({"type": kind, **body}, ensure_ascii=False)
    return Frame(f"event: {kind}\ndata: {text}\n\n".encode(), piece)


_ANTHROPIC_NOISE = (
    Frame(b": keep-alive\n\n"),
    Frame(b"id: 7\nretry: 10\n\n"),
    _named("ping", {}),
    _named("brand_new", {"delta": "not an object", "index": "x"}),
    Frame(b"event: ping\n\n"),
    Frame(b"data:\n\n"),
)


def openai_chunk(delta: dict[str, Any], finish_reason: str | None = None, **extra: Any) -> bytes:
    """Return one chat.completions block with `delta` as its only choice."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return _unnamed({**_OPENAI_HEAD, "choices": [choice], "usage": None, **extra})


_OPENAI_HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": "gpt-test"}


def _openai(script: Script) -> Iterator[Frame]:
    yield Frame(openai_chunk({"role": "assistant", "content": ""}))
    for delta in script.deltas:
        if script.noise:
            yield from _OPENAI_NOISE
        yield Frame(openai_chunk(_choice_delta(delta)), piece=True)
    yield Frame(openai_chunk({}, script.finish))
    if script.usage:
        usage = {
            "prompt_tokens": script.usage[0],
            "completion_tokens": script.usage[1],
            "total_tokens": sum(script.usage),
        }
        yield Frame(_unnamed({**_OPENAI_HEAD, "choices": [], "usage": usage}))
    yield Frame(b"data: [DONE]\n\n")


def _choice_delta(delta: Delta) -> dict[str, Any]:
    if isinstance(delta, ToolCall):
        first = {"id": delta.id, "type": "function"} if delta.id else {}
        name = {"name": delta.name} if delta.name else {}
        return {"tool_calls": [{"index": delta.index, **first, "function": {**name, "arguments": delta.arguments}}]}
    if isinstance(delta, Thinking):
        return {"reasoning_content": delta.text}
    assert isinstance(delta, Text)
    return {"refusal": delta.text} if isinstance(delta, Refusal) else {"content": delta.text}


def _unnamed(body: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n".encode()


_OPENAI_NOISE = (
    Frame(b": keep-alive\n\n"),
    Frame(b"id: 7\nretry: 10\n\n"),
    Frame(_unnamed({**_OPENAI_HEAD, "choices": [], "obfuscation": "aaaa"})),
    Frame(b"event: ping\n\n"),
    Frame(b"data:\n\n"),
)


def _broken(script: Script, frames: Callable[[Script], Iterator[Frame]], error: bytes) -> Iterator[Frame]:
    """Yield the frames up to the script's fault, and the frame that is the fault where it is one."""
    everything = list(frames(script))
    if script.fault == "no terminal":
        everything.pop()
    if script.fault in ("none", "no terminal"):
        yield from everything
        return
    said = 0
    for frame in everything:
        if frame.piece and said == script.after:
            break
        said += frame.piece
        yield frame
        if said and said == script.after:
            break
    if script.fault == "malformed":
        yield Frame(b'data: {"type": "content_block_delta", "choices\n\n')
    elif script.fault == "error":
        yield Frame(error)


FRAMES: dict[str, Callable[[Script], Iterator[Frame]]] = {
    "/messages": lambda script: _broken(script, _anthropic, _named("error", {"error": dict(script.error)}).data),
    "/chat/completions": lambda script: _broken(script, _openai, _unnamed({"error": dict(script.error)})),
    "/responses": lambda script: _broken(script, responses_frames, responses_error(script)),
}
"""The frames of a script up to its fault, by the end of the path that was asked."""
