"""What every store promises, written once: a store's own test module names the store and inherits the rest.

Nothing here may hold for one store only. So time passes through `pass_time` (a store that keeps its own
clock overrides it), what a follower hears is waited for, and bounds of retention may be overshot a little.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from tailrace.errors import LogEnded
from tailrace.log import Batch, Coordination, Entry, Page, Position, Record, Retention, Store
from tailrace.testing import FakeClock
from tests.support.waiting import eventually

__all__ = [
    "CoordinationContract",
    "Ear",
    "RetentionContract",
    "StoreContract",
    "StoreTest",
    "entries",
    "read",
    "records",
]

ODD_TEXTS = ["", " ", "a\nb\r\nc\rd", "\u2028\u2029\u0085", "\x00", "Käse 🧀", "x" * 200_000, None]


def records(first: int, last: int, text: str = "t") -> list[Record]:
    """Records as a producer numbers them, from offset `first` to `last`."""
    return [Record(offset, "", f"{text}{offset}", 1_700_000_000.0) for offset in range(first, last + 1)]


def entries(count: int) -> list[Entry]:
    """Something to publish."""
    return [Entry("tick", str(number)) for number in range(count)]


class Ear:
    """A follower that remembers what it heard, in order; what came twice stands twice."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Record]] = []
        self.dropped: list[str] = []
        self.ended = False

    def on_records(self, epoch: str, records: Sequence[Record], *, ends: bool = False) -> None:
        """Remember records."""
        assert records, "a store has nothing to say of no records"
        self.heard += [(epoch, record) for record in records]
        self.ended = self.ended or ends

    def on_dropped(self, epoch: str) -> None:
        """Remember a new epoch."""
        self.dropped.append(epoch)

    def has(self, position: Position) -> bool:
        """Whether the record at `position` was heard."""
        return any((epoch, record.offset) == position for epoch, record in self.heard)


class _Timed:
    @pytest.fixture
    def clock(self) -> FakeClock:
        """The time, as far as it is the test's."""
        return FakeClock()

    async def pass_time(self, clock: FakeClock, seconds: float) -> None:
        """Let `seconds` pass for the store."""
        clock.advance(seconds)


class StoreTest(_Timed):
    """A contract that a store is held to."""

    retention = Retention(events=None, bytes=None, age=None)

    def new_store(self, clock: FakeClock, retention: Retention) -> Store:
        """Make the store that is tested, with nothing in it."""
        raise NotImplementedError

    @pytest.fixture
    async def store(self, clock: FakeClock) -> AsyncIterator[Store]:
        """An open store, closed when the test is over."""
        store = self.new_store(clock, self.retention)
        await store.open()
        yield store
        await store.close()


async def read(store: Store, log: str, after: int = 0, limit: int = 10_000) -> Page:
    """Read a log that is there."""
    page = await store.read(log, after, limit)
    assert page is not None
    return page


