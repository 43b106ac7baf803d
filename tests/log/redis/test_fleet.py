"""The instances on one Redis: what every fleet promises, and what happens to letters whose calls are repeated."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import pytest

from tailrace.errors import StoreUnavailable
from tailrace.log import Entry
from tailrace.log.redis import RedisStore
from tests.log.fleet_contract import FleetContract
from tests.log.redis.place import Place
from tests.log.store_contract import records

pytestmark = pytest.mark.anyio


class TestRedisFleet(FleetContract):
    """Keeps what every fleet promises."""

    @pytest.fixture(autouse=True)
    def _put(self, place: Place) -> None:
        self.place = place

    def new_instance(self) -> AbstractAsyncContextManager[RedisStore]:
        return self.place.opened()

    async def pass_time(self, seconds: float) -> None:
        self.place.pass_time(seconds)


async def test_a_letter_that_was_sent_again_after_it_was_read_is_not_read_again(
    store: RedisStore, place: Place
) -> None:
    fleet = store.fleet
    mail = f"{place.prefix}:{{fleet}}:mail:{fleet.name}"
    place.server.command("HSET", mail, "id", "look")
    assert (await fleet.beat()).letters == ["look"]
    await fleet.beat()
    assert place.server.command("EXISTS", mail) == 0
    place.server.command("HSET", mail, "id", "look")
    place.server.command("PEXPIRE", mail, 1000)
    assert (await fleet.beat()).letters == []


async def test_a_letter_stays_until_a_beat_said_that_it_was_read(store: RedisStore, place: Place) -> None:
    fleet = store.fleet
    await fleet.send(fleet.name, "look")
    mail = f"{place.prefix}:{{fleet}}:mail:{fleet.name}"
    assert (await fleet.beat()).letters == ["look"]
    assert place.server.command("HLEN", mail) == 1  # had the reply been lost, it would come again
    await fleet.beat()
    assert place.server.command("HLEN", mail) == 0


async def test_what_is_watched_is_said_again_after_the_store_was_away(store: RedisStore, place: Place) -> None:
    fleet = store.fleet
    await fleet.watch("r")
    await fleet.watch("s")
    await fleet.unwatch("s")
    place.server.command("DEL", *place.keys())
    fleet.on_restored()
    await fleet.beat()
    assert await fleet.watchers("r") == {fleet.name}
    assert await fleet.watchers("s") == frozenset()


async def test_a_beat_that_did_not_come_through_is_made_up_for_by_the_next(
    store: RedisStore, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = store.fleet
    mail = f"{place.prefix}:{{fleet}}:mail:{fleet.name}"
    await fleet.send(fleet.name, "look")
    await fleet.beat()
    await store.create("r", "e", "", records(1, 1))
    await fleet.seal("r", "e", [Entry("done", "[DONE]")], 60)
    await fleet.watch("s")
    fleet.on_restored()

    async def away(calls: object, **turn: object) -> list[object]:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(store.calls, "run", away)
        with pytest.raises(StoreUnavailable):
            await fleet.beat()
    place.server.command("DEL", place.key("s", "watchers"))
    await fleet.beat()
    assert place.server.command("HLEN", mail) == 0
    assert list(await fleet.produced_by(fleet.name)) == []
    assert await fleet.watchers("s") == {fleet.name}
