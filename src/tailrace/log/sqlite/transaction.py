"""What one commit does to the logs: jobs say it, and it reaches the database when all of them have.

The logs' states are kept from one commit to the next, so that an append reads nothing; records and
changed states are written at the end, each once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from tailrace.log.position import Position, new_epoch
from tailrace.log.record import Entry, Record
from tailrace.log.retention import Retention
from tailrace.log.sqlite.queries import folded
from tailrace.log.state import NewState, after
from tailrace.log.store import Batch, Head

__all__ = ["LogState", "Published", "States", "Transaction"]

_KEPT_STATES = 32_768
"""States kept from one commit to the next: about 20 MB."""
_OPERATIONS = 1000
"""Operations that a channel remembers where its history has no bound by count."""
_SLACK = 8
"""A bound may be passed by its eighth: trimming looks at all that is kept, and is to be rare."""

_COLUMNS = "id, name, epoch, meta, produced, first, last, bytes, ended, expires, touched"
_STATE = f"SELECT {_COLUMNS} FROM logs WHERE name = ?"  # noqa: S608  # our own names of columns
_SAVE = f"""
INSERT INTO logs ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET first = excluded.first, last = excluded.last, bytes = excluded.bytes,
    ended = excluded.ended, expires = excluded.expires, touched = excluded.touched
"""  # noqa: S608  # as above
_RECORD = "INSERT INTO records (log, offset, event, data, at, size) VALUES (?, ?, ?, ?, ?, ?)"
_FOLD = "INSERT OR REPLACE INTO folded (log, state) VALUES (?, ?)"
_OPERATION = "INSERT INTO operations (log, name, offset) VALUES (?, ?, ?)"

# The oldest record to keep, by each bound.
_WITHIN_BYTES = """
SELECT min(offset) FROM (
    SELECT offset, sum(size) OVER (ORDER BY offset DESC) AS total FROM records WHERE log = ?
) WHERE total <= ?
"""
_WITHIN_AGE = "SELECT offset FROM records WHERE log = ? AND at >= ? ORDER BY offset LIMIT 1"


@dataclass(slots=True)
class LogState:
    """A log as its row has it. Times are seconds since the epoch."""

    id: int
    name: str
    epoch: str
    meta: str
    produced: int
    first: int
    last: int
    bytes: int
    ended: int
    expires: float | None
    touched: float

    @property
    def head(self) -> Head:
        """The state as readers see it."""
        return Head(self.epoch, self.first, self.last, self.meta, bool(self.ended))

    def row(self) -> tuple[object, ...]:
        """Its values, in the order of the columns."""
        return (
            self.id,
            self.name,
            self.epoch,
            self.meta,
            self.produced,
            self.first,
            self.last,
            self.bytes,
            self.ended,
            self.expires,
            self.touched,
        )


@dataclass(frozen=True, slots=True)
class Published:
    """What became of a publish; `records` is empty where the operation had been done before."""

    position: Position
    records: Sequence[Record]


class States:
    """The states of the logs in use, as the database has them after the last commit."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[str, LogState | None] = {}
        self._next = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM logs").fetchone()[0]

    def __getitem__(self, name: str) -> LogState | None:
        """A log's state, past its keeping or not; None where there is no row."""
        if name not in self._known:
            row = self._connection.execute(_STATE, (name,)).fetchone()
            self._known[name] = LogState(*row) if row else None
        return self._known[name]

    def add(self, name: str, epoch: str, meta: str, *, produced: bool, now: float) -> LogState:
        """Begin a log whose name is free."""
        state = self._known[name] = LogState(self._next, name, epoch, meta, int(produced), 1, 0, 0, 0, None, now)
        self._next += 1
        return state

    def forget(self, name: str) -> None:
        """Ask the database again when the log is next used."""
        self._known.pop(name, None)

    def forget_all(self) -> None:
        """Forget what was not committed."""
        self._known.clear()

    def forget_many(self) -> None:
        """Between two commits: keep the states within their bound."""
        if len(self._known) > _KEPT_STATES:
            self._known.clear()  # those in use are back after one look each


