"""The SQLite store and its coordination: what every store promises, and what is theirs alone."""

from __future__ import annotations

import asyncio
import os
import random
import select
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from tailrace.errors import LogEnded, StoreError, StoreUnavailable
from tailrace.log import Batch, Entry, Position, Record, Retention, Store, judge
from tailrace.log.sqlite import SqliteCoordination, SqliteStore
from tailrace.testing import FakeClock
from tests.log.state_contract import StateContract
from tests.log.store_contract import CoordinationContract, Ear, RetentionContract, StoreContract, records
from tests.support.kept import opened, read

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
TALKER = ROOT / "tests" / "support" / "talker.py"
KILLS = 100 if os.environ.get("TAILRACE_CHAOS") else 10


class _InFile:
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "events.db"

    def new_store(self, clock: FakeClock, retention: Retention) -> SqliteStore:
        return SqliteStore(self.path, retention, clock)


class TestSqliteStore(_InFile, StoreContract):
    """Keeps what every store promises."""


class TestSqliteRetention(_InFile, RetentionContract):
    """Bounds channels by count, bytes and age."""


class TestSqliteState(_InFile, StateContract):
    """Keeps states."""

    async def test_a_state_that_goes_in_the_commit_in_which_it_came_leaves_nothing(self, store: Store) -> None:
        await asyncio.gather(store.publish("a", [Entry("", "x")], None, "gone"), store.drop("a"))
        with sqlite3.connect(self.path) as connection:
            assert connection.execute("SELECT * FROM folded").fetchall() == []
        connection.close()

    async def look_after(self, store: Store) -> None:
        assert isinstance(store, SqliteStore)
        await store.sweep()


class TestSqliteCoordination(_InFile, CoordinationContract):
    """Keeps what every coordination promises."""

    @pytest.fixture
    async def coordination(self, clock: FakeClock) -> AsyncIterator[SqliteCoordination]:
        store = self.new_store(clock, Retention())
        await store.open()
        yield store.coordination
        await store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store's file is."""
    return tmp_path / "events.db"


# Restarts.


async def test_channels_go_on_after_a_restart_with_their_epoch_their_events_and_their_operations(path: Path) -> None:
    async with opened(path) as store:
        await store.publish("a", [Entry("tick", "1"), Entry("", None)])
        position = await store.publish("a", [Entry("tick", "3")], "op")
        before = await read(store, "a")
    async with opened(path) as store:
        assert await read(store, "a") == before
        assert await store.publish("a", [Entry("tick", "3")], "op") == position
        assert await store.publish("a", [Entry("", "4")]) == Position(position.epoch, 4)


async def test_an_ended_run_is_there_after_a_restart_until_its_keeping_is_over(path: Path) -> None:
    clock = FakeClock()
    async with opened(path, clock=clock) as store:
        await store.create("r", "e", "meta", records(1, 2))
        await store.append([Batch("r", "e", records(3, 4), ends=True, keep=100)])
        before = await read(store, "r")
    clock.advance(99)
    async with opened(path, clock=clock) as store:
        assert await read(store, "r") == before
        clock.advance(2)
        assert await store.head("r") is None


async def test_a_run_in_progress_is_found_ended_above_all_that_a_viewer_may_have_seen(path: Path) -> None:
    clock = FakeClock(1_700_000_000.0)
    async with opened(path, clock=clock) as store:
        await store.create("r", "e", "meta", records(1, 5))
        await store.create("silent", "f", "")
    async with opened(path, clock=clock) as store:
        page = await read(store, "r")
        assert list(page.records[:5]) == records(1, 5)
        assert [(record.event, record.data) for record in page.records[5:]] == [("error", "died"), ("done", "[DONE]")]
        assert page.head.ended
        assert page.head.last == page.records[-1].offset
        # What the viewer was shown last had not reached the disk.
        verdict = judge("e-7", page.head.epoch, page.head.first, page.head.last)
        assert verdict.recovered
        assert verdict.after is not None
        assert len((await read(store, "r", verdict.after)).records) == 2
        with pytest.raises(LogEnded):
            await store.append([Batch("r", "e", records(page.head.last + 1, page.head.last + 1))])
        assert [record.event for record in (await read(store, "silent")).records] == ["error", "done"]
        clock.advance(61)
        assert await store.head("r") is None


async def test_a_run_is_ended_once_however_often_the_store_is_opened(path: Path) -> None:
    async with opened(path) as store:
        await store.create("r", "e", "meta", records(1, 5))
    async with opened(path) as store:
        before = await read(store, "r")
    async with opened(path) as store:
        assert await read(store, "r") == before


