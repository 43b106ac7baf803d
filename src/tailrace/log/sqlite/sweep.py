"""Letting go of what is past its keeping, a little at a time, and giving the space back to the disk."""

from __future__ import annotations

import json
from collections.abc import Collection

from tailrace.log.retention import Retention
from tailrace.log.sqlite.transaction import LogState, Transaction
from tailrace.log.state import STATE_KEPT

__all__ = ["kept_empty", "probe", "sweep"]

_LOGS = 50
"""Logs looked after in one step, so that those who publish meanwhile wait some milliseconds at most."""
_RECORDS = 2000
"""Records of an ended log deleted in one step."""
_PAGES = 1000
"""Pages given back in one step: about 4 MB."""
_EMPTY_KEPT = 3600.0
"""Seconds that a channel without events keeps its epoch, where retention has no age: readers hold cursors in it."""

_EXPIRED = "SELECT name FROM logs WHERE expires <= ? LIMIT ?"
_AGED = """
SELECT name FROM logs WHERE NOT produced AND first <= last
AND (SELECT at FROM records WHERE log = logs.id AND offset = logs.first) < ? LIMIT ?
"""
_EMPTY = """
SELECT name FROM logs WHERE NOT produced AND first > last
AND touched < CASE WHEN id IN (SELECT log FROM folded) THEN ? ELSE ? END
AND name NOT IN (SELECT value FROM json_each(?)) LIMIT ?
"""


def kept_empty(retention: Retention) -> float:
    """Seconds that a channel without events keeps its epoch after its last use."""
    return retention.age or _EMPTY_KEPT


def sweep(transaction: Transaction, followed: Collection[str]) -> bool:
    """Do a step; whether there may be more to do. Channels that are `followed` keep their epoch."""
    now, age = transaction.now, transaction.retention.age
    kept = kept_empty(transaction.retention)
    expired = _found(transaction, _EXPIRED, now)
    done = [_forget(transaction, state) for state in expired]
    aged = _found(transaction, _AGED, now - kept) if age is not None else []
    for state in aged:
        transaction.trim(state)
    empty = _found(transaction, _EMPTY, now - STATE_KEPT, now - kept, json.dumps(list(followed)))
    for state in empty:
        if state.first > state.last and state.touched < now - kept:  # else it was used just now, in this commit
            transaction.erase(state)
    transaction.connection.execute("DELETE FROM names WHERE expires <= ?", (now,))
    return not all(done) or _LOGS in {len(expired), len(aged), len(empty)} or _give_back(transaction)


def probe(transaction: Transaction) -> None:
    """Write something, to see whether a disk that refused takes it now: a name that has run out already."""
    transaction.connection.execute("INSERT OR REPLACE INTO names VALUES ('', '', 0)")


def _found(transaction: Transaction, query: str, *bounds: object) -> list[LogState]:
    names = [name for (name,) in transaction.connection.execute(query, (*bounds, _LOGS)).fetchall()]
    return [state for name in names if (state := transaction.states[name]) is not None]


def _forget(transaction: Transaction, state: LogState) -> bool:
    """Delete a part of an ended log; with the last of its records the log itself."""
    connection = transaction.connection
    part = "SELECT offset FROM records WHERE log = ?1 ORDER BY offset LIMIT ?2"
    connection.execute(f"DELETE FROM records WHERE log = ?1 AND offset IN ({part})", (state.id, _RECORDS))  # noqa: S608
    if connection.execute("SELECT 1 FROM records WHERE log = ? LIMIT 1", (state.id,)).fetchone():
        return False
    transaction.erase(state)
    return True


def _give_back(transaction: Transaction) -> bool:
    """Have free pages returned to the disk; whether there are more."""
    free = transaction.connection.execute("PRAGMA freelist_count").fetchone()[0]
    transaction.spare_pages = min(free, _PAGES)
    return bool(free > _PAGES)
