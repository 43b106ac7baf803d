"""The Redis store and its coordination: what every store promises, and what is theirs alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tailrace.errors import LogEnded
from tailrace.log import Batch, Entry, Page, Position, Record, Retention
from tailrace.log.redis import RedisCoordination, RedisStore
from tailrace.log.redis.servers import Command
from tailrace.testing import FakeClock
from tests.log.redis.place import Place
from tests.log.state_contract import StateContract, counting
from tests.log.store_contract import CoordinationContract, Ear, RetentionContract, StoreContract, entries, read, records
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


class _InRedis:
    @pytest.fixture(autouse=True)
    def _put(self, place: Place) -> None:
        self.place = place

    def new_store(self, clock: FakeClock, retention: Retention) -> RedisStore:
        return self.place.store(retention, clock)

    async def pass_time(self, clock: FakeClock, seconds: float) -> None:
        self.place.pass_time(seconds)


class TestRedisStore(_InRedis, StoreContract):
    """Keeps what every store promises."""


class TestRedisRetention(_InRedis, RetentionContract):
    """Bounds channels by count and by bytes; by age as a whole."""

    by_age = False


class TestRedisState(_InRedis, StateContract):
    """Keeps states."""


class TestRedisCoordination(_InRedis, CoordinationContract):
    """Keeps what every coordination promises."""

    @pytest.fixture
    async def coordination(self, store: RedisStore) -> RedisCoordination:
        return store.coordination


async def test_instances_that_fold_at_once_lose_nothing(place: Place) -> None:
    async with place.opened() as one, place.opened() as two, place.opened() as three:
        stores = (one, two, three)
        await asyncio.gather(*[stores[i % 3].publish("a", entries(1), None, counting) for i in range(60)])
        for store in stores:
            head, state = await store.snapshot("a")
            assert (head.last, state) == (60, "60")


# What lives how long.


async def test_every_key_expires(store: RedisStore, place: Place) -> None:
    await store.publish("a", [Entry("", "x")], "op")
    await store.ensure("b")
    await store.drop("c")
    await store.create("r", "e", "", records(1, 1))
    await store.create("s", "e", "")
    await store.append([Batch("s", "e", records(1, 1))])
    await store.create("t", "e", "")
    await store.append([Batch("t", "e", records(1, 1), ends=True, keep=None)])
    await store.coordination.claim("n", "v", 5)
    fleet = store.fleet
    await fleet.beat()
    await fleet.send(fleet.name, "letter")
    await fleet.watch("r")
    await fleet.seal("r", "e", [Entry("done", "[DONE]")], None)
    await fleet.seal("gone", "e", [Entry("done", "[DONE]")], None, "meta")
    assert len(place.keys()) >= 15
    assert place.lasting() == []


async def test_a_channels_records_live_for_their_age_and_its_epoch_for_an_hour_more(place: Place) -> None:
    async with place.opened(Retention(events=10, bytes=None, age=60)) as store:
        position = await store.publish("a", [Entry("", "x")])
        place.pass_time(40)
        await store.publish("a", [Entry("", "x")])
        place.pass_time(40)
        assert len((await read(store, "a")).records) == 2
        place.pass_time(40)
        page = await read(store, "a")
        assert (page.head.first, page.head.last, list(page.records)) == (3, 2, [])
        assert await store.publish("a", [Entry("", "x")]) == Position(position.epoch, 3)
        place.pass_time(3700)
        assert await store.head("a") is None


async def test_a_run_lives_a_day_from_when_it_last_said_something(store: RedisStore, place: Place) -> None:
    await store.create("r", "e", "", records(1, 1))
    place.pass_time(86_000)
    await store.append([Batch("r", "e", records(2, 2))])
    place.pass_time(86_000)
    assert len((await read(store, "r")).records) == 2
    place.pass_time(1000)
    assert await store.head("r") is None


async def test_a_channel_that_somebody_reads_keeps_its_epoch(place: Place) -> None:
    async with place.opened(Retention(age=60)) as store:
        head = await store.ensure("a")
        store.follow("a", Ear())
        await store.ensure("a")
        for _ in range(3):
            place.pass_time(3000)
            await store._following.compare()
        assert await store.head("a") == head


async def test_what_is_held_of_a_channel_is_counted_right_through_trimming_expiry_and_batches(place: Place) -> None:
    async with place.opened(Retention(events=5, bytes=3000, age=60)) as store:

        async def held() -> tuple[int, int]:
            """By the channel's own count, and by what is there."""
            entries = place.server.command("XRANGE", place.key("a", "records"), "-", "+")
            return int(place.server.command("HGET", place.key("a", "head"), "held")), sum(
                len(record.encode()) + 64 for _, (_, record) in entries
            )

        for sizes in ([1], [500, 700, 900], [1], [1] * 9, [2000, 1500], [10_000], [1, 1], [4000, 1]):
            await store.publish("a", [Entry("", "x" * size) for size in sizes])
            counted, there = await held()
            page = await read(store, "a")
            assert counted == there
            assert 1 <= len(page.records) <= 5
            assert there <= 3000 * 17 / 16 or len(page.records) == 1
            assert page.records[-1].offset == page.head.last
        place.pass_time(61)
        await store.publish("a", [Entry("", "x")])
        counted, there = await held()
        assert counted == there < 100
        await store.drop("a")
        await store.publish("a", [Entry("", "x")])
        counted, there = await held()
        assert counted == there < 100