async def test_a_key_is_kept_with_its_run_over_a_restart(path: Path) -> None:
    clock = FakeClock()
    async with opened(path, clock=clock) as store:
        await store.coordination.claim("of a run in progress", "r", 86_400)
        await store.coordination.claim("of an ended run", "s", 30)
    async with opened(path, clock=clock) as store:
        assert await store.coordination.claim("of a run in progress", "other", 5) == "r"
        clock.advance(31)
        assert await store.coordination.lookup("of an ended run") is None
        assert await store.coordination.lookup("of a run in progress") == "r"
        clock.advance(31)
        assert await store.coordination.lookup("of a run in progress") is None


async def test_a_reader_of_a_run_that_died_gets_its_text_and_its_end_page_by_page(path: Path) -> None:
    async with opened(path) as store:
        await store.create("r", "e", "meta", records(1, 600))
    async with opened(path) as store:
        found: list[Record] = []
        while (page := await store.read("r", found[-1].offset if found else 0, 256)) and page.records:
            found += page.records
        assert found[:600] == records(1, 600)
        assert [record.event for record in found[600:]] == ["error", "done"]


async def test_what_was_acknowledged_survives_the_process_killed_at_any_moment(path: Path) -> None:
    """One file, many processes, one after the other; each killed while it writes."""
    acknowledged: dict[str, list[Position]] = defaultdict(list)
    for _ in range(KILLS):
        for line in killed_after(path, random.uniform(0, 0.15)):
            log, _, text = line.partition(" ")
            position = Position.parse(text)
            assert position is not None
            acknowledged[log].append(position)
        async with opened(path, Retention(None, None, None)) as store:
            for log, positions in acknowledged.items():
                await check(store, log, positions)
    assert sum(map(len, acknowledged.values())) > 10 * KILLS


def killed_after(path: Path, seconds: float) -> list[str]:
    """What a talker said until it was killed, that long after its first word."""
    command = [sys.executable, str(TALKER), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)}) as process:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 20)[0], "it says nothing"
        said, deadline = b"", asyncio.get_running_loop().time() + seconds
        while (left := deadline - asyncio.get_running_loop().time()) > 0:
            if select.select([process.stdout], [], [], left)[0]:
                said += os.read(process.stdout.fileno(), 65_536)
        process.kill()
        said += process.stdout.read()
    return said.decode().splitlines()


async def check(store: SqliteStore, log: str, positions: Sequence[Position]) -> None:
    """Look whether a log has all that was acknowledged, each once, nothing torn, no hole, one epoch."""
    page = await read(store, log)
    said = [record for record in page.records if record.event == ""]
    assert {position.epoch for position in positions} == {page.head.epoch}
    assert [record.offset for record in said] == list(range(1, len(said) + 1))
    assert {record.data for record in said} == {log}
    assert max(position.offset for position in positions) <= len(said)
    assert len({*positions}) == len(positions)
    if not log.startswith("news"):
        assert page.head.ended


# Who may open what.


async def test_a_second_store_on_one_file_is_refused_and_told_who_has_it(path: Path) -> None:
    async with opened(path):
        with pytest.raises(StoreError, match=rf"events\.db is in use by another process \(pid {os.getpid()}\)"):
            await SqliteStore(path).open()
        (path.parent / "link.db").symlink_to(path)
        with pytest.raises(StoreError, match="in use by another process"):
            await SqliteStore(path.parent / "link.db").open()
    async with opened(path):
        pass


def test_what_cannot_be_opened_says_why_in_one_line(path: Path) -> None:
    path.mkdir()
    (path.parent / "text.db").write_text("no database at all " * 100)
    other = sqlite3.connect(path.parent / "other.db")
    other.execute("CREATE TABLE customers (name)")
    other.close()
    for name, told in [
        ("events.db", "it is a directory"),
        ("nowhere/x.db", "there is no directory"),
        ("text.db", "file is not a database"),
        ("other.db", "is the database of another application"),
    ]:
        with pytest.raises(StoreError, match=told) as raised:
            asyncio.run(SqliteStore(path.parent / name).open())
        assert str(path.parent / name) in str(raised.value)
        assert "\n" not in str(raised.value)


async def test_a_file_of_a_newer_version_is_left_alone(path: Path) -> None:
    async with opened(path):
        pass
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="written by a newer Tailrace"):
        await SqliteStore(path).open()


async def test_a_file_of_the_version_without_states_is_used_on(path: Path) -> None:
    async with opened(path) as store:
        position = await store.publish("a", [Entry("", "x")])
    connection = sqlite3.connect(path)
    connection.executescript("DROP TABLE folded; PRAGMA user_version = 1;")
    connection.close()
    for state in ("old", "new"):
        async with opened(path) as store:
            before = await store.snapshot("a")
            assert before.head.epoch == position.epoch
            await store.publish("a", [Entry("", "x")], None, state)
    assert before.state == "old"


