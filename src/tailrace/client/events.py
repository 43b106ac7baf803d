"""What the client hands to its user: the events of a channel and the events of an answer."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ChatEvent", "Finish", "Gap", "Message", "Restart", "Snapshot", "Start", "Text", "Thinking", "Tool"]


@dataclass(frozen=True, slots=True)
class Message:
    """An event as it was published; `id` is the cursor to come back with, empty where there is none.

    `channel` tells which one it is of where several are followed on one connection, else it is empty.
    """

    data: str
    event: str = "message"
    id: str = ""
    channel: str = ""

    def json(self) -> Any:
        """Return `data` read as JSON. Raises ValueError where it is none."""
        return json.loads(self.data)


@dataclass(frozen=True, slots=True)
class Gap(Message):
    """Events are missing here: `missed` of them, None where nobody can tell; `reason` is the server's word.

    It stands in the order of the events, so that nobody who reads them can fail to be told.
    """

    missed: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Start:
    """The run has begun; `model` is what answers."""

    run: str
    model: str


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the answer's text; `refusal` where the model says why it will not answer."""

    text: str
    refusal: bool = False


@dataclass(frozen=True, slots=True)
class Thinking:
    """A piece of the model's reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class Tool:
    """A fragment of a tool call: `index` tells parallel calls apart, `arguments` is the next piece of its JSON."""

    index: int
    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Restart:
    """Discard what was said so far: for `reason` the answer begins anew.

    With another model, where one broke; or, with neither `provider` nor `model`, from its start: its reader came
    with a cursor that names no place in it.
    """

    provider: str
    model: str
    reason: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that was said before this, in one event; only where `attach` asked for it."""

    text: str
    thinking: str = ""


@dataclass(frozen=True, slots=True)
class Finish:
    """The model ended by itself. `usage` has `input_tokens`, `output_tokens` and `estimated`, as the server sent it."""

    finish_reason: str
    usage: dict[str, Any] = field(default_factory=dict)
    model: str = ""
    provider: str = ""


ChatEvent = Start | Text | Thinking | Tool | Restart | Snapshot | Finish
