"""Handing on a Responses stream as it came, and taking the whole response out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from tailrace.chat.dialects.frames import COMMENT, raw
from tailrace.chat.dialects.openai_responses.objects import error_of
from tailrace.chat.dialects.openai_responses.writer import error_event, numbered_event

if TYPE_CHECKING:
    from tailrace.chat.dialects.writing import Head
    from tailrace.errors import RunError
    from tailrace.sse import Event

__all__ = ["ResponsesAccumulator", "ResponsesRelay", "relayed"]


class _Frame(msgspec.Struct):
    type: str = ""
    sequence_number: int = -1
    response: dict[str, Any] | None = None
    output_index: int = 0
    item: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(_Frame).decode
_END_MARK = "[DONE]"
_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})
_READ = _ENDS | {"response.output_item.done", "message"}
"""Events by name, which some servers leave out: their data has it as `type` as well."""


def relayed(event: Event) -> bool:
    """Tell whether a client is to see the event: not where it has no content, or is chat.completions' end mark.

    The SDK takes that mark for a good end, though the API has none such: the response's own end counts.
    """
    return bool(event.data) and not event.data.startswith(_END_MARK)


class ResponsesRelay:
    """Hands on one stream of events."""

    keep_alive = COMMENT

    def __init__(self, head: Head) -> None:
        self._first = self._last = ""

    def write(self, event: Event) -> bytes:
        """Return the event's block as it came, or nothing."""
        if not relayed(event):
            return b""
        self._first = self._first or event.data
        self._last = event.data
        return raw(event)

    def fail(self, error: RunError) -> bytes:
        """Return `response.failed`, where the response was begun, and the `error` event; their numbers go on."""
        number = _read(self._last).sequence_number + 1
        begun = _read(self._first).response
        if begun is None:
            return error_event(error, number)
        response = {**begun, "status": "failed", "error": error_of(error)}
        return numbered_event("response.failed", number, {"response": response}) + error_event(error, number + 1)


class ResponsesAccumulator:
    """Takes the response out of the last event; some servers leave its output to the events before."""

    def __init__(self) -> None:
        self._response: dict[str, Any] = {}
        self._items: dict[int, dict[str, Any]] = {}

    def add(self, event: Event) -> None:
        """Take the next event."""
        if event.event not in _READ or not relayed(event):
            return
        frame = _read(event.data)
        if frame.type == "response.output_item.done" and frame.item is not None:
            self._items[frame.output_index] = frame.item
        elif frame.type in _ENDS:
            self._response = frame.response or {}

    def whole(self) -> dict[str, Any]:
        """Return the response."""
        output = self._response.get("output") or [self._items[index] for index in sorted(self._items)]
        return {**self._response, "output": output}


def _read(data: str) -> _Frame:
    """Read what all frames have in common; nothing is known of one that has it in another shape."""
    try:
        return _decode(data)
    except msgspec.DecodeError:
        return _Frame()
