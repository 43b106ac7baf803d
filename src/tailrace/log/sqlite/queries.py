"""What is read from the file, by the reader's connection or within a commit."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from tailrace.log.record import Record
from tailrace.log.state import Snapshot
from tailrace.log.store import Head, Page

__all__ = ["Look", "folded", "look", "lookup", "read", "snapshot"]

# Past an age, what is yet to be trimmed is passed over.
_HEAD = """
SELECT id, epoch, CASE WHEN produced OR :oldest IS NULL THEN first ELSE coalesce((
    SELECT offset FROM records WHERE log = logs.id AND offset >= first AND at >= :oldest ORDER BY offset LIMIT 1
), last + 1) END, last, meta, ended, touched
FROM logs WHERE name = :name AND (expires IS NULL OR expires > :now)
"""
_RECORDS = "SELECT offset, event, data, at FROM records WHERE log = ? AND offset > ? ORDER BY offset LIMIT ?"


@dataclass(frozen=True, slots=True)
class Look:
    """Which log, and the time: `now`, and the `oldest` that is kept by age, in seconds since the epoch."""

    name: str
    now: float
    oldest: float | None


def look(connection: sqlite3.Connection, at: Look) -> tuple[Head, float] | None:
    """A log's head, and when it was last touched; None where it is not there."""
    found = _look(connection, at)
    return None if found is None else found[1:]


def _look(connection: sqlite3.Connection, at: Look) -> tuple[int, Head, float] | None:
    row = connection.execute(_HEAD, {"name": at.name, "now": at.now, "oldest": at.oldest}).fetchone()
    if row is None:
        return None
    log, epoch, first, last, meta, ended, touched = row
    return log, Head(epoch, first, last, meta, bool(ended)), touched


def read(connection: sqlite3.Connection, at: Look, after: int, limit: int) -> Page | None:
    """At most `limit` records past `after`; None where the log is not there. Both looks are to see one state."""
    found = _look(connection, at)
    if found is None:
        return None
    log, head, _ = found
    rows = connection.execute(_RECORDS, (log, max(after, head.first - 1), limit))
    return Page(head, [Record._make(row) for row in rows])


def snapshot(connection: sqlite3.Connection, at: Look) -> Snapshot | None:
    """A channel's head and its state; None where the log is not there. Both looks are to see one state."""
    found = _look(connection, at)
    if found is None:
        return None
    log, head, _ = found
    return Snapshot(head, folded(connection, log))


def folded(connection: sqlite3.Connection, log: int) -> str | None:
    """The state of a log, by its number; None where it has none."""
    row = connection.execute("SELECT state FROM folded WHERE log = ?", (log,)).fetchone()
    return row[0] if row else None


def lookup(connection: sqlite3.Connection, name: str, now: float) -> str | None:
    """What a name was taken for."""
    row = connection.execute("SELECT value FROM names WHERE name = ? AND expires > ?", (name, now)).fetchone()
    return row[0] if row else None