class Transaction:
    """One commit in the making. `now` is seconds since the epoch."""

    def __init__(self, connection: sqlite3.Connection, states: States, retention: Retention, now: float) -> None:
        self.connection = connection
        self.states = states
        self.retention = retention
        self.now = now
        self.spare_pages = 0  # to be given back to the disk after the commit
        self._records: list[tuple[object, ...]] = []
        self._changed: dict[int, LogState] = {}
        self._folded: dict[int, str] = {}

    # Logs.

    def find(self, name: str) -> LogState | None:
        """A log that is there and not past its keeping."""
        state = self.states[name]
        if state is not None and state.expires is not None and self.now >= state.expires:
            self.erase(state)
            return None
        return state

    def create(self, name: str, epoch: str, meta: str, first: Sequence[Record] = ()) -> None:
        """Begin a log with one producer and its `first` records, in the place of one that may be there."""
        standing = self.states[name]
        if standing is not None:
            self.erase(standing)
        state = self.states.add(name, epoch, meta, produced=True, now=self.now)
        if first:
            self._add(state, first)
        self._touch(state)

    def ensure(self, name: str) -> Head:
        """Look at a channel, beginning it if need be."""
        return self._channel(name).head

    def drop(self, name: str) -> Head:
        """Begin a channel anew."""
        standing = self.states[name]
        if standing is not None:
            self.erase(standing)
        return self._channel(name).head

    def _channel(self, name: str) -> LogState:
        state = self.find(name)
        if state is None:
            state = self.states.add(name, new_epoch(), "", produced=False, now=self.now)
        self._touch(state)
        return state

    def _touch(self, state: LogState) -> None:
        state.touched = self.now
        self._changed[state.id] = state

    def erase(self, state: LogState) -> None:
        """Delete a log with all that belongs to it."""
        self._write()
        self._changed.pop(state.id, None)
        self._folded.pop(state.id, None)
        for table, key in (("records", "log"), ("operations", "log"), ("folded", "log"), ("logs", "id")):
            self.connection.execute(f"DELETE FROM {table} WHERE {key} = ?", (state.id,))  # noqa: S608  # our own names
        self.states.forget(state.name)

    # Records.

    def publish(
        self, name: str, entries: Sequence[Entry], operation: str | None, state: NewState | None = None
    ) -> Published:
        """Append to a channel, unless the operation was done before."""
        channel = self._channel(name)
        if operation is not None:
            done = self._done(channel, operation)
            if done is not None:
                return Published(Position(channel.epoch, done), ())
        if state is not None:
            before = self._folded.get(channel.id)
            known = folded(self.connection, channel.id) if before is None else before
            self._folded[channel.id] = after(known, state)
        records = [Record(channel.last + i, entry.event, entry.data, self.now) for i, entry in enumerate(entries, 1)]
        self._add(channel, records)
        if operation is not None:
            self.connection.execute(_OPERATION, (channel.id, operation, channel.last))
        return Published(Position(channel.epoch, channel.last), records)

    def _done(self, state: LogState, operation: str) -> int | None:
        """The offset that an operation ended at, as long as about as many records have come since as are kept."""
        forgotten = state.last - (self.retention.events or _OPERATIONS)
        self.connection.execute("DELETE FROM operations WHERE log = ? AND offset <= ?", (state.id, forgotten))
        found = self.connection.execute(
            "SELECT offset FROM operations WHERE log = ? AND name = ?", (state.id, operation)
        ).fetchone()
        return found[0] if found else None

    def append(self, batch: Batch) -> Sequence[Record] | None:
        """Append what a producer says; what of it is new, or None where the log does not take it."""
        state = self.find(batch.log)
        if state is None or state.epoch != batch.epoch:
            return None
        fresh = batch.records
        if fresh[0].offset <= state.last:  # a batch that is repeated after a failure
            fresh = [record for record in fresh if record.offset > state.last]
            if not fresh:
                return ()
        if state.ended or fresh[0].offset != state.last + 1:
            return None
        self._add(state, fresh)
        if batch.ends:
            state.ended = 1
            state.expires = None if batch.keep is None else self.now + batch.keep
        self._touch(state)
        return fresh

    def _add(self, state: LogState, records: Sequence[Record]) -> None:
        for record in records:
            size = record.size
            self._records.append((state.id, *record, size))
            state.bytes += size
        state.last = records[-1].offset

    # What reaches the database.

    def finish(self) -> None:
        """Write what the jobs have said; only the commit is left to do."""
        self._write()
        for state in tuple(self._changed.values()):
            if not state.produced and self._is_over(state):
                self.trim(state)
        self.connection.executemany(_SAVE, [state.row() for state in self._changed.values()])
        self.connection.executemany(_FOLD, self._folded.items())
        for state in self._changed.values():
            if state.ended:
                self.states.forget(state.name)

    def _write(self) -> None:
        records, self._records = self._records, []
        self.connection.executemany(_RECORD, records)

    def _is_over(self, state: LogState) -> bool:
        events, size = self.retention.events, self.retention.bytes
        too_many = events is not None and state.last - state.first + 1 > events + events // _SLACK
        return too_many or (size is not None and state.bytes > size + size // _SLACK)

    def trim(self, state: LogState) -> None:
        """Let go of what retention does not keep of a channel. Its newest record stays unless it is too old."""
        self._write()
        retention, connection, first = self.retention, self.connection, state.first
        if retention.events is not None:
            first = max(first, state.last - retention.events + 1)
        if retention.bytes is not None:
            kept = connection.execute(_WITHIN_BYTES, (state.id, retention.bytes)).fetchone()[0]
            first = max(first, state.last if kept is None else kept)
        if retention.age is not None:
            found = connection.execute(_WITHIN_AGE, (state.id, self.now - retention.age)).fetchone()
            first = max(first, found[0] if found else state.last + 1)
        connection.execute("DELETE FROM records WHERE log = ? AND offset < ?", (state.id, first))
        state.first = first
        state.bytes = connection.execute(
            "SELECT coalesce(sum(size), 0) FROM records WHERE log = ?", (state.id,)
        ).fetchone()[0]
        self._changed[state.id] = state
