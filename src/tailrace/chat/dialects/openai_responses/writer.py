"""Writing an answer as a Responses stream: events that are counted from 0, one output item after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tailrace.chat.dialects.frames import named, quoted, to_json
from tailrace.chat.dialects.openai_errors import failure
from tailrace.chat.dialects.openai_responses.objects import begun, ended, failed, item_of, part_of, state_of
from tailrace.chat.dialects.segments import Segments
from tailrace.chat.dialects.telling import Teller

if TYPE_CHECKING:
    from tailrace.chat.dialects.segments import Segment, Step
    from tailrace.chat.dialects.writing import Head
    from tailrace.errors import RunError
    from tailrace.runs.deltas import Text, Thinking, ToolCall

__all__ = ["ResponsesWriter", "error_event", "numbered_event"]

_DELTAS = {
    "text": "response.output_text.delta",
    "refusal": "response.refusal.delta",
    "thinking": "response.reasoning_summary_text.delta",
    "call": "response.function_call_arguments.delta",
}
_DONES = {
    "text": ("response.output_text.done", "text"),
    "refusal": ("response.refusal.done", "refusal"),
    "thinking": ("response.reasoning_summary_text.done", "text"),
    "call": ("response.function_call_arguments.done", "arguments"),
}


class ResponsesWriter(Teller):
    """Writes one stream of events."""

    def __init__(self, head: Head) -> None:
        super().__init__(head)
        self._next = 0  # the next event's number
        self._segments = Segments()
        self._place_json = ""  # of the segment that is being told, as all its deltas repeat it

    def _opening(self) -> bytes:
        response = begun(self._head)
        return self._event("response.created", response=response) + self._event(
            "response.in_progress", response=response
        )

    def _say(self, delta: Text | Thinking | ToolCall) -> bytes:
        return b"".join([self._step(step, "completed") for step in self._segments.take(delta)])

    def _failure(self, error: RunError) -> bytes:
        """Write `response.failed`, which tells all but raises nothing, and the `error` on which the SDK raises."""
        opening = self.open()
        response = failed(self._head, self._segments.told, self._usage, error)
        return opening + self._event("response.failed", response=response) + error_event(error, self._next)

    def _finish(self, reason: str) -> bytes:
        state, steps = state_of(reason), self._segments.finish()
        last = len(self._segments.told) - 1
        written = [self._step(step, state if step.segment.index == last else "completed") for step in steps]
        response = ended(self._head, self._segments.told, self._usage, reason)
        return b"".join([*written, self._event(f"response.{state}", response=response)])

    def _step(self, step: Step, status: str) -> bytes:
        if step.what == "piece":
            return self._delta(step.segment, step.piece)
        return self._begin(step.segment) if step.what == "begin" else self._end(step.segment, status)

    def _delta(self, segment: Segment, piece: str) -> bytes:
        # Written by hand: nearly every event of an answer is one.
        kind = _DELTAS[segment.kind]
        logprobs = ',"logprobs":[]' if segment.kind == "text" else ""
        data = (
            f'{{"type":"{kind}","sequence_number":{self._next},{self._place_json},"delta":{quoted(piece)}{logprobs}}}'
        )
        self._next += 1
        return named(kind, data)

    def _begin(self, segment: Segment) -> bytes:
        self._place_json = to_json(self._place(segment))[1:-1]
        item = item_of(self._head, segment, "in_progress", "")
        added = self._event("response.output_item.added", output_index=segment.index, item=item)
        if segment.kind == "call":
            return added
        kind = "reasoning_summary_part" if segment.kind == "thinking" else "content_part"
        return added + self._event(f"response.{kind}.added", **self._place(segment), part=part_of(segment, ""))

    def _end(self, segment: Segment, status: str) -> bytes:
        text = segment.text
        kind, field = _DONES[segment.kind]
        more: dict[str, Any] = {"logprobs": []} if segment.kind == "text" else {}
        if segment.kind == "call":
            more = {"name": segment.name}
        done = self._event(kind, **self._place(segment), **{field: text}, **more)
        if segment.kind != "call":
            part = "reasoning_summary_part" if segment.kind == "thinking" else "content_part"
            done += self._event(f"response.{part}.done", **self._place(segment), part=part_of(segment, text))
        item = item_of(self._head, segment, status, text)
        return done + self._event("response.output_item.done", output_index=segment.index, item=item)

    def _place(self, segment: Segment) -> dict[str, Any]:
        """Return where a segment's text goes: its item, and in it its only part, unless it is a call."""
        place = {"item_id": item_of(self._head, segment, "in_progress", "")["id"], "output_index": segment.index}
        part = {} if segment.kind == "call" else {_PART_INDEX.get(segment.kind, "content_index"): 0}
        return place | part

    def _event(self, kind: str, **fields: Any) -> bytes:
        number, self._next = self._next, self._next + 1
        return numbered_event(kind, number, fields)


_PART_INDEX = {"thinking": "summary_index"}


def numbered_event(kind: str, number: int, fields: dict[str, Any]) -> bytes:
    """Return one event's block."""
    return named(kind, to_json({"type": kind, "sequence_number": number, **fields}))


def error_event(error: RunError, number: int) -> bytes:
    """Return the `error` event as documented, and nested in it the form that the service sends and the SDK reads."""
    told = failure(error)
    flat = {name: told["error"][name] for name in ("code", "message", "param")}
    return numbered_event("error", number, {**flat, **told})
