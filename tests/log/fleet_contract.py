"""What every fleet promises: instances on one store, each an object with a store of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Protocol

import pytest

from tailrace.errors import LogEnded
from tailrace.log import Batch, Entry, Record, Store
from tailrace.log.fleet import VIEWERS_KEPT, Beat, Fleet
from tailrace.log.store import RESERVED
from tests.log.store_contract import Ear, read, records
from tests.support.waiting import eventually

__all__ = ["FleetContract"]

END = [Entry("error", "interrupted"), Entry("done", "[DONE]")]


class Instance(Store, Protocol):
    """A store that has a fleet."""

    @property
    def fleet(self) -> Fleet:
        """What the store's instances do for each other."""
        ...


class FleetContract:
    """Beats, letters, who produces and who watches what, and the end of what nobody produces any more."""

    def new_instance(self) -> AbstractAsyncContextManager[Instance]:
        """An open store of its own, on what all of a test's instances share."""
        raise NotImplementedError

    async def pass_time(self, seconds: float) -> None:
        """Let `seconds` pass for the store."""
        raise NotImplementedError

    @pytest.fixture
    async def instances(self) -> AsyncIterator[Sequence[Instance]]:
        """Two instances."""
        async with AsyncExitStack() as stack:
            yield [await stack.enter_async_context(self.new_instance()) for _ in range(2)]

    @pytest.fixture
    def one(self, instances: Sequence[Instance]) -> Instance:
        """The first of the two."""
        return instances[0]

    @pytest.fixture
    def other(self, instances: Sequence[Instance]) -> Instance:
        """The second."""
        return instances[1]

    # Beats.

    async def test_each_instance_has_a_name_of_its_own(self, one: Instance, other: Instance) -> None:
        assert one.fleet.name != other.fleet.name

    async def test_a_beat_counts_up_and_shows_everybodys(self, one: Instance, other: Instance) -> None:
        assert (await one.fleet.beat()).beats == {one.fleet.name: Beat(1)}
        await other.fleet.beat(leaving=True)
        roster = await one.fleet.beat()
        assert roster.beats == {one.fleet.name: Beat(2), other.fleet.name: Beat(1, leaving=True)}

    async def test_who_resigned_or_was_forgotten_is_not_on_the_roster(self, one: Instance, other: Instance) -> None:
        for leave in (other.fleet.resign, lambda: one.fleet.forget(other.fleet.name)):
            await other.create("r", "e", "")
            await other.fleet.beat()
            await leave()
            assert list((await one.fleet.beat()).beats) == [one.fleet.name]
            assert list(await one.fleet.produced_by(other.fleet.name)) == []

    async def test_an_instance_that_was_forgotten_and_lives_is_back_with_its_next_beat(
        self, one: Instance, other: Instance
    ) -> None:
        await other.fleet.beat()
        await one.fleet.forget(other.fleet.name)
        await other.fleet.beat()
        assert (await one.fleet.beat()).beats[other.fleet.name] == Beat(2)

    # Letters.

    async def test_a_letter_comes_once_and_to_whom_it_is_for(self, one: Instance, other: Instance) -> None:
        await one.fleet.send(other.fleet.name, "cancel r: Käse 🧀")
        await one.fleet.send(other.fleet.name, "cancel s")
        assert (await one.fleet.beat()).letters == []
        assert sorted((await other.fleet.beat()).letters) == ["cancel r: Käse 🧀", "cancel s"]
        for _ in range(3):
            assert (await other.fleet.beat()).letters == []

    async def test_the_same_letter_twice_is_two_letters(self, one: Instance, other: Instance) -> None:
        for _ in range(2):
            await one.fleet.send(other.fleet.name, "look")
        assert (await other.fleet.beat()).letters == ["look", "look"]

    async def test_whoever_is_sent_a_letter_is_woken(self, one: Instance, other: Instance) -> None:
        woken = asyncio.Event()
        other.fleet.on_wake(woken.set)
        async with asyncio.timeout(10):
            while not woken.is_set():  # an instance that has just started may not hear yet: its beats do without
                await one.fleet.send(other.fleet.name, "look")
                await asyncio.sleep(0.01)
        assert (await other.fleet.beat()).letters

    async def test_a_letter_to_nobody_is_no_error(self, one: Instance) -> None:
        await one.fleet.send("nobody", "look")

    # Who produces what.

    async def test_what_an_instance_created_is_known_until_it_has_ended(self, one: Instance, other: Instance) -> None:
        for log in ("r", "s", "t"):
            await one.create(log, "e", "", records(1, 1))
        assert sorted(await other.fleet.produced_by(one.fleet.name)) == ["r", "s", "t"]
        await one.append([Batch("r", "e", records(2, 2), ends=True), Batch("s", "e", records(2, 2))])
        await one.fleet.seal("t", "e", END, 60)
        await one.fleet.beat()
        assert list(await other.fleet.produced_by(one.fleet.name)) == ["s"]
        assert list(await one.fleet.produced_by(other.fleet.name)) == []

    # Who watches what.

    async def test_watchers_are_the_instances_that_watch(self, one: Instance, other: Instance) -> None:
        assert await one.fleet.watchers("r") == frozenset()
        await other.fleet.watch("r")
        await other.fleet.watch("r")
        await one.fleet.watch("r")
        await one.fleet.watch("s")
        assert await one.fleet.watchers("r") == {one.fleet.name, other.fleet.name}
        await other.fleet.unwatch("r")
        await other.fleet.unwatch("r")
        assert await other.fleet.watchers("r") == {one.fleet.name}

    async def test_of_each_log_each_instance_says_who_views_it(self, one: Instance, other: Instance) -> None:
        assert await one.fleet.viewers("c") == {}
        await one.fleet.tell_viewers({"c": "3 é", "d": "1"})
        await other.fleet.tell_viewers({"c": "2"})
        await one.fleet.tell_viewers({"c": "4", "d": ""})
        assert await other.fleet.viewers("c") == {one.fleet.name: "4", other.fleet.name: "2"}
        assert await other.fleet.viewers("d") == {}

    async def test_what_was_said_of_viewers_is_forgotten_where_nobody_renews_it(
        self, one: Instance, other: Instance
    ) -> None:
        await one.fleet.tell_viewers({"c": "3"})
        await self.pass_time(VIEWERS_KEPT + 1)
        assert await other.fleet.viewers("c") == {}

    # The end of what nobody produces any more.

    async def test_a_sealed_log_has_its_end_above_all_that_was_said(self, one: Instance, other: Instance) -> None:
        ear = Ear()
        other.follow("r", ear)
        await one.create("r", "e", "meta", records(1, 3))
        await other.head("r")
        assert await other.fleet.seal("r", "e", END, 60)
        page = await read(one, "r")
        assert [(record.offset, record.event, record.data) for record in page.records[3:]] == [
            (RESERVED + 1, "error", "interrupted"),
            (RESERVED + 2, "done", "[DONE]"),
        ]
        assert list(page.records[:3]) == records(1, 3)
        assert (page.head.first, page.head.last, page.head.ended, page.head.meta) == (1, RESERVED + 2, True, "meta")
        await eventually(lambda: ear.ended)
        assert [record for _, record in ear.heard[-2:]] == list(page.records[3:])

    async def test_of_all_who_seal_a_log_one_does(self, instances: Sequence[Instance]) -> None:
        await instances[0].create("r", "e", "", records(1, 1))
        sealed = await asyncio.gather(*[instances[i % 2].fleet.seal("r", "e", END, 60) for i in range(10)])
        assert sorted(sealed) == [False] * 9 + [True]
        assert (await read(instances[0], "r")).head.last == RESERVED + 2

    async def test_what_a_producer_ended_cannot_be_sealed(self, one: Instance, other: Instance) -> None:
        await one.create("r", "e", "")
        await one.append([Batch("r", "e", records(1, 2), ends=True)])
        assert not await other.fleet.seal("r", "e", END, 60, "meta")
        assert list((await read(other, "r")).records) == records(1, 2)

    async def test_another_epoch_cannot_be_sealed(self, one: Instance, other: Instance) -> None:
        await one.create("r", "e", "", records(1, 1))
        assert not await other.fleet.seal("r", "f", END, 60, "meta")
        assert not (await read(other, "r")).head.ended

    async def test_a_zombies_late_append_is_refused_though_its_offsets_are_lower(
        self, one: Instance, other: Instance
    ) -> None:
        await one.create("r", "e", "", records(1, 2))
        await other.fleet.seal("r", "e", END, 60)
        for late in (records(3, 4), records(2, 3), [Record(RESERVED + 3, "", "x", 1.0)]):
            for ends in (False, True):
                with pytest.raises(LogEnded) as refused:
                    await one.append([Batch("r", "e", late, ends=ends)])
                assert refused.value.logs == {"r"}
        assert (await read(one, "r")).head.last == RESERVED + 2

    async def test_what_a_producer_had_said_before_the_seal_it_may_repeat(self, one: Instance, other: Instance) -> None:
        await one.create("r", "e", "", records(1, 2))
        await one.append([Batch("r", "e", records(3, 4))])
        await other.fleet.seal("r", "e", END, 60)
        await one.append([Batch("r", "e", records(3, 4))])
        await one.append([Batch("r", "e", records(1, 1))])
        assert len((await read(one, "r")).records) == 6

    async def test_an_append_and_a_seal_at_once_agree_on_the_end(self, one: Instance, other: Instance) -> None:
        for number in range(20):
            log = f"r{number}"
            await one.create(log, "e", "", records(1, 1))
            batch = Batch(log, "e", records(2, 3), ends=True)
            ended, sealed = await asyncio.gather(
                one.append([batch]), other.fleet.seal(log, "e", END, 60), return_exceptions=True
            )
            page = await read(other, log)
            assert (ended is None) != sealed
            assert page.head.last == (RESERVED + 2 if sealed else 3)
            assert page.head.ended

    async def test_a_log_that_is_gone_stays_so(self, one: Instance) -> None:
        assert not await one.fleet.seal("r", "e", END, 60)
        assert await one.head("r") is None

    async def test_a_log_that_is_gone_is_begun_with_its_end_by_whoever_knows_its_meta(
        self, one: Instance, other: Instance
    ) -> None:
        sealed = await asyncio.gather(*[each.fleet.seal("r", "e", END, 60, "meta") for each in (one, other)])
        assert sorted(sealed) == [False, True]
        page = await read(one, "r")
        assert (page.head.first, page.head.last, page.head.meta) == (RESERVED + 1, RESERVED + 2, "meta")
        assert [record.event for record in page.records] == ["error", "done"]
        with pytest.raises(LogEnded):
            await one.append([Batch("r", "e", records(1, 1))])

    async def test_a_sealed_log_is_forgotten_when_its_keeping_is_over(self, one: Instance) -> None:
        await one.create("r", "e", "", records(1, 1))
        await one.fleet.seal("r", "e", END, 60)
        await self.pass_time(50)
        assert await one.head("r") is not None
        await self.pass_time(20)
        assert await one.head("r") is None