async def test_a_page_of_large_records_is_bounded_by_their_size_and_goes_on_where_it_ended(place: Place) -> None:
    async with place.opened(Retention(events=100, bytes=None)) as store:
        large = [Record(offset, "", "x" * 300_000, 1.0) for offset in range(1, 13)]
        await store.create("r", "e", "")
        for record in large:
            await store.publish("a", [Entry("", record.data)])
            await store.append([Batch("r", "e", [record])])
        for log in "ar":
            after = 0
            while after < 12:
                page = await store.read(log, after, 1000)
                assert page is not None
                assert [record.offset for record in page.records] == list(range(after + 1, after + 4))
                after = page.records[-1].offset


async def test_a_name_is_kept_under_a_key_without_blanks_and_quotes(store: RedisStore, place: Place) -> None:
    names = ['key:[null, "a b"]', 'key:["ann", "a b"]', "key:%5B", "key:[", "ü\ud800"]
    for name in names:
        assert await store.coordination.claim(name, name, 5) == name
    found = place.keys()
    keys = [key for key in found if "{name:" in key]
    assert len(set(keys)) == len(names)
    assert not any(set(' "[]') & set(key) for key in keys)


async def test_operations_are_remembered_for_as_many_events_as_are_kept(place: Place) -> None:
    async with place.opened(Retention(events=10)) as store:
        first = await store.publish("a", [Entry("", "x")], "first")
        for number in range(9):
            await store.publish("a", [Entry("", "x")], str(number))
        assert await store.publish("a", [Entry("", "x")], "first") == first
        await store.publish("a", [Entry("", "x")])
        assert (await store.publish("a", [Entry("", "x")], "first")).offset == 12


# Calls that are performed twice.


async def test_what_a_connection_that_was_given_up_delivers_late_changes_nothing(
    store: RedisStore, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Command, object]] = []
    run = store._servers.run

    async def recorded(commands: Sequence[Command]) -> list[object]:
        replies = await run(commands)
        asked.extend(zip(commands, replies, strict=True))
        return replies

    monkeypatch.setattr(store._servers, "run", recorded)
    for log in "rst":
        await store.create(log, "e", "", records(1, 1))
        await store.append([Batch(log, "e", records(2, 3))])
    await store.append([Batch("r", "e", records(4, 5), ends=True)])
    assert await store.fleet.seal("s", "e", entries(2), None)
    assert await store.fleet.seal("gone", "e", entries(2), None, "meta")
    for _ in range(3):
        async with place.opened() as other:
            await other.publish("a", entries(2))  # after a drop nobody knows it any more: then it is another
        await store.drop("a")
    await store.publish("a", entries(3))
    await store.publish("a", entries(1), "op")
    await store.coordination.claim("n", "mine", 60)
    monkeypatch.undo()

    async def shown() -> list[Page]:
        return [await read(store, log) for log in ("r", "s", "t", "gone", "a")]

    before = await shown()
    for command, reply in asked:
        again = place.server.command(*command.words)
        if command.words[0] == "EVALSHA" and isinstance(reply, int):
            assert again == reply
        assert await shown() == before


