"""Writing an answer as chat.completions has it: chunks, or the whole completion.

stop, length, tool_calls, content_filter   as they are
refusal                                    content_filter: a classifier stepped in
pause                                      length: the answer is not at its end
any other word                             stop: the API's list is closed
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tailrace.chat.dialects.frames import quoted, to_json
from tailrace.chat.dialects.openai_errors import failure
from tailrace.chat.dialects.segments import said
from tailrace.chat.dialects.telling import Teller
from tailrace.chat.dialects.writing import Head
from tailrace.runs.deltas import Refusal, Text, Thinking, ToolCall, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tailrace.chat.dialects.request import Request
    from tailrace.errors import RunError
    from tailrace.runs.deltas import Delta

__all__ = ["ChatWriter", "error_frame", "head", "whole"]

_FINISH = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "pause": "length",
}
_DONE = b"data: [DONE]\n\n"


class ChatWriter(Teller):
    """Writes one stream of chunks."""

    def __init__(self, head: Head) -> None:
        super().__init__(head)
        self._prefix = f"data: {to_json(_base(head, 'chat.completion.chunk'))[:-1]},"
        # Where a chunk with the usage was asked for, all others say that it is not here.
        self._suffix = ',"usage":null}\n\n' if head.include_usage else "}\n\n"

    def _opening(self) -> bytes:
        return self._chunk('{"role":"assistant","content":"","refusal":null}')

    def _say(self, delta: Text | Thinking | ToolCall) -> bytes:
        fields = self._delta(delta)
        return self._chunk(fields) if fields else b""

    def _failure(self, error: RunError) -> bytes:
        return error_frame(error)

    def _delta(self, delta: Text | Thinking | ToolCall) -> str:
        if isinstance(delta, Text):
            return (
                f'{{"{"refusal" if isinstance(delta, Refusal) else "content"}":{quoted(delta.text)}}}'
                if delta.text
                else ""
            )
        if isinstance(delta, Thinking):
            return f'{{"reasoning_content":{quoted(delta.text)}}}' if delta.text else ""
        function = f'"arguments":{quoted(delta.arguments)}'
        first = ""
        if delta.name or delta.id:
            first = f'"id":{quoted(_call_id(self._head, delta.index, delta.id))},"type":"function",'
            function = f'"name":{quoted(delta.name)},{function}'
        return f'{{"tool_calls":[{{"index":{delta.index},{first}"function":{{{function}}}}}]}}'

    def _finish(self, reason: str) -> bytes:
        last = self._chunk("{}", f'"{_finish_reason(reason)}"')
        if not self._head.include_usage:
            return last + _DONE
        usage = to_json(_usage(self._usage))
        return last + f'{self._prefix}"choices":[],"usage":{usage}}}\n\n'.encode() + _DONE

    def _chunk(self, delta: str, finish_reason: str = "null") -> bytes:
        choice = f'{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish_reason}}}'
        return f'{self._prefix}"choices":[{choice}]{self._suffix}'.encode()


def head(request: Request, run: str, created: int) -> Head:
    """Return what the answer to `request` says of itself."""
    return Head(run=run, model=request.model, created=created, include_usage=request.include_usage)


def whole(head: Head, deltas: Iterable[Delta]) -> dict[str, Any]:
    """Return the completion that `deltas` come to."""
    answer = said(deltas)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": answer.text("text") or (None if answer.calls or answer.text("refusal") else ""),
        "refusal": answer.text("refusal") or None,
        "annotations": [],
    }
    if thoughts := answer.text("thinking"):
        message["reasoning_content"] = thoughts
    if answer.calls:
        message["tool_calls"] = [
            {
                "id": _call_id(head, call.call, call.id),
                "type": "function",
                "function": {"name": call.name, "arguments": call.text},
            }
            for call in sorted(answer.calls, key=lambda call: call.call)
        ]
    reason = _finish_reason(answer.reason or "stop")
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    return {**_base(head, "chat.completion"), "choices": [choice], "usage": _usage(answer.usage)}


def error_frame(error: RunError) -> bytes:
    """Return the error as a chunk; no `[DONE]` follows it, since nothing is done."""
    return f"data: {to_json(failure(error))}\n\n".encode()


def _base(head: Head, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{head.run}", "object": kind, "created": head.created, "model": head.model}


def _call_id(head: Head, call: int, given: str) -> str:
    """Return a call's id; some servers give none, but results are told apart by it."""
    return given or f"call_{head.run}_{call}"


def _finish_reason(reason: str) -> str:
    return _FINISH.get(reason, "stop")


def _usage(usage: Usage) -> dict[str, Any]:
    read, written = usage.input_tokens or 0, usage.output_tokens or 0
    read_details = {
        "cached_tokens": usage.cached_input_tokens,
        "cache_write_tokens": usage.cache_creation_input_tokens,
    }
    details = {
        "prompt_tokens_details": {name: count for name, count in read_details.items() if count is not None},
        "completion_tokens_details": (
            {} if usage.reasoning_tokens is None else {"reasoning_tokens": usage.reasoning_tokens}
        ),
    }
    total = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
    return {**total, **{name: counts for name, counts in details.items() if counts}}
