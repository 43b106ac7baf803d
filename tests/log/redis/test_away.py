"""A Redis that is stopped, frozen, full or emptied, and connections that break."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from tailrace.errors import LogEnded, StoreUnavailable
from tailrace.log import Batch, Entry, Position
from tailrace.log.redis import RedisStore, calls
from tests.log.redis.place import Place
from tests.log.store_contract import Ear, read, records
from tests.support.redis import RedisServer, redis_sentinel
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server of each test's own, as none of them leaves it as it was."""
    with RedisServer() as server:
        yield server


async def until(store: RedisStore, text: str) -> Position:
    """Publish until it is taken, as a publisher does who is told to come again."""
    while True:
        try:
            return await store.publish("a", [Entry("", text)])
        except StoreUnavailable:
            await asyncio.sleep(0)


def failing(store: RedisStore) -> bool:
    """Whether the store says that it takes nothing."""
    since = store.failing_since
    assert since is None or since <= time.time()
    return since is not None


# Stopped, frozen, full.


async def test_whoever_publishes_while_redis_is_stopped_is_told_when_to_come_again(
    store: RedisStore, server: RedisServer
) -> None:
    await store.publish("a", [Entry("", "before")])
    assert not failing(store)
    server.stop(save=True)
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable) as refused:
        await store.publish("a", [Entry("", "during")])
    assert refused.value.retry_after == 1
    assert 1.5 < time.monotonic() - begun < 2.5
    assert failing(store)
    server.start()
    await until(store, "after")
    await eventually(lambda: not failing(store))  # messages arrive again a moment later
    said = [record.data for record in (await read(store, "a")).records]
    assert (said[0], said[-1]) == ("before", "after")
    assert said.count("during") <= 1


async def test_what_is_asked_while_redis_starts_again_waits_for_it(store: RedisStore, server: RedisServer) -> None:
    server.stop(save=True)
    asked = asyncio.create_task(store.publish("a", [Entry("", "x")]))
    await eventually(lambda: store.failing_since)
    server.start()
    assert (await asked).offset == 1


async def test_what_is_asked_of_a_frozen_redis_is_done_once_when_it_thaws(
    store: RedisStore, server: RedisServer
) -> None:
    await store.publish("a", [Entry("", "before")])
    server.freeze()
    asked = [asyncio.create_task(store.publish("a", [Entry("", str(number))])) for number in range(20)]
    await asyncio.wait(asked, timeout=0.2)
    server.thaw()
    assert [(await each).offset for each in asked] == list(range(2, 22))


async def test_a_frozen_redis_fails_in_time_and_comes_back(store: RedisStore, server: RedisServer) -> None:
    await store.create("r", "e", "", records(1, 1))
    server.freeze()
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await store.append([Batch("r", "e", records(2, 2))])
    assert time.monotonic() - begun < 2.5
    await eventually(lambda: failing(store))
    server.thaw()
    await eventually_done(store, Batch("r", "e", records(2, 3), ends=True))
    assert list((await read(store, "r")).records) == records(1, 3)


async def eventually_done(store: RedisStore, batch: Batch) -> None:
    """Append until it is taken, as the writer does."""
    while True:
        try:
            await store.append([batch])
        except StoreUnavailable:
            await asyncio.sleep(0)
        else:
            return


async def test_whoever_comes_when_too_much_waits_is_told_at_once(
    store: RedisStore, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "_WAITING_CALLS", 20)
    monkeypatch.setattr(calls, "_WAITING_BYTES", 10_000)
    server.freeze()
    waiting = [asyncio.create_task(store.publish("a", [Entry("", "x")])) for _ in range(19)]
    await asyncio.sleep(0)
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable, match="too much waits"):
        await store.publish("a", [Entry("", "x" * 10_000)])
    waiting.append(asyncio.create_task(store.publish("a", [Entry("", "x")])))
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="too much waits"):
        await store.publish("a", [Entry("", "x")])
    assert time.monotonic() - begun < 0.5
    server.thaw()
    assert sorted([(await each).offset for each in waiting]) == list(range(1, 21))
    assert store.calls.waiting == 0


