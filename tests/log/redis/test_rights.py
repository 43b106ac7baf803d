"""A user of Redis who may not do all that the store does: told at the start, and waited for later."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tailrace.errors import StoreError, StoreUnavailable
from tailrace.log import Batch, Entry
from tailrace.log.writer import Writer
from tests.log.redis.place import Place
from tests.log.store_contract import Ear, read, records
from tests.support.redis import RedisServer, redis_cluster
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio

CATEGORIES = ("+@read", "+@write", "+@scripting", "+@pubsub", "+@connection", "+time")
ALL = ("~t:*", "&t:*", *CATEGORIES)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server of each test's own, whose users it changes."""
    with RedisServer() as server:
        yield server


def user(server: RedisServer, *rights: str) -> Place:
    """The place of a user who has these rights and no others."""
    server.command("ACL", "SETUSER", "app", "reset", "on", ">pw", *rights)
    return Place(f"redis://app:pw@127.0.0.1:{server.port}", (server,), "t")


async def opened(place: Place) -> None:
    """Open a store there, and close it."""
    async with place.opened():
        pass


@pytest.mark.parametrize(
    ("rights", "told"),
    [
        (("~*", "+@all"), "channel"),  # what `ACL SETUSER` gives who asks for all keys and all commands
        (("~*", "&other:*", "+@all"), "channel"),
        (("~other:*", "&*", "+@all"), "keys"),
        ((*ALL, "-xadd"), "command"),
        ((*ALL, "-subscribe"), "'subscribe' command"),
    ],
)
async def test_who_lacks_a_right_is_told_at_the_start_and_how_to_get_it(
    server: RedisServer, rights: tuple[str, ...], told: str
) -> None:
    with pytest.raises(StoreError, match=rf"lacks rights; ACL SETUSER … ~t:\* &t:\* .* gives them \(.*{told}"):
        await opened(user(server, *rights))


async def test_nothing_is_left_of_the_look_at_the_rights(server: RedisServer) -> None:
    place = user(server, *ALL)
    await opened(place)
    assert place.keys() == []


async def test_the_rights_that_are_asked_for_are_enough(server: RedisServer) -> None:
    place = user(server, *ALL)
    async with place.opened() as store:
        ear = Ear()
        store.follow("a", ear)
        await store.ensure("a")
        position = await store.publish("a", [Entry("", "x")])
        await eventually(lambda: ear.has(position))
        assert (await read(store, "a")).head.last == 1
        await store.drop("a")
        await store.create("r", "e", "", records(1, 1))
        await store.append([Batch("r", "e", records(2, 2))])
        fleet = store.fleet
        await fleet.send(fleet.name, "letter")
        assert (await fleet.beat()).letters == ["letter"]
        await fleet.watch("r")
        assert await fleet.watchers("r") == {fleet.name}
        await fleet.unwatch("r")
        assert list(await fleet.produced_by(fleet.name)) == ["r"]
        assert await fleet.seal("r", "e", [Entry("done", "[DONE]")], None)
        await fleet.resign()
        names = store.coordination
        assert await names.claim("n", "v", 5) == "v"
        await names.extend("n", 5)
        await names.release("n", "v")
        assert await names.lookup("n") is None


async def test_a_right_that_is_taken_away_costs_nothing_that_was_said(server: RedisServer) -> None:
    place = user(server, *ALL)
    async with place.opened() as store:
        await store.create("r", "e", "", records(1, 1))
        writer = Writer(store)
        stored: list[int] = []
        user(server, "~t:*", *CATEGORIES)
        writer.put(Batch("r", "e", records(2, 2)), stored.append)
        with pytest.raises(StoreUnavailable):
            await store.publish("a", [Entry("", "x")])
        assert store.failing_since is not None
        assert not stored
        user(server, *ALL)
        await asyncio.wait_for(writer.flush(), 10)
        assert stored == [2]
        assert (await read(store, "r")).head.last == 2
        assert (await store.publish("a", [Entry("", "x")])).offset == 1
        assert [record.data for record in (await read(store, "a")).records] == ["x"]
        await eventually(lambda: store.failing_since is None)
        await writer.close(1)


async def test_messages_that_do_not_arrive_are_a_failing_store(server: RedisServer) -> None:
    place = user(server, *ALL)
    async with place.opened() as store:
        store.follow("a", Ear())
        await store.ensure("a")
        user(server, *ALL, "-subscribe")
        server.command("CLIENT", "KILL", "TYPE", "pubsub")
        await eventually(lambda: store.failing_since)
        await store.publish("a", [Entry("", "x")])  # while all else works
        user(server, *ALL)
        await eventually(lambda: store.failing_since is None)


async def test_on_a_cluster_the_rights_that_are_asked_for_are_enough() -> None:
    with redis_cluster() as cluster:
        for node in cluster.nodes:
            node.command("ACL", "SETUSER", "app", "reset", "on", ">pw", *ALL, "+cluster|slots")
        url = cluster.url.replace("://", "://app:pw@")
        async with Place(url, cluster.nodes, "t").opened() as store:
            store.follow("a", Ear())
            await store.ensure("a")
            assert (await store.publish("a", [Entry("", "x")])).offset == 1
            await store.fleet.beat()
            assert store.failing_since is None