async def test_a_look_at_a_followed_log_waits_until_its_messages_come(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    coming = asyncio.Event()

    async def confirmed(channel: str) -> None:
        await coming.wait()

    monkeypatch.setattr(store._listener, "confirmed", confirmed)
    store.follow("a", Ear())
    looks = [asyncio.ensure_future(look) for look in (store.ensure("a"), store.head("a"), store.read("a", 0, 1))]
    for _ in range(2):
        await store.ensure("not followed")  # long enough for the others, if they did not wait
    assert not any(look.done() for look in looks)
    coming.set()
    await asyncio.wait(looks)


# Instances.


async def test_what_one_instance_publishes_another_hears_and_reads(place: Place) -> None:
    async with place.opened() as one, place.opened() as other:
        ear = Ear()
        other.follow("a", ear)
        head = await other.ensure("a")
        position = await one.publish("a", [Entry("tick", "Käse 🧀")])
        assert position == Position(head.epoch, 1)
        await eventually(lambda: ear.has(position))
        page = await read(other, "a")
        assert [(position.epoch, record) for record in page.records] == ear.heard


async def test_a_batch_is_told_in_one_message_with_its_end(place: Place) -> None:
    async with place.opened() as one, place.opened() as other:
        told: list[tuple[list[Record], bool]] = []

        class Counting(Ear):
            def on_records(self, epoch: str, records: object, *, ends: bool = False) -> None:
                told.append((list(records), ends))  # type: ignore[call-overload]

        other.follow("r", Counting())
        await one.create("r", "e", "", records(1, 1))
        await other.head("r")
        await one.append([Batch("r", "e", records(2, 4)), Batch("r", "e", records(5, 9), ends=True)])
        await eventually(lambda: told and told[-1][1])
        assert told[-1] == (records(2, 9), True)


async def test_prefixes_keep_fleets_apart(place: Place) -> None:
    apart = Place(place.url, place.nodes, f"{place.prefix}x")
    async with place.opened() as one, apart.opened() as other:
        ear = Ear()
        other.follow("a", ear)
        await other.ensure("a")
        await one.publish("a", [Entry("", "x")])
        await other.fleet.beat()
        assert list((await one.fleet.beat()).beats) == [one.fleet.name]
        assert (await read(other, "a")).head.last == 0
        assert not ear.heard


async def test_many_batches_of_a_run_are_one_call(store: RedisStore, place: Place) -> None:
    await store.create("r", "e", "")
    before = place.server.commands_processed()
    await store.append([Batch("r", "e", records(i, i)) for i in range(1, 101)])
    evaluated = place.server.command("INFO", "commandstats")
    assert "cmdstat_evalsha" in evaluated
    # Within the script each record is a command; without their joining each would be an EVALSHA with four more.
    assert place.server.commands_processed() - before < 120
    assert (await read(store, "r")).head.last == 100


async def test_an_append_of_more_than_a_pipeline_holds_arrives_in_order(store: RedisStore) -> None:
    text = "x" * 100_000
    await store.create("r", "e", "")
    await store.create("s", "e", "")
    said = [Record(offset, "", f"{offset}{text}", 1.0) for offset in range(1, 61)]
    batches = [Batch(log, "e", [record]) for record in said for log in "rs"]
    with pytest.raises(LogEnded) as refused:
        await store.append([*batches, Batch("gone", "e", records(1, 1))])
    assert refused.value.logs == {"gone"}
    for log in "rs":
        page = await read(store, log)
        while page.records[-1].offset < 60:
            more = await store.read(log, page.records[-1].offset, 1000)
            assert more is not None
            page = Page(more.head, [*page.records, *more.records])
        assert list(page.records) == said


async def test_pages_are_of_one_moment_while_others_publish_trim_and_drop(place: Place) -> None:
    retention = Retention(events=10)
    async with place.opened(retention) as one, place.opened(retention) as other:
        busy = True

        async def publish() -> None:
            while busy:
                epochs = {(await one.publish("a", [Entry("", "x")] * 5)).epoch for _ in range(5)}
                assert len(epochs) == 1
                await one.drop("a")

        publishing = asyncio.create_task(publish())
        for _ in range(300):
            page = await other.read("a", 3, 4)
            if page is not None and page.records:
                assert page.records[0].offset == max(page.head.first, 4)
                assert page.records[-1].offset == min(page.records[0].offset + 3, page.head.last)
        busy = False
        await publishing
