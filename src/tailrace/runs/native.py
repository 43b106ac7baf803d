"""The native dialect: what a run says, as the events that Tailrace's own clients read.

A run's record is one such event, so writing it is done once, when it is appended, and reading a run
back (its state, a snapshot of its text) is folding its records.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from json.encoder import encode_basestring
from typing import Any

from tailrace.errors import ErrorType, RunError
from tailrace.log import Entry, Record
from tailrace.runs.deltas import Text, Thinking, ToolCall
from tailrace.runs.states import Status, ending
from tailrace.sse import encode_block

__all__ = ["DONE", "NativeRenderer", "Summary", "entry", "error_entry", "finish_entry", "start_entry"]

DONE = Entry("done", "[DONE]")
"""The last record of every run."""

RETRY = 2000
"""Milliseconds that a client waits before it comes back; told with a run's first event."""


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def entry(delta: Text | Thinking | ToolCall) -> Entry:
    """A piece of an answer as the record that says it."""
    # Written by hand for the two that come by the thousand: a fifth of what json.dumps takes for a dict.
    if isinstance(delta, Text):
        return Entry("", f'{{"text":{encode_basestring(delta.text)}}}')
    if isinstance(delta, Thinking):
        return Entry("thinking", f'{{"text":{encode_basestring(delta.text)}}}')
    return Entry(
        "tool", _json({"index": delta.index, "id": delta.id, "name": delta.name, "arguments": delta.arguments})
    )


def start_entry(run: str, model: str) -> Entry:
    """A run's first record."""
    return Entry("start", _json({"run": run, "model": model}))


def finish_entry(reason: str, usage: dict[str, Any], model: str, provider: str) -> Entry:
    """What is said when the model ended by itself."""
    return Entry("finish", _json({"finish_reason": reason, "usage": usage, "model": model, "provider": provider}))


def error_entry(error: RunError) -> Entry:
    """What is said when a run ends in another way."""
    return Entry(
        "error", _json({"error": {"type": error.type, "message": error.message, "retryable": error.retryable}})
    )


@dataclass(frozen=True, slots=True)
class NativeRenderer:
    """Shows a run's records as they are; the first one tells the client how long to wait before coming back."""

    @property
    def hides(self) -> bool:
        """A record without data moves the cursor unseen, but never for long: the terminal is shown."""
        return False

    def render(self, epoch: str, record: Record) -> bytes:
        """One event, or nothing."""
        if record.data is None:
            return b""
        retry = RETRY if record.event == "start" else None
        return encode_block(record.data, record.event, f"{epoch}-{record.offset}", retry)


@dataclass(slots=True)
class Summary:
    """What a run's records come to so far."""

    model: str = ""
    provider: str = ""
    status: Status = Status.RUNNING
    text: list[str] = field(default_factory=list)
    thinking: list[str] = field(default_factory=list)
    finish_reason: str | None = None
    usage: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    created: float | None = None
    ended: float | None = None

    def add(self, records: Iterable[Record]) -> None:
        """Take the next records, in order."""
        for record in records:
            if record.data is None:
                continue
            if record.event == "":
                self.text.append(json.loads(record.data)["text"])
            elif record.event == "thinking":
                self.thinking.append(json.loads(record.data)["text"])
            else:
                self._add_event(record, record.data)

    def _add_event(self, record: Record, data: str) -> None:
        match record.event:
            case "start":
                self.model = json.loads(data)["model"]
                self.created = record.at
            case "finish":
                finish = json.loads(data)
                self.finish_reason, self.usage = finish["finish_reason"], finish["usage"]
                self.model, self.provider = finish["model"], finish["provider"]
                self.status = Status.FINISHED
            case "error":
                self.error = json.loads(data)["error"]
                self.status = ending(ErrorType(self.error["type"]))
            case "done":
                self.ended = record.at