class StoreContract(StoreTest):
    """Logs: publishing, appending, reading, dropping, forgetting, following."""

    # Channels.

    async def test_a_log_that_nobody_began_is_not_there(self, store: Store) -> None:
        assert await store.head("a") is None
        assert await store.read("a", 0, 10) is None

    async def test_looking_at_a_channel_begins_it_empty_and_once(self, store: Store) -> None:
        head = await store.ensure("a")
        assert (head.first, head.last, head.ended) == (1, 0, False)
        assert await store.ensure("a") == head == await store.head("a")
        assert (await read(store, "a")).records == []

    async def test_a_channels_offsets_count_from_1_in_one_epoch(self, store: Store) -> None:
        positions = [await store.publish("a", entries(1)) for _ in range(3)]
        epoch = positions[0].epoch
        assert positions == [Position(epoch, 1), Position(epoch, 2), Position(epoch, 3)]
        assert Position.parse(str(positions[0])) == positions[0]

    async def test_publishing_goes_on_in_the_epoch_that_looking_began(self, store: Store) -> None:
        head = await store.ensure("a")
        assert await store.publish("a", entries(1)) == Position(head.epoch, 1)

    async def test_entries_published_together_stand_together_and_the_position_is_the_last_ones(
        self, store: Store
    ) -> None:
        await store.publish("a", entries(1))
        assert (await store.publish("a", entries(5))).offset == 6
        assert [record.data for record in (await read(store, "a", 1)).records] == ["0", "1", "2", "3", "4"]

    async def test_each_channel_has_an_epoch_of_its_own(self, store: Store) -> None:
        assert (await store.publish("a", entries(1))).epoch != (await store.publish("b", entries(1))).epoch

    async def test_whatever_text_was_published_is_read_back(self, store: Store) -> None:
        for text in ODD_TEXTS:
            await store.publish("a", [Entry("Käse: 1", text)])
        found = (await read(store, "a")).records
        assert [record.data for record in found] == ODD_TEXTS
        assert {record.event for record in found} == {"Käse: 1"}

    async def test_those_who_publish_at_once_get_offsets_without_holes(self, store: Store) -> None:
        positions = await asyncio.gather(*[store.publish("a", entries(2)) for _ in range(20)])
        assert sorted(position.offset for position in positions) == list(range(2, 42, 2))

    async def test_an_operation_that_is_repeated_appends_nothing_and_answers_as_before(self, store: Store) -> None:
        first = await store.publish("a", entries(2), "op")
        await store.publish("a", entries(1))
        assert await store.publish("a", entries(2), "op") == first
        assert (await read(store, "a")).head.last == 3

    async def test_an_operation_at_once_with_itself_appends_once(self, store: Store) -> None:
        assert len(set(await asyncio.gather(*[store.publish("a", entries(1), "op") for _ in range(5)]))) == 1

    async def test_an_operation_belongs_to_its_channel_and_its_name(self, store: Store) -> None:
        await store.publish("a", entries(1), "op")
        assert (await store.publish("b", entries(1), "op")).offset == 1
        assert (await store.publish("a", entries(1), "other")).offset == 2

    # Runs.

    async def test_a_created_log_has_the_epoch_and_the_meta_of_its_producer(self, store: Store) -> None:
        await store.create("r", "epoch", '{"owner":"ü"}')
        head = await store.head("r")
        assert head is not None
        assert (head.epoch, head.meta, head.first, head.last, head.ended) == ("epoch", '{"owner":"ü"}', 1, 0, False)

    async def test_a_log_can_be_created_with_its_first_records(self, store: Store) -> None:
        await store.create("r", "e", "", records(1, 2))
        await store.append([Batch("r", "e", records(1, 3))])
        page = await read(store, "r")
        assert list(page.records) == records(1, 3)
        assert (page.head.first, page.head.last) == (1, 3)

    async def test_what_a_producer_appends_is_read_as_it_is(self, store: Store) -> None:
        await store.create("r", "e", "")
        said = [Record(i, "tool", text, 1_700_000_000.25 + i) for i, text in enumerate(ODD_TEXTS, 1)]
        await store.append([Batch("r", "e", said[:3])])
        await store.append([Batch("r", "e", said[3:])])
        assert list((await read(store, "r")).records) == said

    async def test_one_call_appends_to_many_logs(self, store: Store) -> None:
        for log in "rst":
            await store.create(log, f"e{log}", "")
        await store.append([Batch(log, f"e{log}", records(1, 3, log)) for log in "rst"])
        for log in "rst":
            assert list((await read(store, log)).records) == records(1, 3, log)

    async def test_several_batches_of_one_log_in_one_call_are_appended_in_order(self, store: Store) -> None:
        await store.create("r", "e", "")
        await store.append([Batch("r", "e", records(1, 2)), Batch("r", "e", records(3, 4), ends=True)])
        assert list((await read(store, "r")).records) == records(1, 4)

    async def test_a_batch_may_be_repeated_in_part_or_as_a_whole(self, store: Store) -> None:
        await store.create("r", "e", "")
        await store.append([Batch("r", "e", records(1, 3))])
        await store.append([Batch("r", "e", records(1, 3))])
        await store.append([Batch("r", "e", records(2, 5), ends=True)])
        await store.append([Batch("r", "e", records(2, 5), ends=True)])
        page = await read(store, "r")
        assert list(page.records) == records(1, 5)
        assert page.head.ended

    async def test_nothing_is_appended_after_the_end(self, store: Store) -> None:
        await store.create("r", "e", "")
        await store.append([Batch("r", "e", records(1, 2), ends=True)])
        with pytest.raises(LogEnded):
            await store.append([Batch("r", "e", records(3, 3))])
        assert (await read(store, "r")).head.last == 2

    @pytest.mark.parametrize(
        "batch",
        [Batch("gone", "e", records(1, 1)), Batch("r", "other", records(3, 3)), Batch("r", "e", records(4, 4))],
        ids=["gone", "other epoch", "gap"],
    )
    async def test_what_is_refused_keeps_nothing_else_from_being_appended(self, store: Store, batch: Batch) -> None:
        await store.create("r", "e", "")
        await store.create("s", "f", "")
        await store.append([Batch("r", "e", records(1, 2))])
        with pytest.raises(LogEnded):
            await store.append([batch, Batch("s", "f", records(1, 2))])
        assert list((await read(store, "s")).records) == records(1, 2)
        assert list((await read(store, "r")).records) == records(1, 2)

    async def test_an_ended_log_is_forgotten_when_its_keeping_is_over(self, store: Store, clock: FakeClock) -> None:
        await store.create("r", "e", "")
        await store.append([Batch("r", "e", records(1, 1), ends=True, keep=2)])
        await self.pass_time(clock, 1)
        assert (await read(store, "r")).head.ended
        await self.pass_time(clock, 1.5)
        assert await store.head("r") is None
        assert await store.read("r", 0, 1) is None
        with pytest.raises(LogEnded):
            await store.append([Batch("r", "e", records(2, 2))])

    # Reading.

    async def test_reading_page_by_page_gives_every_record_once(self, store: Store) -> None:
        await store.publish("a", entries(300))
        found: list[Record] = []
        while (page := await read(store, "a", len(found), 7)).records:
            assert len(page.records) <= 7
            assert page.head.last == 300
            found += page.records
        assert [record.offset for record in found] == list(range(1, 301))

    async def test_reading_past_the_head_gives_nothing(self, store: Store) -> None:
        await store.publish("a", entries(3))
        assert list((await read(store, "a", 3)).records) == list((await read(store, "a", 99)).records) == []

    # Dropping.

    async def test_a_dropped_history_goes_on_as_another_epoch_from_offset_1(self, store: Store) -> None:
        old = await store.publish("a", entries(3), "op")
        head = await store.drop("a")
        assert head.epoch != old.epoch
        assert (head.first, head.last) == (1, 0)
        assert await store.head("a") == head
        assert await store.publish("a", entries(1), "op") == Position(head.epoch, 1)

    async def test_dropping_what_is_not_there_begins_it(self, store: Store) -> None:
        assert await store.drop("a") == await store.head("a")

    # Following.

    async def test_a_follower_hears_what_is_published_and_reads_at_least_that(self, store: Store) -> None:
        ear = Ear()
        await store.ensure("a")
        store.follow("a", ear)
        position = await store.publish("a", entries(3))
        await eventually(lambda: ear.has(position))
        page = await read(store, "a")
        assert page.head.last >= position.offset
        assert set(ear.heard) <= {(position.epoch, record) for record in page.records}
        offsets = [record.offset for _, record in ear.heard]
        assert offsets == sorted(offsets)

    async def test_a_log_can_be_followed_before_it_is_there(self, store: Store) -> None:
        channel, run = Ear(), Ear()
        store.follow("a", channel)
        store.follow("r", run)
        position = await store.publish("a", entries(1))
        await store.create("r", "e", "")
        await store.append([Batch("r", "e", records(1, 2))])
        await eventually(lambda: channel.has(position) and run.has(Position("e", 2)))

    async def test_a_follower_hears_the_end_with_the_last_record(self, store: Store) -> None:
        ear = Ear()
        store.follow("r", ear)
        await store.create("r", "e", "")
        await store.append([Batch("r", "e", records(1, 2))])
        await eventually(lambda: ear.has(Position("e", 2)))
        assert not ear.ended
        await store.append([Batch("r", "e", records(3, 3), ends=True)])
        await eventually(lambda: ear.has(Position("e", 3)))
        assert ear.ended

    async def test_a_follower_hears_of_a_drop_and_of_what_comes_after(self, store: Store) -> None:
        ear = Ear()
        await store.publish("a", entries(3))
        store.follow("a", ear)
        head = await store.drop("a")
        await eventually(lambda: ear.dropped == [head.epoch])
        position = await store.publish("a", entries(1))
        await eventually(lambda: ear.has(position))

    async def test_every_follower_hears_and_only_of_its_log(self, store: Store) -> None:
        ears = [Ear(), Ear()]
        other = Ear()
        for ear in ears:
            store.follow("a", ear)
        store.follow("b", other)
        position = await store.publish("a", entries(1))
        await eventually(lambda: all(ear.has(position) for ear in ears))
        assert not other.heard

    async def test_who_follows_no_more_hears_no_more(self, store: Store) -> None:
        quiet, waiting, ear = Ear(), Ear(), Ear()
        await store.ensure("a")
        store.follow("a", quiet)
        store.follow("a", ear)
        store.follow("later", waiting)
        store.unfollow("a", quiet)
        store.unfollow("later", waiting)
        store.unfollow("a", quiet)
        store.unfollow("nowhere", quiet)
        position = await store.publish("a", entries(1))
        later = await store.publish("later", entries(1))
        await eventually(lambda: ear.has(position))
        assert not quiet.heard
        assert not waiting.has(later)


