"""The file that a store lives in: whose it is, what it looks like, and how it is opened.

A process holds it alone, by a lock on a file beside it that the kernel releases when the process dies,
however it dies. Opening it also ends what the last process left without an end.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tailrace.errors import StoreError
from tailrace.log.record import Entry
from tailrace.log.store import RESERVED

__all__ = ["Ending", "StoreFile"]

_APPLICATION = 0x7461696C
"""`tail` in ASCII, in the file's header: it tells our files from other applications'."""
_VERSION = 2
"""1 had no states of channels."""

_BUSY = 10_000
"""Milliseconds to wait for somebody who looks into the file with a tool of his own."""
_KEPT_WAL = 16_777_216

# Times are seconds since the epoch. Records have a rowid of their own, so those of all logs go to the same page, one
# after the other: clustered by log, half as many a second were written, and those above 1 KB took four times the space.
_SCHEMA = """
CREATE TABLE logs (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    epoch TEXT NOT NULL,
    meta TEXT NOT NULL,
    produced INTEGER NOT NULL, -- 1: has one producer and an end (a run); 0: a channel
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    expires REAL,
    touched REAL NOT NULL
);
CREATE INDEX logs_by_expiry ON logs (expires) WHERE expires IS NOT NULL;
CREATE TABLE records (
    log INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    event TEXT NOT NULL,
    data TEXT,
    at REAL NOT NULL,
    size INTEGER NOT NULL,
    UNIQUE (log, offset)
);
CREATE TABLE operations (
    log INTEGER NOT NULL,
    name TEXT NOT NULL,
    offset INTEGER NOT NULL,
    PRIMARY KEY (log, name)
) WITHOUT ROWID;
CREATE INDEX operations_by_age ON operations (log, offset);
CREATE TABLE names (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    expires REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX names_by_expiry ON names (expires);
"""
_FOLDED = "CREATE TABLE folded (log INTEGER PRIMARY KEY, state TEXT NOT NULL);"
"""The states of channels, by their logs."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a log ends whose producer died with its process: its last entries, and how long it is kept then."""

    entries: Sequence[Entry]
    keep: float | None = None


class StoreFile:
    """An open store: the writer's connection, the reader's, and the lock. Raises `StoreError` where it cannot be."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).resolve()
        self._lock = _Lock(self.path)
        with contextlib.ExitStack() as stack:
            stack.callback(self._lock.release)
            self._create()
            with _explained(self.path):
                self.writing = self._connect()
                stack.callback(self.writing.close)
                self._prepare()
                self.reading = self._connect()
                self.reading.execute("PRAGMA query_only = 1")
            stack.pop_all()

    def _create(self) -> None:
        """Make the file, where it is new, its user's alone: all that was asked and answered is in it.

        SQLite gives its other files the same mode, and says what is wrong where there can be none.
        """
        with contextlib.suppress(OSError):
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def _connect(self) -> sqlite3.Connection:
        # Each connection is one thread's at a time, though not the one's that made it.
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        connection.execute(f"PRAGMA busy_timeout = {_BUSY}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {_KEPT_WAL}")
        return connection

    def _prepare(self) -> None:
        connection = self.writing
        application, version, objects = (
            connection.execute(query).fetchone()[0]
            for query in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_schema")
        )
        if objects and application != _APPLICATION:
            raise StoreError(f"{self.path} is the database of another application")
        if version > _VERSION:
            raise StoreError(f"{self.path} was written by a newer Tailrace")
        if not objects:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # possible only before there is a table
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise StoreError(f"{self.path} is on a filesystem where SQLite has no write-ahead log; choose a local disk")
        if not objects:
            mark = f"PRAGMA application_id = {_APPLICATION};"
            connection.executescript(f"BEGIN; {_SCHEMA} {_FOLDED} {mark} PRAGMA user_version = {_VERSION}; COMMIT;")
        elif version < _VERSION:
            connection.executescript(f"BEGIN; {_FOLDED} PRAGMA user_version = {_VERSION}; COMMIT;")

    def end_interrupted(self, ending: Ending, now: float) -> int:
        """End what was in progress when the last process went; how many logs that were.

        Names that were taken for longer than an ended log is kept were taken for those.
        """
        until = None if ending.keep is None else now + ending.keep
        connection = self.writing
        with _explained(self.path), connection:
            connection.execute("BEGIN IMMEDIATE")
            # Also where there is nothing to end: a file that cannot be written shows it now, not to the first client.
            connection.execute("UPDATE names SET expires = min(expires, coalesce(?, expires))", (until,))
            left = connection.execute("SELECT id, last FROM logs WHERE produced AND NOT ended").fetchall()
            for log, last in left:
                end = self._append(log, max(last, RESERVED), ending.entries, now)
                connection.execute("UPDATE logs SET last = ?, ended = 1, expires = ? WHERE id = ?", (end, until, log))
        return len(left)

    def _append(self, log: int, after: int, entries: Sequence[Entry], now: float) -> int:
        rows = [(log, after + i, entry.event, entry.data, now) for i, entry in enumerate(entries, 1)]
        self.writing.executemany(
            "INSERT INTO records (log, offset, event, data, at, size) VALUES (?, ?, ?, ?, ?, 0)", rows
        )
        return after + len(rows)

    def close(self) -> None:
        """Let go of the file; the last connection leaves no write-ahead log behind."""
        self.reading.close()
        self.writing.close()
        self._lock.release()


class _Lock:
    """Holds `<path>-lock` for this process."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(f"{path}-lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError(f"the store {path} cannot be opened: {_reason(path, error)}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._file, 32).decode(errors="replace").strip()
            os.close(self._file)
            told = f"the store {path} is in use by another process{f' ({holder})' if holder else ''}"
            raise StoreError(f"{told}; an SQLite store belongs to one") from error
        with contextlib.suppress(OSError):  # who holds it is told for people only; on a full disk it is not
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, b"pid %d\n" % os.getpid(), 0)

    def release(self) -> None:
        # The file stays: whoever removed it could remove one that the next process has locked meanwhile.
        os.close(self._file)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"the store {path} cannot be opened: {_reason(path, error)}") from error


def _reason(path: Path, error: Exception) -> str:
    if path.is_dir():
        return "it is a directory"
    if not path.parent.is_dir():
        return f"there is no directory {path.parent}"
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
