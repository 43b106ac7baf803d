"""What can be done to a log in Redis, each a call or a few in one pipeline.

Who is told of it here is left to `following`.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final
from weakref import WeakValueDictionary

from tailrace.clock import Clock
from tailrace.errors import StoreUnavailable
from tailrace.log.position import Position, new_epoch
from tailrace.log.record import Entry, Record
from tailrace.log.redis.calls import Call, Calls, Turn, Word
from tailrace.log.redis.keys import Keys
from tailrace.log.redis.known import Known
from tailrace.log.redis.messages import decoded, encoded, pack, pack_all
from tailrace.log.redis.pieces import Piece, grouped, joined
from tailrace.log.redis.scripts import Scripts
from tailrace.log.redis.states import State, records_of, state_of
from tailrace.log.retention import Retention
from tailrace.log.state import STATE_KEPT, Fold, NewState, Snapshot
from tailrace.log.store import RESERVED, Batch, Page

__all__ = ["Logs", "milliseconds"]

_FOR_GOOD: Final = 30 * 86_400.0
"""Seconds that is kept what has no bound: every key expires, so that nothing stays that nobody knows of."""
_RUN: Final = 86_400.0
"""Seconds that a run lives after it has last said something."""
_EPOCH_KEPT: Final = 3600.0
"""Seconds that a channel keeps its epoch after its last record has gone: readers hold cursors in it."""
_PAGE_BYTES: Final = 1_048_576
"""About what a page holds: its reply takes the server, the connection and this process some milliseconds."""
_FEW: Final = 2
"""Records that are read without a look at how large they are."""
_STAYS: Final = ""
_ANY: Final = "*"
"""In the place of a state's version: the new state is made of no other."""
_FOLDS: Final = 100
"""Attempts at changing a state that other instances change at the same time; of those who compete, one always does."""
_LOOKS: Final = 5
"""Attempts at reading a page of one moment while somebody drops or trims the log."""


def milliseconds(seconds: float | None) -> int:
    """A time to live as Redis takes it; None is as long as anything lives there."""
    return int((_FOR_GOOD if seconds is None else seconds) * 1000)


