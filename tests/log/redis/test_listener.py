"""Messages from real servers: subscriptions that are confirmed, lost, and made again."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.errors import StoreUnavailable
from tailrace.log.redis.listener import Listener
from tailrace.log.redis.servers import Servers
from tailrace.log.redis_address import RedisAddress
from tests.support.redis import RedisCluster, RedisServer, cluster_node, redis_cluster, redis_sentinel

pytestmark = pytest.mark.anyio

_QUICK = ("--cluster-node-timeout", "500")


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    with redis_cluster() as cluster:
        yield cluster


class Ear:
    """A listener, and what it was told."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.told: list[tuple[str, bytes]] = []
        self.restored = 0
        self._changed = asyncio.Event()
        self.listener = Listener(servers, self._on_message, self._on_restored)

    @classmethod
    @asynccontextmanager
    async def at(cls, url: str) -> AsyncIterator[Self]:
        """One at the servers behind `url`."""
        servers = Servers.of(RedisAddress.parse(url))
        await servers.open()
        ear = cls(servers)
        try:
            yield ear
        finally:
            await ear.listener.close()
            await servers.close()

    def _on_message(self, channel: str, payload: bytes) -> None:
        self.told.append((channel, payload))
        self._changed.set()

    def _on_restored(self) -> None:
        self.restored += 1
        self._changed.set()

    async def until(self, true: Callable[[], object], seconds: float = 15) -> None:
        """Wait for what messages bring about."""
        async with asyncio.timeout(seconds):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    async def follow(self, *channels: str) -> None:
        """Subscribe, and wait until it is confirmed."""
        for channel in channels:
            self.listener.subscribe(channel)
        await asyncio.gather(*[self.listener.confirmed(channel) for channel in channels])

    async def hear(self, channel: str, payload: bytes) -> None:
        """Wait for a message."""
        await self.until(lambda: (channel, payload) in self.told)


async def until(true: Callable[[], object]) -> None:
    """Wait for what a server does by itself."""
    async with asyncio.timeout(15):
        while not true():  # noqa: ASYNC110  # a server says nothing of itself
            await asyncio.sleep(0.01)


