"""What every store promises of a channel's state: changed with its records in one step, and kept beyond them."""

from __future__ import annotations

import asyncio

import pytest

from tailrace.log import Position, Retention, Snapshot, Store
from tailrace.testing import FakeClock
from tests.log.store_contract import StoreTest, entries, read

__all__ = ["StateContract", "counting"]


def counting(before: str | None) -> str:
    """One more than before."""
    return str(int(before or 0) + 1)


class StateContract(StoreTest):
    """States: new ones, folded ones, and how long they stay."""

    retention = Retention(events=10, bytes=None, age=5)

    async def test_a_channel_has_no_state_until_it_is_given_one(self, store: Store) -> None:
        position = await store.publish("a", entries(3))
        head = await store.head("a")
        assert head is not None
        assert await store.snapshot("a") == Snapshot(head, None)
        assert (head.epoch, head.last) == position

    async def test_looking_at_the_state_of_what_is_not_there_begins_it(self, store: Store) -> None:
        head, state = await store.snapshot("a")
        assert (await store.head("a"), state) == (head, None)

    @pytest.mark.parametrize("text", ["", "x", '{"é":"\U0001f9c0"}', "a\x00b", "x" * 200_000], ids=len)
    async def test_a_state_is_kept_as_it_was_given(self, store: Store, text: str) -> None:
        await store.publish("a", entries(1), None, "old")
        position = await store.publish("a", entries(2), None, text)
        await store.publish("a", entries(1))
        head, state = await store.snapshot("a")
        assert state == text
        assert (head.epoch, head.last) == Position(position.epoch, 4)

    async def test_a_fold_is_given_the_state_before(self, store: Store) -> None:
        given: list[str | None] = []

        def fold(before: str | None) -> str:
            given.append(before)
            return f"{before}+"

        for _ in range(3):
            await store.publish("a", entries(1), None, fold)
        assert given == [None, "None+", "None++"]
        assert (await store.snapshot("a")).state == "None+++"

    async def test_of_those_who_fold_at_once_none_is_lost(self, store: Store) -> None:
        positions = await asyncio.gather(*[store.publish("a", entries(1), None, counting) for _ in range(20)])
        assert sorted(position.offset for position in positions) == list(range(1, 21))
        assert (await store.snapshot("a")).state == "20"

    async def test_an_operation_that_is_repeated_folds_nothing(self, store: Store) -> None:
        for operation in ("one", "one", "two", "one"):
            await store.publish("a", entries(1), operation, counting)
        head, state = await store.snapshot("a")
        assert (head.last, state) == (2, "2")

    async def test_a_fold_that_fails_appends_nothing_and_takes_nobody_along(self, store: Store) -> None:
        def fail(before: str | None) -> str:
            raise LookupError("no state can be made of this")

        first, *failed, last = await asyncio.gather(
            store.publish("a", entries(1), None, counting),
            store.publish("b", entries(1), None, fail),
            store.publish("a", entries(1), "op", fail),
            store.publish("a", entries(1), None, counting),
            return_exceptions=True,
        )
        assert isinstance(first, Position)
        assert isinstance(last, Position)
        assert [type(each) for each in failed] == [LookupError, LookupError]
        head, state = await store.snapshot("a")
        assert (head.last, state) == (2, "2")
        assert (await store.publish("a", entries(1), "op", counting)).offset == 3

    async def test_a_dropped_history_takes_the_state_along(self, store: Store) -> None:
        await store.publish("a", entries(1), None, "old")
        dropped = await store.drop("a")
        assert await store.snapshot("a") == Snapshot(dropped, None)
        await store.publish("a", entries(1), None, counting)
        assert (await store.snapshot("a")).state == "1"

    async def test_a_state_outlives_the_records_that_it_was_made_of(self, store: Store, clock: FakeClock) -> None:
        first = await store.publish("a", entries(1), None, "kept")
        for _ in range(10):
            await store.publish("a", entries(5))
        assert (await read(store, "a")).head.first > 1
        for _ in range(3):
            await self.pass_time(clock, 86_400.0)
            await self.look_after(store)
        head, state = await store.snapshot("a")
        assert state == "kept"
        assert (head.epoch, head.last) == Position(first.epoch, 51)
        assert await store.publish("a", entries(1)) == Position(first.epoch, 52)

    async def test_what_nobody_has_used_for_a_month_is_forgotten(self, store: Store, clock: FakeClock) -> None:
        old = await store.publish("a", entries(1), None, "kept")
        for _ in range(2):  # first the records, then the channel
            await self.pass_time(clock, 31 * 86_400.0)
            await self.look_after(store)
        head, state = await store.snapshot("a")
        assert state is None
        assert head.epoch != old.epoch

    async def look_after(self, store: Store) -> None:
        """Have the store let go of what is past its keeping."""
        for _ in range(3):
            await store.ensure("b")
