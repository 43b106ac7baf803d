"""The SQLite store against the memory store: whatever is done to both, restarts included."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.errors import LogEnded
from tailrace.log import Batch, Entry, MemoryStore, Retention
from tailrace.log.sqlite import SqliteStore
from tailrace.testing import FakeClock
from tests.log.state_contract import counting
from tests.log.store_contract import records

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from("ab"), st.integers(1, 5)),
        st.tuples(st.just("operate"), st.sampled_from("ab"), st.integers(1, 3)),
        st.tuples(st.just("fold"), st.sampled_from("ab"), st.integers(1, 3)),
        st.tuples(st.just("drop"), st.sampled_from("ab"), st.just(0)),
        st.tuples(st.just("pass"), st.just(""), st.integers(1, 40)),
        st.tuples(st.just("restart"), st.just(""), st.just(0)),
        st.tuples(st.just("sweep"), st.just(""), st.just(0)),
        st.tuples(st.just("produce"), st.sampled_from("rs"), st.integers(1, 5)),
        st.tuples(st.just("end"), st.sampled_from("rs"), st.integers(1, 50)),
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=30)
@given(STEPS)
def test_whatever_is_done_reads_as_from_memory_restarts_included(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, int]]
) -> None:
    path = tmp_path_factory.mktemp("store") / "events.db"
    asyncio.run(compare(path, steps))


async def compare(path: Path, steps: Sequence[tuple[str, str, int]]) -> None:
    """Do the same to both stores; epochs are random, all else is equal but for the slack of bounds."""
    clock, kept = FakeClock(1000.0), Retention(events=8, bytes=None, age=None)
    memory, lasting = MemoryStore(kept, clock), SqliteStore(path, kept, clock)
    await lasting.open()
    for number, (step, log, count) in enumerate(steps):
        match step:
            case "publish" | "operate" | "fold":
                state = counting if step == "fold" else None
                entries = [Entry("", f"{number}.{i}") for i in range(count)]
                for _ in range(2 if step == "operate" else 1):
                    told = [await store.publish(log, entries, f"op{number}", state) for store in (memory, lasting)]
                    assert told[0].offset == told[1].offset
            case "drop":
                for each in (memory, lasting):
                    await each.drop(log)
            case "pass":
                clock.advance(count)
            case "restart":
                await lasting.close()
                lasting = SqliteStore(path, kept, clock)
                await lasting.open()
            case "sweep":
                await lasting.sweep()
            case _:
                await say(memory, lasting, log, count, ends=step == "end")
        for log_ in "abrs":
            await same(memory, lasting, log_)
    await lasting.close()


async def say(memory: MemoryStore, lasting: SqliteStore, log: str, count: int, *, ends: bool) -> None:
    """Append to a run in both stores, beginning it if need be."""
    head = await memory.head(log)
    if head is None:
        for store in (memory, lasting):
            await store.create(log, log, "")
    first = head.last + 1 if head is not None else 1
    batch = Batch(log, log, records(first, first if ends else first + count), ends, count if ends else None)
    refused = []
    for store in (memory, lasting):
        try:
            await store.append([batch])
        except LogEnded:
            refused.append(store)
    assert len(refused) in {0, 2}


async def same(memory: MemoryStore, lasting: SqliteStore, log: str) -> None:
    """Compare what is read."""
    if log in "ab":
        assert (await memory.snapshot(log)).state == (await lasting.snapshot(log)).state
    ours, theirs = await memory.read(log, 0, 100), await lasting.read(log, 0, 100)
    assert (ours is None) == (theirs is None)
    if ours is None or theirs is None or not ours.records:
        assert not (theirs and theirs.records)
        return
    assert (ours.head.last, ours.head.ended, ours.head.meta) == (theirs.head.last, theirs.head.ended, theirs.head.meta)
    assert theirs.head.first == theirs.records[0].offset
    assert ours.head.first - 1 <= theirs.head.first <= ours.head.first
    assert list(theirs.records)[-len(ours.records) :] == list(ours.records)
