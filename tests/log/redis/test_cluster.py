"""What every store and fleet promises, on a cluster of three masters; logs are on all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tailrace.log import Batch, Entry
from tailrace.log.quotas import Claim
from tailrace.log.redis import RedisCoordination, RedisStore
from tests.log.redis.place import Place
from tests.log.redis.test_fleet import TestRedisFleet as _Fleet
from tests.log.redis.test_store import TestRedisCoordination as _Coordination
from tests.log.redis.test_store import TestRedisStore as _Store
from tests.log.store_contract import Ear, read, records
from tests.support.redis import RedisCluster, redis_cluster
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    """A cluster that all tests here share."""
    with redis_cluster() as cluster:
        yield cluster


@pytest.fixture
def place(cluster: RedisCluster, request: pytest.FixtureRequest) -> Place:
    """Where a test's stores meet, and no other test's."""
    return Place(cluster.url, cluster.nodes, request.node.nodeid.replace(":", "_").replace("{", "_"))


class TestClusterStore(_Store):
    """Keeps what every store promises."""


class TestClusterFleet(_Fleet):
    """Keeps what every fleet promises."""


class TestClusterCoordination(_Coordination):
    """Keeps what every coordination promises."""

    @pytest.fixture
    async def coordination(self, store: RedisStore) -> RedisCoordination:
        return store.coordination


async def test_logs_are_on_every_master_and_heard_from_each(place: Place) -> None:
    async with place.opened() as one, place.opened() as other:
        names = [f"log{number}" for number in range(30)]
        ears = {name: Ear() for name in names}
        for name, ear in ears.items():
            other.follow(name, ear)
            await other.ensure(name)
        positions = {name: await one.publish(name, [Entry("", name)]) for name in names}
        await eventually(lambda: all(ears[name].has(position) for name, position in positions.items()))
        for name in names:
            await one.create(f"run{name}", "e", "", records(1, 1))
        await one.append([Batch(f"run{name}", "e", records(2, 3), ends=True) for name in names])
        for name in names:
            assert (await read(other, f"run{name}")).head.ended
        assert all(any(":records" in key for key in place._keys_on(node)) for node in place.nodes)


async def test_a_log_that_moves_to_another_master_goes_on(cluster: RedisCluster, place: Place) -> None:
    async with place.opened() as one, place.opened() as other:
        ear = Ear()
        other.follow("a", ear)
        epoch = (await other.ensure("a")).epoch
        await one.publish("a", [Entry("", "before")])
        key = place.key("a", "head")
        cluster.move(key, next(node for node in cluster.nodes if node is not cluster.node_of(key)))
        position = await one.publish("a", [Entry("", "after")])
        assert (position.epoch, position.offset) == (epoch, 2)
        await eventually(lambda: ear.has(position))


async def test_what_callers_have_used_is_on_every_master_and_known_to_all(place: Place) -> None:
    async with place.opened() as one, place.opened() as other:
        claims = [
            Claim(caller=f"key:{number}", number=1, bucket="requests", cost=60.0, window=60.0) for number in range(30)
        ]
        assert not any(standing.over for standing in await one.quotas.settle(claims))
        assert all(standing.over for standing in await other.quotas.settle(claims))
        assert all(any(":{quota:" in key for key in place._keys_on(node)) for node in place.nodes)
