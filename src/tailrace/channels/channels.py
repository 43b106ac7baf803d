"""The channels of a store: publishing to them, and how a reader of one begins."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from tailrace.channels.history import History, history_of
from tailrace.channels.names import entry_of, log_of
from tailrace.channels.publishing import Outcome, Publication, publish_all
from tailrace.channels.several import Beginning, bounds, logs_of, read_several
from tailrace.channels.snapshots import snapshot_event, snapshot_of
from tailrace.channels.state import StateChange, new_state
from tailrace.errors import InvalidName
from tailrace.hub import EventRenderer, Hub, Reading, Tail, control, resume
from tailrace.log import Position, judge
from tailrace.log.positions import positions_in

__all__ = ["Channels"]

RETRY = 2000
"""Milliseconds that a client waits before it comes back; told with a reader's first event."""


class Channels:
    """The channels of a store."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def publish(
        self,
        channel: str,
        data: object,
        event: str | None = None,
        idempotency_key: str | None = None,
        state: StateChange | None = None,
    ) -> Position:
        """Append an event: a string as its text, anything else as compact JSON.

        When this returns, the store has it. The same `idempotency_key` again, while the channel remembers
        it, appends nothing and answers as before. With `state` the channel's state is changed in the same step:
        `data` is the new one (`replace`), or a merge patch for the one that is there (`merge`). Raises
        `InvalidName`, `InvalidEvent`, `StoreUnavailable`.
        """
        log, entry = log_of(channel), entry_of(data, event)
        after = None if state is None else new_state(state, data)
        return await self._hub.store.publish(log, (entry,), idempotency_key, after)

    async def publish_all(
        self, publications: Sequence[Publication], idempotency_key: str | None = None
    ) -> Sequence[Outcome]:
        """Publish to several channels; what became of each event, in order. Of one channel's, all are there or none.

        The same `idempotency_key` again publishes what was not, and nothing else. Raises `InvalidName` and
        `InvalidEvent` before anything is published.
        """
        return await publish_all(self._hub.store, publications, idempotency_key)

    async def read(
        self,
        channel: str,
        cursor: str | None = None,
        *,
        earliest: bool = False,
        snapshot: bool = False,
        only: Iterable[str] = (),
    ) -> Reading:
        """Begin to read on from `cursor`, else live only, or all that is retained with `earliest`.

        With `snapshot`, and no cursor, the channel's state comes as one event, and then what changes it. `only`
        keeps these event types. A cursor that names no place in the channel goes on live, and is told so.
        """
        tail = await self._hub.open_lasting(log_of(channel))
        try:
            after, prelude = await self._begin(tail, channel, Beginning(cursor, earliest, snapshot))
        except BaseException:
            self._hub.close(tail)
            raise
        return Reading(tail, EventRenderer(frozenset(only)), after, prelude, lasting=True)

    async def _begin(self, tail: Tail, channel: str, begin: Beginning) -> tuple[int, bytes]:
        cursor, told = begin.cursor, {"channels": [channel]}
        if cursor is None and begin.snapshot:
            begun = await snapshot_of(self._hub, tail)
            # Without an id: who loses the connection before the snapshot is to get it when it comes back.
            return begun.position.offset, control("ready", told, retry=RETRY) + snapshot_event(begun)
        first, last = bounds(tail, await self._hub.store.ensure(tail.log))
        if cursor is not None:
            verdict = judge(cursor, tail.epoch, first, last)
            self._hub.meter.add("resumes", 1, ("channel", verdict.reason))
            after = tail.head if verdict.after is None else verdict.after
            return after, resume(verdict, Position(tail.epoch, after))
        after = first - 1 if begin.earliest else tail.head
        return after, control("ready", told, position=Position(tail.epoch, after), retry=RETRY)

    async def read_several(
        self,
        channels: Sequence[str],
        cursor: str | None = None,
        *,
        earliest: bool = False,
        snapshot: bool = False,
        only: Iterable[str] = (),
    ) -> Reading:
        """Begin to read several channels as one, as `read` does: each event says which channel it is of.

        A cursor of any set of channels will do; each channel goes on from its own part of it.
        """
        return await read_several(self._hub, channels, Beginning(cursor, earliest, snapshot), only, RETRY)

    async def history(self, channel: str, cursor: str | None = None, limit: int = 1000) -> History:
        """At most `limit` retained events past `cursor`, from the oldest if it names no place in the channel."""
        return await history_of(self._hub.store, log_of(channel), cursor, limit)

    async def histories(
        self, channels: Sequence[str], cursor: str | None = None, limit: int = 1000
    ) -> Mapping[str, History]:
        """The same of several channels, by their names; `limit` is each one's."""
        logs, store = logs_of(channels), self._hub.store
        found = await asyncio.gather(*[history_of(store, log, cursor, limit) for log in logs.values()])
        by_name = dict(zip(logs, found, strict=True))
        return {name: by_name[name] for name in channels}

    async def is_of(self, cursor: str, channels: Sequence[str]) -> bool:
        """Whether a cursor has an id of a history that one of these channels has now. Raises `StoreUnavailable`."""
        positions = positions_in(cursor)
        try:
            logs = logs_of(channels).values()
        except InvalidName:
            return False
        for log in logs if positions is not None else ():
            tail = await self._hub.open(log)
            if tail is not None:
                self._hub.close(tail)
                if positions is not None and tail.epoch in positions:
                    return True
        return False

    async def drop(self, channel: str) -> Position:
        """Delete a channel's history: it goes on, empty, as a new epoch, and its readers are told."""
        head = await self._hub.store.drop(log_of(channel))
        return Position(head.epoch, head.last)