async def test_a_full_redis_is_unavailable_and_reads_go_on(store: RedisStore, server: RedisServer) -> None:
    await store.publish("a", [Entry("", "x")])
    server.command("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(StoreUnavailable, match="takes nothing"):
        await store.publish("a", [Entry("", "x")])
    assert failing(store)
    assert (await read(store, "a")).head.last == 1
    assert failing(store)
    server.command("CONFIG", "SET", "maxmemory", "0")
    await store.publish("a", [Entry("", "x")])
    assert not failing(store)


# Lost replies and lost scripts.


async def test_nothing_is_lost_or_doubled_while_connections_break(store: RedisStore, server: RedisServer) -> None:
    await store.create("r", "e", "")
    busy = True

    async def break_connections() -> None:
        while busy:
            server.command("CLIENT", "KILL", "TYPE", "normal")
            await asyncio.sleep(0.02)

    async def publish(number: int) -> None:
        for count in range(20):
            await until(store, f"{number}.{count}")

    breaking = asyncio.create_task(break_connections())
    appended = [eventually_done(store, Batch("r", "e", records(1, last))) for last in range(1, 40)]
    await asyncio.gather(*[publish(number) for number in range(10)])
    for append in appended:
        await append
    busy = False
    await breaking
    said = [record.data for record in (await read(store, "a")).records]
    assert sorted(filter(None, said)) == sorted([f"{number}.{count}" for number in range(10) for count in range(20)])
    assert list((await read(store, "r")).records) == records(1, 39)


async def test_a_redis_that_forgot_its_scripts_is_told_them_again_in_order(
    store: RedisStore, server: RedisServer
) -> None:
    for log in "rs":
        await store.create(log, "e", "")
    server.command("SCRIPT", "FLUSH")
    # Those of one log are two calls: the first ends what the second would go on with.
    batches = [
        Batch("r", "e", records(1, 2), ends=True),
        Batch("r", "e", records(3, 3)),
        Batch("s", "e", records(1, 1)),
    ]
    with pytest.raises(LogEnded) as refused:
        await store.append(batches)
    assert refused.value.logs == {"r"}
    assert (await read(store, "r")).head.last == 2
    assert (await read(store, "s")).head.last == 1


# Emptied.


async def test_a_redis_that_comes_back_empty_is_another_epoch_and_its_runs_are_gone(
    store: RedisStore, server: RedisServer
) -> None:
    channel, run = Ear(), Ear()
    old = await store.publish("a", [Entry("", "x")])
    await store.create("r", "e", "", records(1, 1))
    for log, ear in (("a", channel), ("r", run)):
        store.follow(log, ear)
        await store.head(log)
    server.stop()
    server.start()
    await eventually(lambda: channel.dropped and run.dropped)
    head = await store.head("a")
    assert head is not None
    assert head.epoch == channel.dropped[-1] != old.epoch
    assert run.dropped[-1] == ""
    with pytest.raises(LogEnded):
        await store.append([Batch("r", "e", records(2, 2))])
    position = await store.publish("a", [Entry("", "y")])
    assert position == Position(head.epoch, 1)
    await eventually(lambda: channel.has(position))


async def test_a_failover_is_followed_and_nothing_that_was_shown_is_contradicted() -> None:
    with redis_sentinel() as sentinels:
        place = Place(sentinels.url, sentinels.servers, "failover")
        async with place.opened() as one, place.opened() as other:
            ear = Ear()
            other.follow("a", ear)
            await other.ensure("a")
            before = await one.publish("a", [Entry("", "before")])
            await eventually(lambda: ear.has(before))
            old = sentinels.master
            old.kill()
            await asyncio.to_thread(sentinels.wait_promoted, old)
            after = await until(one, "after")
            await eventually(lambda: ear.has(after))
            page = await read(other, "a")
            assert Position(page.head.epoch, page.head.last) == after
            # What the replica had not got by then is lost: the channel goes on as another epoch.
            assert after.epoch != before.epoch or after.offset == 2
            assert all(record in page.records for epoch, record in ear.heard if epoch == after.epoch)


async def test_what_a_full_redis_does_not_take_nobody_is_told_of(store: RedisStore, server: RedisServer) -> None:
    ear = Ear()
    store.follow("a", ear)
    await store.ensure("a")
    server.command("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(StoreUnavailable):
        await store.publish("a", [Entry("", "not taken")])
    with pytest.raises(StoreUnavailable):
        await store.create("r", "e", "", records(1, 1))
    server.command("CONFIG", "SET", "maxmemory", "0")
    position = await store.publish("a", [Entry("", "taken")])
    await eventually(lambda: ear.has(position))
    assert [record.data for _, record in ear.heard] == ["taken"]