class Logs:
    """The logs of one store. `known` is what their publishers and readers here have seen of them."""

    def __init__(self, calls: Calls, keys: Keys, scripts: Scripts, retention: Retention, clock: Clock) -> None:
        self.known = Known()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # whose state is being changed
        self._calls = calls
        self._keys = keys
        self._scripts = scripts
        self._clock = clock
        self._kept = retention.events or 0
        self._held = retention.bytes or 0
        self._age = milliseconds(retention.age)
        self._alive = milliseconds(None if retention.age is None else retention.age + _EPOCH_KEPT)

    # Writing.

    async def create(self, log: str, epoch: str, meta: str, first: Sequence[Record], note: Call) -> None:
        """Begin a run's log. `note` is called before it, in the same pipeline."""
        packed = [pack(event, data, at) for _, event, data, at in first]
        arguments: Sequence[Word] = (epoch, encoded(meta), milliseconds(_RUN), *packed)
        await self._calls.run((note, Call(self._scripts.create, self._keys.log(log), arguments)))

    async def publish(
        self, log: str, entries: Sequence[Entry], operation: str | None, state: NewState | None = None
    ) -> Position:
        """Append to a channel; what makes a new state of the one before is called until nobody else was quicker."""
        self._calls.admit(Turn.EVENTS)  # first, as what is refused must cost little
        # Always one, so that a call whose reply was lost can be made again.
        named: Word = secrets.token_hex(8) if operation is None else encoded(operation)
        if state is None or isinstance(state, str):
            reply = await self._publish(log, entries, named, _ANY if state is not None else _STAYS, state or "")
        else:
            async with self._turns.setdefault(log, asyncio.Lock()):
                reply = await self._publish_folded(log, entries, named, state)
        epoch, offset = reply
        position = Position(epoch.decode(), offset)
        self.known.note(log, position)
        return position

    async def _publish_folded(self, log: str, entries: Sequence[Entry], named: Word, fold: Fold) -> Any:
        head, *_ = self._keys.log(log)
        for attempt in range(_FOLDS):
            looked = await self._calls.call(None, (head,), "HMGET", head, "epoch", "folded", "state")
            epoch, folded, before = looked
            version = b"%b-%b" % (epoch or b"", folded or b"")
            after = fold(None if before is None else decoded(before))
            reply = await self._publish(log, entries, named, version, after)
            if reply is not None:
                return reply
            await asyncio.sleep(random.random() * min(attempt, 10) / 1000)  # noqa: S311  # spreads those who compete
        raise StoreUnavailable(f"the state of {log} changes faster than it can be changed from here")

    async def _publish(self, log: str, entries: Sequence[Entry], named: Word, version: Word, state: str) -> Any:
        known = self.known[log]
        return await self._calls.call(
            self._scripts.publish,
            self._keys.log(log),
            *(named, new_epoch(), known.epoch, known.offset, self._kept, self._held, self._age, self._alive),
            *(version, encoded(state), milliseconds(STATE_KEPT)),
            *pack_all(entries, self._clock.time()),
            turn=Turn.EVENTS,
        )

    async def append(self, batches: Sequence[Batch]) -> list[str]:
        """Append what producers say; the logs that refused."""
        refused = []
        for group in grouped(joined(batches)):
            calls, size = [self._append(piece) for piece in group], sum([piece.size for piece in group])
            for piece, taken in zip(group, await self._calls.run(calls, size), strict=True):
                if not taken:
                    refused.append(piece.log)
        return refused

    def _append(self, piece: Piece) -> Call:
        ends, keep = (b"1", milliseconds(piece.keep)) if piece.ends else (b"0", 0)
        arguments: Sequence[Word] = (piece.epoch, piece.first, ends, keep, milliseconds(_RUN), *piece.packed)
        return Call(self._scripts.append, self._keys.log(piece.log), arguments)

    async def seal(self, log: str, epoch: str, entries: Sequence[Entry], keep: float | None, meta: str | None) -> bool:
        """End a log in its producer's stead; whether it was this call."""
        # A name for each call, so that a repeat knows itself, and a second call of this process does not.
        sealer = secrets.token_hex(8)
        sealed = await self._calls.call(
            self._scripts.seal,
            self._keys.log(log),
            *(epoch, sealer, milliseconds(keep), RESERVED + 1),
            *(("", "") if meta is None else ("begin", encoded(meta))),
            *pack_all(entries, self._clock.time()),
            turn=Turn.FLEET,
        )
        return bool(sealed)

    async def drop(self, log: str) -> State:
        """Delete a channel's history; its state then."""
        seen = state_of((await self._calls.run((self._look(log, "", 0),)))[0])
        arguments = ("" if seen is None else seen.head.epoch, new_epoch(), self._alive)
        return _there(state_of(await self._calls.call(self._scripts.drop, self._keys.log(log), *arguments)))

    # Reading.

    async def look(self, log: str) -> State | None:
        """A log's state; None where it is not there."""
        reply = await self._calls.run((self._look(log, "", 0),), turn=Turn.FLEET)
        return await self._judged(log, state_of(reply[0]))

    async def look_all(self, logs: Sequence[str]) -> Sequence[State | None]:
        """The states of logs, all in one pipeline; channels live on for it, as they do for a reader."""
        return [state_of(reply) for reply in await self._calls.run([self._look(log, "", self._alive) for log in logs])]

    async def begin(self, log: str) -> State:
        """A channel's state; one that is not there is begun."""
        reply = await self._calls.run((self._look(log, new_epoch(), self._alive),))
        return _there(await self._judged(log, state_of(reply[0])))

    def _look(self, log: str, begun_as: str, alive: int) -> Call:
        return Call(self._scripts.look, self._keys.log(log), (begun_as, alive))

    async def snapshot(self, log: str) -> Snapshot:
        """A channel's head and its state; one that is not there is begun."""
        for _ in range(_LOOKS):
            *looked, folded = await self._calls.call(
                self._scripts.snapshot, self._keys.log(log), new_epoch(), self._alive, turn=Turn.PAGES
            )
            state = _there(state_of(looked))
            # More may have been heard of since; that this was the state at its own head is as true as before.
            if _there(await self._judged(log, state)).head.epoch == state.head.epoch:
                return Snapshot(state.head, None if folded is None else decoded(folded))
        raise StoreUnavailable(f"{log} changes faster than it can be read")

    async def read(self, log: str, after: int, limit: int) -> Page | None:
        """At most `limit` records past `after`, about 1 MB of them, and the head, of one moment.

        Without a script around them: one that returns 1,000 records takes the server 2.3 ms, during which nobody
        else is served, XRANGE 0.7. What came between is seen, and the page read again.
        """
        mean = await self._mean(log) if limit > _FEW else 0
        limit = max(1, min(limit, _PAGE_BYTES // mean)) if mean else limit
        head, records, *_ = self._keys.log(log)
        calls = (
            self._look(log, "", 0),
            Call(None, (records,), ("XRANGE", records, max(after, 0) + 1, "+", "COUNT", limit)),
            Call(None, (head,), ("HGET", head, "epoch")),
        )
        for _ in range(_LOOKS):
            looked, ranged, epoch = await self._calls.run(calls, limit * mean, Turn.PAGES)
            state = await self._judged(log, state_of(looked))
            if state is None:
                return None
            if epoch is not None and epoch.decode() == state.head.epoch:
                page = _page(state, records_of(ranged), after)
                if page is not None:
                    return page
        raise StoreUnavailable(f"{log} changes faster than it can be read")

    async def _mean(self, log: str) -> int:
        """About how many bytes a record of a log takes; 0 where there is none."""
        state = state_of((await self._calls.run((self._look(log, "", 0),)))[0])
        return 0 if state is None else state.mean

    async def renew(self, log: str, epoch: str, seen: int | None) -> State | None:
        """Have a channel whose `epoch` lacks offset `seen` go on as another; its state then.

        Without `seen`: it does not lack it, but has something else there.
        """
        arguments = (epoch, "" if seen is None else seen, new_epoch())
        return state_of(await self._calls.call(self._scripts.renew, self._keys.log(log), *arguments))

    async def _judged(self, log: str, state: State | None) -> State | None:
        """The state, unless it lacks what was seen here: then that of the epoch that it goes on as."""
        known = self.known[log]
        if state is None or state.produced or state.head.epoch != known.epoch or state.head.last >= known.offset:
            return state
        return await self.renew(log, known.epoch, known.offset)


def _there(state: State | None) -> State:
    if state is None:
        raise StoreUnavailable("a log that was begun is gone again")
    return state


def _page(state: State, records: list[Record], after: int) -> Page | None:
    """The page that two looks show, the records' being the later; None where they do not fit together."""
    head = state.head
    while records and records[-1].offset > head.last:
        records.pop()
    if not state.produced and head.first <= head.last and after < head.last:
        if not records:
            return None  # all of it was trimmed between the looks
        if records[0].offset > max(head.first, after + 1):
            head = replace(head, first=records[0].offset)
    return Page(head, records)
