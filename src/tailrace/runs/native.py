"""The native dialect: what a run says, as the events that Tailrace's own clients read.

A run's record is one such event, so writing it is done once, when it is appended, and reading a run
back (its state, a snapshot of its text) is folding its records.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from json.encoder import encode_basestring
from typing import Any

from tailrace.errors import ErrorType, RunError
from tailrace.log import RESERVED, Record
from tailrace.runs.deltas import Text, Thinking, ToolCall
from tailrace.runs.states import Status, ending
from tailrace.sse import encode_block

__all__ = [
    "DONE",
    "NativeRenderer",
    "Said",
    "Summary",
    "entry",
    "error_entry",
    "finish_entry",
    "interruption",
    "start_entry",
]

Said = tuple[str, str]
"""A record's event and data, before it has its place."""

DONE: Said = ("done", "[DONE]")
"""The last record of every run."""

RETRY = 2000
"""Milliseconds that a client waits before it comes back; told with a run's first event."""


_dump = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def _json(value: object) -> str:
    return _sayable(_dump(value))


def _quote(text: str) -> str:
    return encode_basestring(text if text.isascii() else _sayable(text))


def _sayable(text: str) -> str:
    """The text, with U+FFFD for each half of a surrogate pair that stands alone: UTF-8 cannot say it.

    Producers that split text by UTF-16 units bring such halves; two that meet become the character they are.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def entry(delta: Text | Thinking | ToolCall) -> Said:
    """A piece of an answer as the record that says it."""
    # Written by hand, as what comes with each run is: a fifth of what json.dumps takes for a dict.
    if isinstance(delta, Text):
        return ("", f'{{"text":{_quote(delta.text)}}}')
    if isinstance(delta, Thinking):
        return ("thinking", f'{{"text":{_quote(delta.text)}}}')
    return ("tool", _json({"index": delta.index, "id": delta.id, "name": delta.name, "arguments": delta.arguments}))


def start_entry(run: str, model: str) -> Said:
    """A run's first record."""
    return ("start", f'{{"run":"{run}","model":{_quote(model)}}}')


def finish_entry(reason: str, usage: dict[str, int | bool], model: str, provider: str) -> Said:
    """What is said when the model ended by itself."""
    estimated = "true" if usage["estimated"] else "false"
    tokens = f'"input_tokens":{usage["input_tokens"]},"output_tokens":{usage["output_tokens"]}'
    said = f'"finish_reason":{_quote(reason)},"usage":{{{tokens},"estimated":{estimated}}}'
    return ("finish", f'{{{said},"model":{_quote(model)},"provider":{_quote(provider)}}}')


def error_entry(error: RunError, usage: dict[str, Any] | None) -> Said:
    """What is said when a run ends in another way; what was said before has its price too, where it is known."""
    told = {"type": error.type, "message": error.message, "retryable": error.retryable}
    return ("error", _json({"error": told} if usage is None else {"error": told, "usage": usage}))


_DIED = "the server that produced this answer died; what it had said is kept"


def interruption(message: str = _DIED, usage: dict[str, Any] | None = None) -> tuple[Said, Said]:
    """The end of a run that its producer could not end, as whoever finds it says it; by default, that it died."""
    return error_entry(RunError(ErrorType.TAILRACE_INTERRUPTED, message), usage), DONE


@dataclass(frozen=True, slots=True)
class NativeRenderer:
    """Shows a run's records as they are; the first one tells the client how long to wait before coming back."""

    @property
    def hides(self) -> bool:
        """A record without data moves the cursor unseen, but never for long: the terminal is shown."""
        return False

    def render(self, epoch: str, records: Sequence[Record]) -> list[bytes]:
        """An event for each, or nothing."""
        # A record's data is JSON on one line, so a piece of text needs no look for line ends: half the time.
        id_field = f"id: {epoch}-"
        return [
            f"{id_field}{offset}\ndata: {data}\n\n".encode()
            if not event and data is not None
            else _named(epoch, offset, event, data)
            for offset, event, data, _ in records
        ]


def _named(epoch: str, offset: int, event: str, data: str | None) -> bytes:
    if data is None:
        return b""
    return encode_block(data, event, f"{epoch}-{offset}", RETRY if event == "start" else None)


@dataclass(slots=True)
class Summary:
    """What a run's records come to so far.

    `spoken` is the offset of the last record before those that tell the end, `created` and `ended` are
    seconds since the epoch. Nobody knows when that was `created` of which the store has nothing but an end.
    """

    model: str = ""
    provider: str = ""
    status: Status = Status.RUNNING
    finish_reason: str | None = None
    usage: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    created: float | None = None
    ended: float | None = None
    spoken: int = 0
    _text: list[str] = field(default_factory=list)
    _thinking: list[str] = field(default_factory=list)
    _tools: dict[int, _Call] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The answer's text."""
        return "".join(self._text)

    @property
    def thinking(self) -> str:
        """The model's reasoning."""
        return "".join(self._thinking)

    @property
    def tools(self) -> list[dict[str, Any]]:
        """The tool calls, each put together from its fragments."""
        return [
            {"index": index, "id": call.id, "name": call.name, "arguments": "".join(call.arguments)}
            for index, call in self._tools.items()
        ]

    def snapshot(self) -> dict[str, Any]:
        """What was said, for a reader who begins in the middle."""
        said: dict[str, Any] = {"text": self.text, "thinking": self.thinking}
        return said | {"tools": self.tools} if self._tools else said

    def add(self, records: Iterable[Record]) -> None:
        """Take the next records, in order."""
        for record in records:
            if self.created is None and record.offset <= RESERVED:
                self.created = record.at
            if record.event not in _ENDING:
                self.spoken = record.offset
            if record.data is not None:
                self._add(record.event, record.data, record.at)

    def _add(self, event: str, data: str, at: float) -> None:
        match event:
            case "":
                self._text.append(json.loads(data)["text"])
            case "thinking":
                self._thinking.append(json.loads(data)["text"])
            case "tool":
                self._add_fragment(json.loads(data))
            case "start":
                self.model = json.loads(data)["model"]
            case "done":
                self.ended = at
            case _:
                self._add_ending(event, json.loads(data))

    def _add_fragment(self, fragment: dict[str, Any]) -> None:
        call = self._tools.setdefault(fragment["index"], _Call())
        call.id = fragment["id"] or call.id
        call.name = fragment["name"] or call.name
        call.arguments.append(fragment["arguments"])

    def _add_ending(self, event: str, said: dict[str, Any]) -> None:
        if event == "finish":
            self.finish_reason, self.usage = said["finish_reason"], said["usage"]
            self.model, self.provider = said["model"], said["provider"]
            self.status = Status.FINISHED
        elif event == "error":
            self.error, self.usage = said["error"], said.get("usage")
            self.status = ending(ErrorType(said["error"]["type"]))


@dataclass(slots=True)
class _Call:
    """A tool call whose fragments are being put together."""

    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


_ENDING = frozenset({"finish", "error", "done"})