async def test_a_store_that_is_not_open_says_what_to_do(path: Path) -> None:
    store = SqliteStore(path)
    with pytest.raises(StoreUnavailable, match=r"Tailrace\.lifespan"):
        await store.publish("a", [Entry("", "x")])
    await store.close()


async def test_a_store_can_be_opened_again_after_it_was_closed(path: Path) -> None:
    store = SqliteStore(path)
    for offset in (1, 2):
        await store.open()
        assert (await store.publish("a", [Entry("", "x")])).offset == offset
        await store.close()


async def test_closing_writes_what_is_pending_and_leaves_one_file(path: Path) -> None:
    async with opened(path) as store:
        pending = [asyncio.ensure_future(store.publish("a", [Entry("", "x")])) for _ in range(100)]
        await asyncio.sleep(0)
    assert [position.offset for position in await asyncio.gather(*pending)] == list(range(1, 101))
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["events.db", "events.db-lock"]


# Commits.


async def test_many_who_publish_at_once_share_commits(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commits: list[str] = []
    async with opened(path) as store:
        assert store._open is not None
        store._open.file.writing.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
        await asyncio.gather(*[store.publish(f"c{i % 7}", [Entry("", "x")]) for i in range(500)])
        assert 1 <= len(commits) < 100


async def test_nobody_hears_of_what_is_not_committed(path: Path) -> None:
    ear = Ear()
    async with opened(path) as store:
        assert store._open is not None
        store.follow("a", ear)
        await store.publish("a", [Entry("", "1")])
        store._open.file.writing.execute("PRAGMA query_only = 1")
        with pytest.raises(StoreUnavailable):
            await store.publish("a", [Entry("", "2")])
        assert [record.data for _, record in ear.heard] == ["1"]
        store._open.file.writing.execute("PRAGMA query_only = 0")
        await store.publish("a", [Entry("", "3")])
        assert [(record.offset, record.data) for _, record in ear.heard] == [(1, "1"), (2, "3")]


async def test_a_write_that_breaks_takes_no_other_along(path: Path) -> None:
    async with opened(path) as store:
        writes = [store.publish("a", [Entry("", text)]) for text in ("1", "\ud800", "3")]
        first, broken, third = await asyncio.gather(*writes, return_exceptions=True)
        assert isinstance(broken, UnicodeEncodeError)
        assert isinstance(first, Position)
        assert isinstance(third, Position)
        assert (first.offset, third.offset) == (1, 2)
        assert store.failing_since is None


async def test_more_logs_than_states_are_kept_of_go_on_all_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tailrace.log.sqlite.transaction._KEPT_STATES", 3)
    async with opened(path) as store:
        for offset in range(1, 6):
            positions = await asyncio.gather(*[store.publish(f"c{i % 10}", [Entry("", "x")]) for i in range(20)])
            assert {position.offset for position in positions} == {2 * offset - 1, 2 * offset}


async def test_who_leaves_while_waiting_has_published_all_the_same(path: Path) -> None:
    async with opened(path) as store:
        leaving = asyncio.ensure_future(store.publish("a", [Entry("", "x")]))
        await asyncio.sleep(0)
        leaving.cancel()
        assert (await store.publish("a", [Entry("", "y")])).offset == 2


async def test_a_loop_that_never_rests_keeps_nobody_from_reading_and_writing(path: Path) -> None:
    """Its turns are shorter than the 5 ms after which a thread may ask for the interpreter."""
    over = False

    async def burn() -> None:
        while not over:
            until = time.perf_counter() + 0.004
            while time.perf_counter() < until:
                pass
            await asyncio.sleep(0)

    async with opened(path) as store:
        burning = asyncio.create_task(burn())
        async with asyncio.timeout(10):
            for _ in range(30):
                await store.publish("a", [Entry("", "x")])
                await store.read("a", 0, 100)
        over = True
        await burning


async def test_what_is_done_at_once_is_done_in_order(path: Path) -> None:
    async with opened(path) as store:
        old, _, new = await asyncio.gather(
            store.publish("a", [Entry("", "old")] * 3), store.drop("a"), store.publish("a", [Entry("", "new")])
        )
        assert (old.offset, new.offset) == (3, 1)
        assert [record.data for record in (await read(store, "a")).records] == ["new"]


async def test_the_name_of_a_log_past_its_keeping_is_free(path: Path) -> None:
    clock = FakeClock()
    async with opened(path, clock=clock) as store:
        await store.create("a", "e", "")
        await store.append([Batch("a", "e", records(1, 3), ends=True, keep=1)])
        clock.advance(2)
        assert (await store.publish("a", [Entry("", "x")])).offset == 1
