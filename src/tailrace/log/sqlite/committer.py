"""Many writes, one commit: what the writer's thread does with a group of jobs.

A job that breaks must not take the others along, so a group that fails for no reason of the disk's is done
again one by one. What the disk refuses is refused to all of them, and remembered until it takes something.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from tailrace.clock import Clock
from tailrace.errors import StoreUnavailable
from tailrace.log.retention import Retention
from tailrace.log.sqlite.transaction import States, Transaction
from tailrace.log.sqlite.worker import Job

__all__ = ["Committer", "Writing", "unavailable"]

log = logging.getLogger("tailrace")

Writing = Callable[[Transaction], Any]


def unavailable(error: sqlite3.Error) -> bool:
    """Whether it is the file or its disk that fails, not what was asked: full, read-only, broken, gone."""
    return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError


class Committer:
    """Performs groups of writes on a connection that is its own.

    `failing_since` is when the disk began to refuse, in seconds since the epoch; None while it does not.
    """

    def __init__(self, connection: sqlite3.Connection, retention: Retention, clock: Clock) -> None:
        self._connection = connection
        self._retention = retention
        self._clock = clock
        self._states = States(connection)
        self.failing_since: float | None = None

    def __call__(self, group: Sequence[Job[Writing]]) -> None:
        """Do all of it in one commit, as far as that is possible."""
        before = self._connection.total_changes
        try:
            transaction = self._commit(group)
        except Exception as error:  # noqa: BLE001  # it is told to whoever waits for these jobs
            self._undo()
            if isinstance(error, sqlite3.Error) and unavailable(error):
                self._refuse(group, error)
            elif len(group) == 1:
                group[0].error = error
            else:
                for job in group:
                    self((job,))
        else:
            if self._connection.total_changes > before:
                self._recover()
            self._give_back(transaction.spare_pages)

    def _commit(self, group: Sequence[Job[Writing]]) -> Transaction:
        connection = self._connection
        self._states.forget_many()
        connection.execute("BEGIN IMMEDIATE")
        transaction = Transaction(connection, self._states, self._retention, self._clock.time())
        for job in group:
            job.result = job.work(transaction)
        transaction.finish()
        connection.execute("COMMIT")
        return transaction

    def _undo(self) -> None:
        self._states.forget_all()
        if self._connection.in_transaction:  # else SQLite has rolled back by itself
            with contextlib.suppress(sqlite3.Error):  # then the next group's BEGIN fails, and this is done again
                self._connection.execute("ROLLBACK")

    def _refuse(self, group: Sequence[Job[Writing]], error: sqlite3.Error) -> None:
        if self.failing_since is None:
            self.failing_since = self._clock.time()
            log.error("the store cannot write: %s", error)
        for job in group:
            job.error = StoreUnavailable(f"the store cannot write now: {error}")

    def _give_back(self, pages: int) -> None:
        if not pages:
            return
        try:
            # As a script: `execute` would take a single step, and each gives back a single page.
            self._connection.executescript(f"PRAGMA incremental_vacuum({pages})")
        except sqlite3.Error as error:
            log.warning("the store could not give back its free space: %s", error)

    def _recover(self) -> None:
        if self.failing_since is not None:
            self.failing_since = None
            log.warning("the store writes again")