class RetentionContract(StoreTest):
    """What a channel keeps, for stores that bound by count; those that bound by less than all say so."""

    retention = Retention(events=10, bytes=4096, age=5)
    by_bytes = True
    by_age = True

    async def test_the_newest_events_are_kept_and_read_from_the_oldest_of_them(self, store: Store) -> None:
        for _ in range(10):
            await store.publish("a", entries(5))
        page = await read(store, "a")
        assert 10 <= len(page.records) <= 20
        assert (page.records[0].offset, page.records[-1].offset) == (page.head.first, page.head.last)
        assert page.head.last == 50

    async def test_offsets_and_epoch_go_on_over_trimming(self, store: Store) -> None:
        first = await store.publish("a", entries(100))
        assert await store.publish("a", entries(1)) == Position(first.epoch, 101)

    async def test_a_channel_that_is_too_big_keeps_at_least_its_newest_event(self, store: Store) -> None:
        if not self.by_bytes:
            return
        for _ in range(5):
            await store.publish("a", [Entry("", "x" * 3000)])
        assert 1 <= len((await read(store, "a")).records) <= 2
        await store.publish("a", [Entry("", "x" * 10_000)])
        assert [record.offset for record in (await read(store, "a")).records] == [6]

    async def test_what_is_too_old_is_gone_though_nothing_new_came(self, store: Store, clock: FakeClock) -> None:
        if not self.by_age:
            return
        epoch = (await store.publish("a", entries(2))).epoch
        await self.pass_time(clock, 3)
        await store.publish("a", entries(1))
        await self.pass_time(clock, 3)
        assert [record.offset for record in (await read(store, "a")).records] == [3]
        await self.pass_time(clock, 3)
        page = await read(store, "a")
        assert (page.head.first, page.head.last, list(page.records)) == (4, 3, [])
        # A store may forget a channel that holds nothing: then no cursor of the old epoch means anything.
        position = await store.publish("a", entries(1))
        assert position.offset == (4 if position.epoch == epoch else 1)