class TestHearing:
    async def test_everything_said_after_the_confirmation_is_told_in_order(self, server: RedisServer) -> None:
        async with Ear.at(server.url) as ear:
            await ear.follow("é", "b")
            for number in range(50):
                server.command("PUBLISH", "é" if number % 2 else "b", number)
            await ear.hear("é", b"49")
        assert ear.told == [("é" if number % 2 else "b", b"%d" % number) for number in range(50)]
        assert ear.restored == 0

    async def test_a_payload_is_told_as_the_bytes_that_it_is(self, server: RedisServer) -> None:
        async with Ear.at(server.url) as ear:
            await ear.follow("bytes")
            server.command("PUBLISH", "bytes", bytes(range(256)))
            await ear.hear("bytes", bytes(range(256)))

    async def test_after_unsubscribe_nothing_is_told_and_the_server_is_told_so(self, server: RedisServer) -> None:
        async with Ear.at(server.url) as ear:
            await ear.follow("left", "kept")
            ear.listener.unsubscribe("left")
            server.command("PUBLISH", "left", "late")
            server.command("PUBLISH", "kept", "x")
            await ear.hear("kept", b"x")
            await until(lambda: server.channels() == ["kept"])
            assert ear.told == [("kept", b"x")]
            with pytest.raises(StoreUnavailable):
                await ear.listener.confirmed("left")

    async def test_subscribing_twice_is_subscribing_once(self, server: RedisServer) -> None:
        async with Ear.at(server.url) as ear:
            await ear.follow("twice")
            await ear.follow("twice")
            server.command("PUBLISH", "twice", "x")
            server.command("PUBLISH", "twice", "y")
            await ear.hear("twice", b"y")
            ear.listener.unsubscribe("twice")
            ear.listener.unsubscribe("twice")
            await until(lambda: not server.channels())
        assert ear.told == [("twice", b"x"), ("twice", b"y")]

    async def test_whoever_waits_for_a_channel_that_is_left_is_told_at_once(self, server: RedisServer) -> None:
        async with Ear.at(server.url) as ear:
            ear.listener.subscribe("left")
            waiting = asyncio.ensure_future(ear.listener.confirmed("left"))
            await asyncio.sleep(0)
            ear.listener.unsubscribe("left")
            with pytest.raises(StoreUnavailable):
                await asyncio.wait_for(waiting, 0.5)

    async def test_a_follower_that_fails_costs_its_message_and_no_other(self, server: RedisServer) -> None:
        async with Ear.at(server.url) as ear:
            told: list[bytes] = []

            def fail_first(channel: str, payload: bytes) -> None:
                told.append(payload)
                assert len(told) > 1
                ear._on_message(channel, payload)

            ear.listener._tell = fail_first
            await ear.follow("failing")
            server.command("PUBLISH", "failing", "1")
            server.command("PUBLISH", "failing", "2")
            await ear.hear("failing", b"2")

    async def test_a_channel_has_one_command_without_an_answer_so_an_answer_tells_how_it_stands(self) -> None:
        with RedisServer() as server:
            async with Ear.at(server.url) as ear:
                await ear.follow("first")
                server.freeze()
                for _ in range(3):
                    ear.listener.subscribe("a")
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
                    ear.listener.unsubscribe("a")
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
                ear.listener.subscribe("a")
                server.thaw()
                await ear.listener.confirmed("a")
            said = server.command("INFO", "COMMANDSTATS")
        assert "cmdstat_subscribe:calls=2," in said
        assert "cmdstat_unsubscribe" not in said

    async def test_ten_thousand_channels_share_a_connection(self, server: RedisServer) -> None:
        async with Ear.at(server.url) as ear:
            names = [f"t:{{log-{number}}}" for number in range(10_000)]
            before = int(server.info()["total_connections_received"])
            begun = time.monotonic()
            await ear.follow(*names)
            assert time.monotonic() - begun < 5
            assert int(server.info()["total_connections_received"]) - before <= 2  # with the look at it
            server.command("EVAL", "for i = 0, 9999 do redis.call('PUBLISH', 't:{log-'..i..'}', i) end", 0)
            await ear.until(lambda: len(ear.told) == len(names))
            assert dict(ear.told) == {name: b"%d" % number for number, name in enumerate(names)}
            server.command("CLIENT", "KILL", "TYPE", "pubsub")
            await ear.until(lambda: ear.restored == 1)
            assert len(server.channels()) == len(names)

    @settings(max_examples=20)
    @given(steps=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["on", "off", "turn"])), max_size=30))
    def test_whatever_is_subscribed_and_left_the_server_knows_what_is_wanted(
        self, server: RedisServer, steps: list[tuple[str, str]]
    ) -> None:
        asyncio.run(self._step(server, steps))

    async def _step(self, server: RedisServer, steps: list[tuple[str, str]]) -> None:
        wanted: set[str] = set()
        async with Ear.at(server.url) as ear:
            for channel, step in steps:
                if step == "on":
                    wanted.add(channel)
                    ear.listener.subscribe(channel)
                elif step == "off":
                    wanted.discard(channel)
                    ear.listener.unsubscribe(channel)
                else:
                    await asyncio.sleep(0)
            await ear.follow(*wanted, "last")
            for channel in (*"abc", "last"):
                server.command("PUBLISH", channel, channel)
            await ear.hear("last", b"last")
            assert Counter(ear.told) == Counter((channel, channel.encode()) for channel in (*wanted, "last"))
            await until(lambda: set(server.channels()) == {*wanted, "last"})


class TestAway:
    async def test_a_connection_that_was_cut_is_made_again_with_everything(self, server: RedisServer) -> None:
        async with Ear.at(server.url) as ear:
            await ear.follow("a", "b")
            server.command("CLIENT", "KILL", "TYPE", "pubsub")
            await ear.until(lambda: ear.restored == 1, seconds=2)
            server.command("PUBLISH", "a", "1")
            server.command("PUBLISH", "b", "2")
            await ear.hear("b", b"2")
        assert ear.told == [("a", b"1"), ("b", b"2")]

    async def test_while_the_server_is_away_nothing_is_confirmed_and_then_it_is(self) -> None:
        with RedisServer() as server:
            async with Ear.at(server.url) as ear:
                await ear.follow("a")
                server.stop()
                await until(lambda: not ear.listener._channels[b"a"].confirmed)
                ear.listener.subscribe("b")
                begun = time.monotonic()
                with pytest.raises(StoreUnavailable):
                    await ear.listener.confirmed("a")
                assert 1.9 < time.monotonic() - begun < 3
                server.start()
                await asyncio.gather(*[ear.listener.confirmed(channel) for channel in "ab"])
                assert ear.restored == 1
                server.command("PUBLISH", "b", "x")
                await ear.hear("b", b"x")

    async def test_leaving_what_was_lost_is_as_good_as_having_it_back(self) -> None:
        with RedisServer() as server:
            async with Ear.at(server.url) as ear:
                await ear.follow("a", "b")
                server.stop()
                await until(lambda: len(ear.listener._missed) == 2)
                ear.listener.unsubscribe("a")
                server.start()
                await ear.until(lambda: ear.restored == 1)
                assert not ear.listener._missed

    async def test_a_frozen_server_is_found_out_within_seconds_and_listened_to_again(self) -> None:
        with RedisServer() as server:
            async with Ear.at(server.url) as ear:
                await ear.follow("a")
                server.freeze()
                begun = time.monotonic()
                await until(lambda: not ear.listener._channels[b"a"].confirmed)
                assert 3 < time.monotonic() - begun < 6
                server.thaw()
                await ear.until(lambda: ear.restored == 1, seconds=4)
                server.command("PUBLISH", "a", "x")
                await ear.hear("a", b"x")

    async def test_a_silent_server_that_is_there_is_kept(self, server: RedisServer) -> None:
        async with Ear.at(server.url) as ear:
            await ear.follow("a")
            before = int(server.info()["total_connections_received"])
            await asyncio.sleep(4.5)  # two times the silence, and a bit
            assert int(server.info()["total_connections_received"]) == before + 1  # the look at it
            assert ear.restored == 0
            await ear.listener.confirmed("a")

    async def test_who_may_not_subscribe_is_not_confirmed_and_the_server_is_not_flooded(self) -> None:
        with RedisServer() as server:
            server.command("ACL", "SETUSER", "ann", "on", ">secret", "~*", "resetchannels", "+@all")
            async with Ear.at(f"redis://ann:secret@127.0.0.1:{server.port}") as ear:
                ear.listener.subscribe("a")
                with pytest.raises(StoreUnavailable):
                    await ear.listener.confirmed("a")
                assert int(server.info()["total_connections_received"]) < 12
                server.command("ACL", "SETUSER", "ann", "allchannels")
                await ear.listener.confirmed("a")

    async def test_closing_while_the_server_is_away_ends_whoever_waits(self) -> None:
        with RedisServer() as server:
            async with Ear.at(server.url) as ear:
                await ear.follow("a")
                server.freeze()
                ear.listener.subscribe("b")
                waiting = asyncio.ensure_future(ear.listener.confirmed("b"))
                await asyncio.sleep(0)
                begun = time.monotonic()
                await ear.listener.close()
                with pytest.raises(StoreUnavailable):
                    await waiting
                assert time.monotonic() - begun < 0.5


