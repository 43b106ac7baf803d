"""Names that are taken once, in the store's file: they live as long as the logs that they were taken for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailrace.log.sqlite.queries import lookup

if TYPE_CHECKING:
    from tailrace.log.sqlite.store import SqliteStore
    from tailrace.log.sqlite.transaction import Transaction

__all__ = ["SqliteCoordination"]


class SqliteCoordination:
    """The names of a `SqliteStore`, which is to be open."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    async def claim(self, name: str, value: str, seconds: float) -> str:
        """Take `name` for `value`, unless it is taken."""

        def work(transaction: Transaction) -> str:
            connection, now = transaction.connection, transaction.now
            taken = lookup(connection, name, now)
            if taken is None:
                until = now + seconds
                connection.execute("INSERT OR REPLACE INTO names VALUES (?, ?, ?)", (name, value, until))
            return value if taken is None else taken

        return await self._store.write(work)

    async def lookup(self, name: str) -> str | None:
        """What `name` was taken for."""
        return await self._store.look(lambda connection, now: lookup(connection, name, now))

    async def extend(self, name: str, seconds: float) -> None:
        """Keep `name` for `seconds` from now."""

        def work(transaction: Transaction) -> None:
            until = transaction.now + seconds
            update = "UPDATE names SET expires = ? WHERE name = ? AND expires > ?"
            transaction.connection.execute(update, (until, name, transaction.now))

        await self._store.write(work)

    async def release(self, name: str, value: str | None = None) -> None:
        """Give `name` up, if it is still taken for `value`."""
        delete = "DELETE FROM names WHERE name = ? AND (? IS NULL OR value = ?)"
        await self._store.write(lambda t: t.connection.execute(delete, (name, value, value)).close())
