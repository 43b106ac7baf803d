"""What followers are told where messages alone do not tell it: what was lost, set back, or says something else."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tailrace.log import Batch, Entry, Position
from tailrace.log.redis import RedisStore
from tailrace.log.redis.states import State
from tests.log.redis.place import Place
from tests.log.store_contract import Ear, read, records
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


# A store that was set back.


async def set_back(store: RedisStore, place: Place, to: int) -> Position:
    """Publish three times, then lose what is past offset `to`, as a failover to a replica that lags does."""
    for number in range(3):
        position = await store.publish("a", [Entry("", str(number))], f"op{number}")
    place.server.command("HSET", place.key("a", "head"), "last", to)
    for offset in range(to + 1, 4):
        place.server.command("XDEL", place.key("a", "records"), f"{offset}-0")
        place.server.command("ZREM", place.key("a", "operations"), f"op{offset - 1}")
    # A replica's stream has not seen those either.
    place.server.command("XSETID", place.key("a", "records"), f"{to}-0")
    return position


async def test_a_publish_after_a_failover_never_takes_an_offset_that_was_shown(store: RedisStore, place: Place) -> None:
    old = await set_back(store, place, 1)
    fresh = await store.publish("a", [Entry("", "new")])
    assert fresh.epoch != old.epoch
    assert [record.data for record in (await read(store, "a")).records] == ["0", "new"]


async def test_a_reader_after_a_failover_is_shown_another_epoch(store: RedisStore, place: Place) -> None:
    old = await set_back(store, place, 2)
    page = await read(store, "a")
    assert page.head.epoch != old.epoch
    assert [record.data for record in page.records] == ["0", "1"]
    assert await store.head("a") == await store.ensure("a") == page.head


async def test_followers_of_a_channel_that_was_set_back_hear_of_another_epoch(place: Place) -> None:
    async with place.opened() as one, place.opened() as other:
        ear = Ear()
        other.follow("a", ear)
        await other.ensure("a")
        old = await set_back(one, place, 1)
        await eventually(lambda: ear.has(old))
        await other._following.compare()
        assert len(ear.dropped) == 1
        assert (await one.publish("a", [Entry("", "new")])).epoch == ear.dropped[0] != old.epoch


async def test_a_message_that_contradicts_what_was_shown_is_another_epoch(place: Place) -> None:
    async with place.opened() as one, place.opened() as other, place.opened() as third:
        ear = Ear()
        other.follow("a", ear)
        await other.ensure("a")
        old = await set_back(one, place, 2)
        await eventually(lambda: ear.has(old))
        assert await third.publish("a", [Entry("", "contradiction")]) == old  # it knows no better
        await eventually(lambda: ear.dropped)
        assert (await read(other, "a")).head.epoch == ear.dropped[0] != old.epoch
        assert "contradiction" not in [record.data for epoch, record in ear.heard if epoch == old.epoch]


@pytest.mark.parametrize("said", [["contradiction"], ["contradiction", "more"]])
async def test_a_contradiction_that_nobody_heard_is_found_after_an_interruption(
    place: Place, said: Sequence[str]
) -> None:
    async with place.opened() as one, place.opened() as other, place.opened() as third:
        ear = Ear()
        other.follow("a", ear)
        await other.ensure("a")
        old = await set_back(one, place, 2)
        await eventually(lambda: ear.has(old))
        place.server.command("CLIENT", "KILL", "TYPE", "pubsub")
        for text in said:
            await third.publish("a", [Entry("", text)])
        # By whichever comes first: the new epoch's name, or a record of it.
        await eventually(lambda: ear.dropped or ear.heard[-1][0] != old.epoch)


# Lost messages.


async def test_heads_are_compared_once_messages_come(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    following, look = store._following, store._logs.look_all

    async def confirm(logs: Sequence[str]) -> None:
        order.append("confirmed")

    async def looked(logs: Sequence[str]) -> Sequence[State | None]:
        order.append("looked")
        return await look(logs)

    monkeypatch.setattr(following, "_confirm", confirm)
    monkeypatch.setattr(store._logs, "look_all", looked)
    store.follow("a", Ear())
    await following.compare()
    assert order == ["confirmed", "looked"]


async def test_a_last_message_that_was_lost_is_told_without_another(place: Place) -> None:
    async with place.opened() as one, place.opened() as other:
        ear = Ear()
        other.follow("a", ear)
        await other.ensure("a")
        await one.publish("a", [Entry("", "heard")])
        place.server.command("CLIENT", "KILL", "TYPE", "pubsub")
        lost = await one.publish("a", [Entry("", "lost")])
        await eventually(lambda: ear.has(lost))


async def test_a_message_that_was_lost_without_any_interruption_is_found_now_and_then(place: Place) -> None:
    async with place.opened() as one, place.opened() as other:
        ear = Ear()
        other.follow("r", ear)
        await one.create("r", "e", "", records(1, 1))
        await other.head("r")
        other._listener._channels.pop(f"{place.prefix}:{{r}}".encode())  # whatever is said of it is lost from now on
        await one.append([Batch("r", "e", records(2, 4), ends=True)])
        other._listener.subscribe(f"{place.prefix}:{{r}}")
        await eventually(lambda: ear.ended)
        assert ear.has(Position("e", 4))


async def test_a_message_that_is_none_harms_nobody(
    store: RedisStore, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    ear = Ear()
    store.follow("a", ear)
    await store.ensure("a")
    place.server.command("PUBLISH", f"{place.prefix}:{{a}}", b"\xff nonsense")
    position = await store.publish("a", [Entry("", "x")])
    await eventually(lambda: ear.has(position))
    assert [record.getMessage()[:22] for record in caplog.records] == ["a message that is none"]