class TestSentinel:
    async def test_a_failover_is_followed(self) -> None:
        with redis_sentinel() as group:
            async with Ear.at(group.url) as ear:
                await ear.follow("a")
                group.failover()
                await ear.until(lambda: ear.restored == 1)
                group.master.command("PUBLISH", "a", "x")
                await ear.hear("a", b"x")


class TestCluster:
    async def test_channels_are_heard_at_the_shard_of_their_hash_tag(self, cluster: RedisCluster) -> None:
        names = [f"t:{{log-{number}}}" for number in range(60)]
        async with Ear.at(cluster.url) as ear:
            await ear.follow(*names)
            for name in names:
                assert cluster.node_of(name).command("SPUBLISH", name, name) == 1
            await ear.until(lambda: len(ear.told) == len(names))
            for node in cluster.nodes:
                assert node.info()["cluster_enabled"] == "1"
                assert len(node.command("PUBSUB", "SHARDCHANNELS")) == len(
                    [n for n in names if cluster.node_of(n) is node]
                )
        assert Counter(ear.told) == Counter((name, name.encode()) for name in names)

    async def test_a_slot_that_moves_takes_its_channels_along(self, cluster: RedisCluster) -> None:
        name = "t:{wandering}"
        source = cluster.node_of(name)
        target = next(node for node in cluster.nodes if node is not source)
        async with Ear.at(cluster.url) as ear:
            await ear.follow(name, "t:{staying}")
            cluster.move(name, target)
            await ear.until(lambda: ear.restored == 1)
            assert target.command("SPUBLISH", name, "x") == 1
            await ear.hear(name, b"x")
            cluster.move(name, source)
            await ear.until(lambda: ear.restored == 2)
            assert source.command("SPUBLISH", name, "y") == 1
            await ear.hear(name, b"y")

    async def test_a_node_that_dies_is_followed_to_its_replica(self) -> None:
        with redis_cluster(*_QUICK) as cluster, cluster_node(*_QUICK) as replica:
            master = cluster.nodes[0]
            cluster.add_replica(replica, master)
            async with Ear.at(cluster.url) as ear:
                names = [f"t:{{log-{number}}}" for number in range(30)]
                await ear.follow(*names)
                name = next(name for name in names if cluster.node_of(name) is master)
                master.kill()
                await ear.until(lambda: ear.restored == 1)
                assert replica.command("SPUBLISH", name, "x") == 1
                await ear.hear(name, b"x")

    async def test_a_node_that_is_cut_costs_the_others_nothing(self, cluster: RedisCluster) -> None:
        names = [f"t:{{log-{number}}}" for number in range(30)]
        async with Ear.at(cluster.url) as ear:
            await ear.follow(*names)
            cluster.nodes[0].command("CLIENT", "KILL", "TYPE", "pubsub")
            away = {name for name in names if cluster.node_of(name) is cluster.nodes[0]}
            await ear.until(lambda: ear.restored == 1)
            assert 0 < len(away) < 30
            for name in names:
                assert cluster.node_of(name).command("SPUBLISH", name, "x") == 1
            await ear.until(lambda: len(ear.told) == len(names))
