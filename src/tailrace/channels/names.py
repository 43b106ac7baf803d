"""What channels and their events may be called, and how published data becomes a record."""

from __future__ import annotations

import json
import re
from typing import Final

from tailrace.errors import InvalidEvent, InvalidName
from tailrace.log import Entry
from tailrace.log.content import as_json
from tailrace.sse import Event

__all__ = ["RESERVED", "entry_of", "json_of", "log_of"]

RESERVED = frozenset({"ready", "resume", "gap", "cursor", "snapshot", "reconnect"})
"""Event names that Tailrace says itself."""

_NAME: Final = re.compile(r"[A-Za-z0-9._~:-]{1,128}", re.ASCII)


def log_of(channel: str) -> str:
    """The log of a channel. Raises `InvalidName`."""
    if not _NAME.fullmatch(channel) or channel in {".", ".."}:
        raise InvalidName("a channel's name is 1 to 128 of A-Z a-z 0-9 . _ ~ : - (and not . or ..)")
    return f"channel:{channel}"


def entry_of(data: object, event: str | None) -> Entry:
    """An event as its record will hold it: a string as its text, anything else as compact JSON.

    Raises `InvalidName`, `InvalidEvent`.
    """
    name = _event_name(event)
    if isinstance(data, str):
        return Entry(name, _sayable(data))
    return Entry(as_json(name), json_of(data))


def _event_name(event: str | None) -> str:
    if event is None:
        return ""
    if event in RESERVED:
        raise InvalidName(f"the event name {event!r} is one of Tailrace's own: {', '.join(sorted(RESERVED))}")
    if not 1 <= len(event) <= 128:
        raise InvalidName("an event's name has 1 to 128 characters")
    named = Event("", event=event).event
    return "" if named == "message" else named


def json_of(data: object) -> str:
    """A value as compact JSON. Raises `InvalidEvent` where it is none, or has what UTF-8 cannot say."""
    try:
        return _sayable(json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False))
    except InvalidEvent:
        raise
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidEvent(f"data must be a string or a JSON value: {error}") from error


def _sayable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidEvent("data has half of a surrogate pair, which UTF-8 cannot say") from error
    return text
