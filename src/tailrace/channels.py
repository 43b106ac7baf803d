"""Channels: named logs without an end, that anybody may publish to and read from.

What a channel and an event may be called, how published data becomes text, and how a reader begins.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tailrace.errors import InvalidEvent, InvalidName
from tailrace.hub import EventRenderer, Hub, Reading, Tail, control, resume
from tailrace.log import Entry, Position, Record, Verdict, judge
from tailrace.sse import Event

__all__ = ["RESERVED", "Channels", "History"]

RESERVED = frozenset({"ready", "resume", "gap", "cursor", "snapshot", "reconnect"})
"""Event names that Tailrace says itself."""

RETRY = 2000
"""Milliseconds that a client waits before it comes back; told with a reader's first event."""

_NAME = re.compile(r"[A-Za-z0-9._~:-]{1,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class History:
    """Retained events, the position behind the last of them, and what became of the cursor, where there was one."""

    records: Sequence[Record]
    position: Position
    verdict: Verdict | None


class Channels:
    """The channels of a store."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def publish(
        self, channel: str, data: object, event: str | None = None, idempotency_key: str | None = None
    ) -> Position:
        """Append an event: a string as its text, anything else as compact JSON.

        When this returns, the store has it. The same `idempotency_key` again, while the channel remembers
        it, appends nothing and answers as before. Raises `InvalidName`, `InvalidEvent`, `StoreUnavailable`.
        """
        entry = Entry(_event_name(event), _text(data))
        return await self._hub.store.publish(_log(channel), (entry,), idempotency_key)

    async def read(
        self, channel: str, cursor: str | None = None, *, earliest: bool = False, only: Iterable[str] = ()
    ) -> Reading:
        """Begin to read on from `cursor`, else live only, or all that is retained with `earliest`.

        `only` keeps these event types. A cursor that names no place in the channel goes on live, and is told so.
        """
        tail = await self._open(channel)
        try:
            head = await self._hub.store.ensure(_log(channel))
        except BaseException:
            self._hub.close(tail)
            raise
        # The store may be ahead of what this process was told, and so may a cursor from another one.
        first, last = (head.first, max(head.last, tail.head)) if head.epoch == tail.epoch else (1, tail.head)
        if cursor is not None:
            verdict = judge(cursor, tail.epoch, first, last)
            after = tail.head if verdict.after is None else verdict.after
            prelude = resume(verdict, Position(tail.epoch, after))
        else:
            after = first - 1 if earliest else tail.head
            position = Position(tail.epoch, after)
            prelude = control("ready", {"channels": [channel]}, position=position, retry=RETRY)
        return Reading(tail, EventRenderer(frozenset(only)), after, prelude, lasting=True)

    async def _open(self, channel: str) -> Tail:
        tail = await self._hub.open(_log(channel), create=True)
        while tail is None:  # deleted and forgotten in the moment of opening
            tail = await self._hub.open(_log(channel), create=True)
        return tail

    async def history(self, channel: str, cursor: str | None = None, limit: int = 1000) -> History:
        """At most `limit` retained events past `cursor`, from the oldest if it names no place in the channel."""
        log = _log(channel)
        head = await self._hub.store.ensure(log)
        verdict = judge(cursor, head.epoch, head.first, head.last) if cursor is not None else None
        after = verdict.after if verdict is not None and verdict.after is not None else head.first - 1
        page = await self._hub.store.read(log, after, limit)
        records = page.records if page is not None and page.head.epoch == head.epoch else ()
        return History(records, Position(head.epoch, records[-1].offset if records else after), verdict)

    async def drop(self, channel: str) -> Position:
        """Delete a channel's history: it goes on, empty, as a new epoch, and its readers are told."""
        head = await self._hub.store.drop(_log(channel))
        return Position(head.epoch, head.last)


def _log(channel: str) -> str:
    if not _NAME.fullmatch(channel) or channel in {".", ".."}:
        raise InvalidName("a channel's name is 1 to 128 of A-Z a-z 0-9 . _ ~ : - (and not . or ..)")
    return f"channel:{channel}"


def _event_name(event: str | None) -> str:
    if event is None:
        return ""
    if event in RESERVED:
        raise InvalidName(f"the event name {event!r} is one of Tailrace's own: {', '.join(sorted(RESERVED))}")
    if not 1 <= len(event) <= 128:
        raise InvalidName("an event's name has 1 to 128 characters")
    named = Event("", event=event).event
    return "" if named == "message" else named


def _text(data: object) -> str:
    if isinstance(data, str):
        text = data
    else:
        try:
            text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidEvent(f"data must be a string or a JSON value: {error}") from error
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidEvent("data has half of a surrogate pair, which UTF-8 cannot say") from error
    return text
