"""The SQLite store and its disk: one that takes nothing, and space that is given back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tailrace.errors import StoreUnavailable
from tailrace.log import Batch, Entry, Retention
from tailrace.log.sqlite import SqliteStore
from tailrace.testing import FakeClock
from tests.log.store_contract import Ear, records
from tests.support.kept import opened, read

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store's file is."""
    return tmp_path / "events.db"


def failing(store: SqliteStore) -> float | None:
    """Since when the store cannot write."""
    return store.failing_since


@pytest.mark.parametrize("fault", ["read-only", "full"])
async def test_a_disk_that_takes_nothing_is_told_and_remembered_until_it_does(path: Path, fault: str) -> None:
    clock = FakeClock(1000.0)
    async with opened(path, clock=clock) as store:
        assert store._open is not None
        connection = store._open.file.writing
        await store.publish("a", [Entry("", "x")])
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        breaking = "query_only = 1" if fault == "read-only" else f"max_page_count = {pages}"
        mending = "query_only = 0" if fault == "read-only" else "max_page_count = 1000000"
        connection.execute(f"PRAGMA {breaking}")
        with pytest.raises(StoreUnavailable) as told:
            await store.publish("a", [Entry("", "x" * 100_000)])
        assert told.value.retry_after > 0
        assert failing(store) == 1000.0
        with pytest.raises(StoreUnavailable):
            await store.create("r", "e", "x" * 100_000)
        assert len((await read(store, "a")).records) == 1, "reading goes on"
        connection.execute(f"PRAGMA {mending}")
        await store.sweep()
        assert failing(store) is None
        assert (await store.publish("a", [Entry("", "x" * 100_000)])).offset == 2


# Space.


def size(path: Path) -> int:
    """Bytes that the store takes on the disk."""
    return sum(entry.stat().st_size for entry in path.parent.iterdir())


async def test_the_file_does_not_grow_with_what_was_trimmed(path: Path) -> None:
    async with opened(path, Retention(events=200, bytes=None, age=None)) as store:
        sizes: list[int] = []
        for _ in range(6):
            for _ in range(10):
                await asyncio.gather(*[store.publish("a", [Entry("", "x" * 1000)]) for _ in range(200)])
            await store.sweep()
            sizes.append(size(path))
        assert sizes[-1] < 1.2 * sizes[1], sizes


async def test_the_space_of_what_is_past_its_keeping_goes_back_to_the_disk(path: Path) -> None:
    clock = FakeClock()
    async with opened(path, Retention(age=100), clock) as store:
        empty = size(path)
        for number in range(60):
            run = f"r{number}"
            await store.create(run, run, "")
            await store.append([Batch(run, run, records(1, 100, "x" * 1000), ends=True, keep=100)])
            await store.publish(f"c{number}", [Entry("", "x" * 1000)] * 100, "op")
            await store.coordination.claim(run, "", 100)
        await store.sweep()
    full = size(path)
    assert full > 10_000_000, "or the test shows nothing"
    clock.advance(300)
    async with opened(path, Retention(age=100), clock) as store:
        await store.sweep()
        clock.advance(300)
        await store.sweep()
        connection = store._open.file.writing if store._open is not None else None
        assert connection is not None
        for table in ("logs", "records", "operations", "names"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    assert size(path) < empty + 200_000


async def test_a_long_run_is_swept_in_steps(path: Path) -> None:
    clock = FakeClock()
    async with opened(path, clock=clock) as store:
        await store.create("r", "r", "", records(1, 5001))
        await store.append([Batch("r", "r", records(5002, 5002), ends=True, keep=1)])
        clock.advance(2)
        await store.sweep()
        assert store._open is not None
        assert store._open.file.writing.execute("SELECT count(*) FROM records").fetchone() == (0,)


async def test_a_channel_that_is_used_again_in_the_moment_of_the_sweep_is_kept(path: Path) -> None:
    clock = FakeClock()
    async with opened(path, Retention(age=100), clock) as store:
        await store.ensure("a")
        clock.advance(1000)
        # As a rule both come to the writer in one commit.
        position, _ = await asyncio.gather(store.publish("a", [Entry("", "x")]), store.sweep())
        assert [record.offset for record in (await read(store, "a")).records] == [position.offset]


async def test_a_silent_channel_keeps_its_epoch_while_it_is_followed_or_looked_at(path: Path) -> None:
    clock = FakeClock()
    async with opened(path, Retention(age=100), clock) as store:
        followed, looked_at, left = [await store.ensure(log) for log in ("followed", "looked at", "left")]
        store.follow("followed", Ear())
        for _ in range(5):
            clock.advance(60)
            assert await store.ensure("looked at") == looked_at
            await store.sweep()
        assert await store.head("followed") == followed
        assert await store.head("left") is None
        assert (await store.ensure("left")).epoch != left.epoch
