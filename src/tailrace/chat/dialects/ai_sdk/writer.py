"""Writing an answer as a UI message stream: a message of one step, part by part.

    stop                        stop
    length                      length
    tool_calls                  tool-calls
    content_filter, refusal     content-filter
    pause, any other word       other: the SDK's list is closed

An answer that was cancelled ends with `abort`, which is how the SDK has it: a page that watches keeps what was said and
shows no error. Tokens are not told: only `messageMetadata` could hold them, whose shape is the page's own matter.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tailrace.chat.dialects.ai_sdk.reader import continued
from tailrace.chat.dialects.ai_sdk.retelling import chunks_of
from tailrace.chat.dialects.frames import quoted, to_json
from tailrace.chat.dialects.segments import Segments
from tailrace.chat.dialects.telling import Teller
from tailrace.chat.dialects.writing import Head
from tailrace.errors import ErrorType

if TYPE_CHECKING:
    from tailrace.chat.dialects.request import Request
    from tailrace.chat.dialects.segments import Segment, Step
    from tailrace.errors import RunError
    from tailrace.runs.deltas import Text, Thinking, ToolCall

__all__ = ["UiWriter", "head", "retold"]

_DONE: Final = b"data: [DONE]\n\n"
_START_STEP: Final = b'data: {"type":"start-step"}\n\n'
_FINISH_STEP: Final = b'data: {"type":"finish-step"}\n\n'

_REASONS: Final = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool-calls",
    "content_filter": "content-filter",
    "refusal": "content-filter",
}
_PARTS: Final = {"text": "text", "refusal": "text", "thinking": "reasoning"}

_MOST_BEFORE: Final = 65_536
"""Characters of what a message held that are kept with an answer that continues it, to be told again."""

_MESSAGE, _BEFORE, _RETOLD = "message", "before", "retold"
"""What a head says beside the usual: the message that the answer continues, what that held, and whether to tell it."""


def head(request: Request, run: str, created: int) -> Head:
    """Return what the answer to `request` says of itself."""
    message, echo = continued(request.body), {}
    if message is not None:
        echo[_MESSAGE] = message["id"]
        if len(to_json(message["parts"])) <= _MOST_BEFORE:
            echo[_BEFORE] = message["parts"]
    return Head(run=run, model=request.model, created=created, echo=echo)


def retold(head: Head) -> Head:
    """Return the head of the same answer for a page that begins with nothing.

    The SDK then rebuilds the whole message from what comes, so that what an answer continues is told again before it.
    """
    return replace(head, echo={**head.echo, _RETOLD: True})


class UiWriter(Teller):
    """Writes one stream of chunks, one part after the other."""

    def __init__(self, head: Head) -> None:
        super().__init__(head)
        self._segments = Segments()

    def _opening(self) -> bytes:
        echo = self._head.echo
        start = _chunk({"type": "start", "messageId": echo.get(_MESSAGE) or f"msg_{self._head.run}"})
        before = chunks_of(echo[_BEFORE]) if _RETOLD in echo and _BEFORE in echo else ()
        return b"".join([start, *map(_chunk, before), _START_STEP])

    def _say(self, delta: Text | Thinking | ToolCall) -> bytes:
        return b"".join(map(self._step, self._segments.take(delta)))

    def _step(self, step: Step) -> bytes:
        if step.segment.kind == "call":
            return self._step_of_call(step)
        name, part = _PARTS[step.segment.kind], f"{step.segment.index}"
        if step.what == "piece":
            return f'data: {{"type":"{name}-delta","id":"{part}","delta":{quoted(step.piece)}}}\n\n'.encode()
        word = "start" if step.what == "begin" else "end"
        return f'data: {{"type":"{name}-{word}","id":"{part}"}}\n\n'.encode()

    def _step_of_call(self, step: Step) -> bytes:
        segment = step.segment
        call = segment.id or f"call_{self._head.run}_{segment.call}"
        if step.what == "piece":
            return _chunk({"type": "tool-input-delta", "toolCallId": call, "inputTextDelta": step.piece})
        said = {"toolCallId": call, "toolName": segment.name}
        if step.what == "begin":
            return _chunk({"type": "tool-input-start", **said})
        return _input_of(segment, said)

    def _finish(self, reason: str) -> bytes:
        steps = [self._step(step) for step in self._segments.finish()]
        ending = _chunk({"type": "finish", "finishReason": _REASONS.get(reason, "other")})
        return b"".join([*steps, _FINISH_STEP, ending, _DONE])

    def _failure(self, error: RunError) -> bytes:
        if error.type == ErrorType.CALLER_CANCELLED:
            told = {"type": "abort", "reason": error.message}
        else:
            told = {"type": "error", "errorText": error.message}
        return self.open() + _chunk(told) + _DONE


def _input_of(segment: Segment, said: dict[str, str]) -> bytes:
    """Write a call's whole input, as the model wrote it: to read and write numbers anew would change some."""
    written = segment.text.strip() or "{}"
    try:
        msgspec.json.decode(written)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        why = "the model called this tool with what is no JSON"
        return _chunk({"type": "tool-input-error", **said, "input": segment.text, "errorText": why})
    # Between its tokens JSON may have line ends, which end a line of the stream; within them there are none.
    given = msgspec.Raw(written.replace("\r", " ").replace("\n", " ").encode())
    return _chunk({"type": "tool-input-available", **said, "input": given})


def _chunk(chunk: dict[str, Any]) -> bytes:
    return f"data: {to_json(chunk)}\n\n".encode()
