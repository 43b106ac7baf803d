"""What a run's records come to: its state, and what was said so far."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tailrace.errors import ErrorType
from tailrace.log import RESERVED, Record
from tailrace.runs.frames import SEPARATOR, native_part
from tailrace.runs.states import Status, ending

__all__ = ["Summary"]


@dataclass(slots=True)
class Summary:
    """What a run's records come to so far.

    `spoken` is the offset of the last record before those that tell the end, `created` and `ended` are
    seconds since the epoch; nobody knows when that was `created` of which the store has nothing but an end.
    `first_token` and `seconds` (how long until something was said, and in all) and
    `attempts` (who was tried) are known once it has ended.
    """

    model: str = ""
    provider: str = ""
    status: Status = Status.RUNNING
    finish_reason: str | None = None
    usage: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    first_token: float | None = None
    seconds: float | None = None
    attempts: list[dict[str, Any]] = field(default_factory=list)
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
            data = record.data
            if data is not None:
                self._add(record.event, native_part(data) if SEPARATOR in data else data, record.at)

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
            case "restart":
                self._text, self._thinking, self._tools = [], [], {}
            case "finish" | "error":
                self._add_ending(event, json.loads(data))

    def _add_fragment(self, fragment: dict[str, Any]) -> None:
        call = self._tools.setdefault(fragment["index"], _Call())
        call.id = fragment["id"] or call.id
        call.name = fragment["name"] or call.name
        call.arguments.append(fragment["arguments"])

    def _add_ending(self, event: str, said: dict[str, Any]) -> None:
        if event == "finish":
            self.finish_reason = said["finish_reason"]
            self.status = Status.FINISHED
        else:
            self.error = said["error"]
            self.status = ending(ErrorType(said["error"]["type"]))
        # Whoever ends a run in its producer's place knows nothing of all this.
        self.usage = said.get("usage")
        self.model, self.provider = said.get("model", self.model), said.get("provider", self.provider)
        self.first_token, self.seconds = said.get("first_token"), said.get("seconds")
        self.attempts = said.get("attempts", [])


@dataclass(slots=True)
class _Call:
    """A tool call whose fragments are being put together."""

    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


_ENDING = frozenset({"finish", "error", "done"})
