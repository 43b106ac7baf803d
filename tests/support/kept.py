"""An open SQLite store in a test's own file."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from tailrace.log import Entry, Page, Retention
from tailrace.log.sqlite import Ending, SqliteStore
from tailrace.testing import FakeClock

__all__ = ["ENDING", "opened", "read"]

ENDING = Ending([Entry("error", "died"), Entry("done", "[DONE]")], keep=60)
"""What a run gets whose process died."""


@contextlib.asynccontextmanager
async def opened(
    path: Path, retention: Retention | None = None, clock: FakeClock | None = None
) -> AsyncIterator[SqliteStore]:
    """An open store."""
    store = SqliteStore(path, retention, clock or FakeClock(), ENDING)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def read(store: SqliteStore, log: str, after: int = 0) -> Page:
    """All of a log that is there."""
    page = await store.read(log, after, 1_000_000)
    assert page is not None
    return page