class CoordinationContract(_Timed):
    """Names that are taken once."""

    def new_coordination(self, clock: FakeClock) -> Coordination:
        """Make the coordination that is tested, with no name taken."""
        raise NotImplementedError

    @pytest.fixture
    async def coordination(self, clock: FakeClock) -> Coordination:
        """Nobody has claimed anything."""
        return self.new_coordination(clock)

    async def test_the_first_to_claim_a_name_has_it(self, coordination: Coordination) -> None:
        assert await coordination.lookup("n") is None
        assert await coordination.claim("n", "mine", 5) == "mine"
        assert await coordination.claim("n", "theirs", 5) == "mine"
        assert await coordination.lookup("n") == "mine"
        assert await coordination.claim("other", "theirs", 5) == "theirs"

    async def test_of_those_who_claim_at_once_one_has_it(self, coordination: Coordination) -> None:
        answers = await asyncio.gather(*[coordination.claim("n", str(i), 5) for i in range(10)])
        assert len(set(answers)) == 1

    async def test_a_name_is_free_again_when_its_time_is_over(
        self, coordination: Coordination, clock: FakeClock
    ) -> None:
        await coordination.claim("n", "mine", 2)
        await self.pass_time(clock, 1)
        assert await coordination.lookup("n") == "mine"
        await self.pass_time(clock, 1.5)
        assert await coordination.lookup("n") is None
        assert await coordination.claim("n", "theirs", 2) == "theirs"

    async def test_a_name_can_be_kept_for_longer(self, coordination: Coordination, clock: FakeClock) -> None:
        await coordination.claim("n", "mine", 2)
        await coordination.extend("n", 5)
        await self.pass_time(clock, 3)
        assert await coordination.lookup("n") == "mine"

    async def test_what_nobody_has_cannot_be_kept(self, coordination: Coordination) -> None:
        await coordination.extend("n", 5)
        assert await coordination.lookup("n") is None

    async def test_a_name_can_be_given_up(self, coordination: Coordination) -> None:
        await coordination.claim("n", "mine", 5)
        await coordination.release("n")
        await coordination.release("nobody's")
        assert await coordination.claim("n", "theirs", 5) == "theirs"

    async def test_a_name_is_given_up_only_by_whoever_knows_what_it_stands_for(
        self, coordination: Coordination
    ) -> None:
        await coordination.claim("n", "mine", 5)
        await coordination.release("n", "theirs")
        assert await coordination.lookup("n") == "mine"
        await coordination.release("n", "mine")
        await coordination.release("n", "mine")
        assert await coordination.lookup("n") is None
