"""The writer between runs and a store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence

import pytest

from tailrace.errors import LogEnded, StoreUnavailable
from tailrace.log import Batch, MemoryStore, Writer
from tailrace.log.backoff import Backoff
from tests.log.store_contract import records
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


class Trying(MemoryStore):
    """A memory store whose appends wait for `open_gate`, and fail as `failures` say, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[Exception] = []
        self.calls: list[list[Batch]] = []
        self.poison = ""
        self.gate = asyncio.Event()
        self.gate.set()

    async def append(self, batches: Sequence[Batch]) -> None:
        """Append, after all that."""
        self.calls.append(list(batches))
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        if any(batch.log == self.poison for batch in batches):
            raise ZeroDivisionError("a bug")
        await super().append(batches)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask a store that is away again at once."""
    monkeypatch.setattr(Backoff, "wait", lambda self: 0.0)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What is logged here is meant to be."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


async def begun(*logs: str) -> Trying:
    """A store with some logs in the epoch `e`."""
    store = Trying()
    for log in logs:
        await store.create(log, "e", "")
    return store


def batch(log: str, first: int, last: int, *, ends: bool = False) -> Batch:
    """Some records of a log in the epoch `e`."""
    return Batch(log, "e", records(first, last), ends)


async def offsets(store: Trying, log: str) -> list[int]:
    """What the store has."""
    page = await store.read(log, 0, 10_000)
    assert page is not None
    return [record.offset for record in page.records]


async def test_everything_is_stored_in_order_and_said_to_be() -> None:
    store, stored = await begun("r", "s"), list[tuple[str, int]]()
    writer = Writer(store)
    for offset in range(1, 50):
        for log in "rs":
            writer.put(batch(log, offset, offset), lambda last, log=log: stored.append((log, last)))  # type: ignore[misc]
        if offset % 7 == 0:
            await asyncio.sleep(0)
    await writer.flush()
    assert await offsets(store, "r") == await offsets(store, "s") == list(range(1, 50))
    assert [last for log, last in stored if log == "r"] == list(range(1, 50))
    await writer.close(1)


async def test_what_comes_while_a_call_is_under_way_goes_in_one_call_after_it() -> None:
    store = await begun("r")
    writer = Writer(store)
    store.gate.clear()
    writer.put(batch("r", 1, 1), lambda _: None)
    await eventually(lambda: store.calls)
    for offset in range(2, 10):
        writer.put(batch("r", offset, offset), lambda _: None)
    store.gate.set()
    await writer.flush()
    assert [len(call) for call in store.calls] == [1, 8]
    await writer.close(1)


async def test_a_store_that_is_away_is_asked_again_until_it_has_everything() -> None:
    store, stored = await begun("r"), list[int]()
    store.failures = [StoreUnavailable("away")] * 5
    writer = Writer(store)
    writer.put(batch("r", 1, 2), stored.append)
    await eventually(lambda: len(store.calls) == 3)
    assert not stored
    writer.put(batch("r", 3, 3, ends=True), stored.append)
    await writer.flush()
    assert await offsets(store, "r") == [1, 2, 3]
    assert stored == [2, 3]
    await writer.close(1)


async def test_an_append_that_took_but_said_it_did_not_is_not_doubled() -> None:
    class Forgetful(Trying):
        async def append(self, batches: Sequence[Batch]) -> None:
            await MemoryStore.append(self, batches)
            if self.failures:
                raise self.failures.pop()

    store = Forgetful()
    await store.create("r", "e", "")
    store.failures = [StoreUnavailable("timed out")] * 2
    writer = Writer(store)
    writer.put(batch("r", 1, 3, ends=True), lambda _: None)
    await writer.flush()
    assert await offsets(store, "r") == [1, 2, 3]
    await writer.close(1)


async def test_what_the_store_refuses_for_good_is_let_go_and_the_rest_is_stored() -> None:
    store, stored = await begun("r"), list[int]()
    writer = Writer(store)
    writer.put(batch("gone", 1, 1), stored.append)
    writer.put(batch("r", 1, 1), stored.append)
    await writer.flush()
    assert await offsets(store, "r") == [1]
    assert stored == [1, 1]
    store.failures = [LogEnded(["a"])]
    writer.put(batch("r", 2, 2), stored.append)
    await writer.flush()
    await writer.close(1)


async def test_a_batch_that_breaks_the_store_takes_no_other_along() -> None:
    store = await begun("r", "s", "bad")
    store.poison = "bad"
    writer = Writer(store)
    for log in ("r", "bad", "s"):
        writer.put(batch(log, 1, 1), lambda _: None)
    await writer.flush()
    writer.put(batch("r", 2, 2), lambda _: None)
    await writer.flush()
    assert (await offsets(store, "r"), await offsets(store, "s"), await offsets(store, "bad")) == ([1, 2], [1], [])
    await writer.close(1)


async def test_closing_writes_what_is_pending() -> None:
    store = await begun("r")
    writer = Writer(store)
    writer.put(batch("r", 1, 1), lambda _: None)
    await writer.close(5)
    assert await offsets(store, "r") == [1]
    await writer.close(5)


async def test_closing_waits_no_longer_than_it_may(caplog: pytest.LogCaptureFixture) -> None:
    logging.disable(logging.NOTSET)
    store = await begun("r")
    store.gate.clear()
    writer = Writer(store)
    writer.put(batch("r", 1, 1), lambda _: None)
    writer.put(batch("r", 2, 2), lambda _: None)
    await writer.close(0.01)
    assert "did not take 2 batches" in caplog.text


async def test_a_writer_that_never_wrote_has_nothing_to_close() -> None:
    writer = Writer(MemoryStore())
    await writer.flush()
    await writer.close(1)


async def test_who_wants_to_hear_of_a_refusal_does_and_of_nothing_else() -> None:
    store, stored, refused = await begun("r"), list[int](), list[str]()
    writer = Writer(store)
    writer.put(batch("gone", 1, 2), stored.append, lambda: refused.append("gone"))
    writer.put(batch("r", 1, 1), stored.append, lambda: refused.append("r"))
    await writer.flush()
    assert (stored, refused) == ([1], ["gone"])
    writer.put(batch("r", 5, 5), stored.append, lambda: refused.append("r"))
    await writer.flush()
    assert (stored, refused) == ([1], ["gone", "r"])
    assert await writer.close(1)


async def test_a_batch_that_breaks_the_store_counts_as_refused_and_hides_no_other_refusal() -> None:
    store, refused = await begun("r", "bad"), list[str]()
    store.poison = "bad"
    writer = Writer(store)
    for log in ("bad", "gone", "r"):
        writer.put(batch(log, 1, 1), lambda _: None, lambda log=log: refused.append(log))  # type: ignore[misc]
    await writer.flush()
    assert refused == ["bad", "gone"]
    await writer.close(1)


async def test_closing_says_whether_everything_was_written() -> None:
    store = await begun("r")
    writer = Writer(store)
    writer.put(batch("r", 1, 1), lambda _: None)
    assert await writer.close(5)
    store.gate.clear()
    writer.put(batch("r", 2, 2), lambda _: None)
    assert not await writer.close(0.01)
