"""Commands to real servers: one, a cluster's, those that sentinels name; and servers that fail."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import NoScriptError, ResponseError

from tailrace.errors import StoreError, StoreUnavailable
from tailrace.log.redis.replies import NotNow
from tailrace.log.redis.servers import Command, Servers
from tailrace.log.redis_address import RedisAddress
from tests.support.ports import free_port
from tests.support.redis import RedisCluster, RedisServer, cluster_node, redis_cluster, redis_sentinel, wait_until

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


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for `localhost`, vouched for by itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    wanted = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    files = f" -addext subjectAltName=DNS:localhost -keyout {folder}/key.pem -out {folder}/cert.pem"
    subprocess.run((wanted + files).split(), check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def tls_port(certified: Path) -> Iterator[int]:
    """Where a server speaks TLS."""
    port = free_port()
    files = ("--tls-cert-file", f"{certified}/cert.pem", "--tls-key-file", f"{certified}/key.pem")
    with RedisServer("--tls-port", str(port), "--tls-auth-clients", "no", *files):
        yield port


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Servers]:
    """The servers behind `url`, connected."""
    servers = Servers.of(RedisAddress.parse(url))
    await servers.open()
    try:
        yield servers
    finally:
        await servers.close()


async def ask(servers: Servers, *words: str | bytes | int, key: str = "") -> Any:
    """One command's reply."""
    return (await servers.run([Command(key or str(words[-1]), words)]))[0]


async def ask_until_answered(servers: Servers, *words: str | bytes | int) -> float:
    """Ask as often as it takes; the seconds that it took."""
    begun = time.monotonic()
    while True:
        try:
            reply = await ask(servers, *words)
        except StoreUnavailable:
            reply = NotNow("away")
        if not isinstance(reply, NotNow):
            return time.monotonic() - begun
        assert time.monotonic() - begun < 30
        await asyncio.sleep(0.02)


async def until(servers: Servers, port: int) -> None:
    """Wait until commands go to a port."""
    while (where := servers.endpoint_of(servers.shard_of(""))) is None or where.port != port:
        await ask_until_answered(servers, "PING")
        await asyncio.sleep(0.02)


async def refused(url: str) -> str:
    """What is said where servers cannot be used."""
    with pytest.raises(StoreError) as caught:
        async with opened(url):
            pass
    assert not isinstance(caught.value, StoreUnavailable)
    return str(caught.value)


def spread(count: int) -> Sequence[str]:
    """Keys with hash tags of their own, which a cluster spreads over its nodes."""
    return [f"t:{{log-{number}}}:x" for number in range(count)]


class TestAsking:
    async def test_replies_come_in_the_order_of_commands_as_bytes_and_numbers(self, server: RedisServer) -> None:
        async with opened(server.url) as servers:
            commands = [("SET", "a", b"\xff\r\n"), ("GET", "a"), ("STRLEN", "a"), ("GET", "none"), ("ECHO", "é")]
            replies = await servers.run([Command("a", words) for words in commands])
        assert replies == [b"OK", b"\xff\r\n", 3, None, "é".encode()]

    async def test_an_error_stands_in_its_place_as_redis_pys_exception(self, server: RedisServer) -> None:
        async with opened(server.url) as servers:
            commands = [("PING",), ("EVALSHA", "0" * 40, 0), ("NONSENSE",), ("PING",)]
            first, unknown, nonsense, last = await servers.run([Command("a", words) for words in commands])
        assert (first, last) == (b"PONG", b"PONG")
        assert isinstance(unknown, NoScriptError)
        assert type(nonsense) is ResponseError
        assert "unknown command" in str(nonsense)

    async def test_what_many_ask_at_once_goes_over_one_connection_without_waiting(self, server: RedisServer) -> None:
        async with opened(server.url) as servers:
            before = int(server.info()["total_connections_received"])
            replies = await asyncio.gather(*[ask(servers, "ECHO", f"n{number}") for number in range(500)])
            after = int(server.info()["total_connections_received"])
        assert replies == [b"n%d" % number for number in range(500)]
        assert after - before == 1  # the look at it

    async def test_whoever_leaves_does_not_disturb_those_behind(self, server: RedisServer) -> None:
        async with opened(server.url) as servers:
            leaving = asyncio.ensure_future(ask(servers, "ECHO", "leaving"))
            staying = asyncio.ensure_future(ask(servers, "ECHO", "staying"))
            await asyncio.sleep(0)
            leaving.cancel()
            assert await staying == b"staying"
            assert leaving.cancelled()

    async def test_whoever_leaves_while_a_connection_is_made_does_not_take_it_from_the_others(
        self, server: RedisServer
    ) -> None:
        servers = Servers.of(RedisAddress.parse(server.url))
        leaving, staying = (asyncio.ensure_future(ask(servers, "ECHO", word)) for word in ("leaving", "staying"))
        await asyncio.sleep(0)
        leaving.cancel()
        assert await staying == b"staying"
        await servers.close()

    async def test_a_large_reply_and_a_large_argument_pass_whole(self, server: RedisServer) -> None:
        async with opened(server.url) as servers:
            await ask(servers, "SET", "large", b"x" * 5_000_000, key="large")
            assert await ask(servers, "GET", "large") == b"x" * 5_000_000

    async def test_nothing_asked_is_nothing_answered(self, server: RedisServer, cluster: RedisCluster) -> None:
        for url in (server.url, cluster.url):
            async with opened(url) as servers:
                assert await servers.run([]) == []

    async def test_after_close_the_store_is_away(self, server: RedisServer) -> None:
        async with opened(server.url) as servers:
            pass
        with pytest.raises(StoreUnavailable, match="closed"):
            await ask(servers, "PING")


class TestAddresses:
    async def test_a_database_is_chosen_by_its_number(self, server: RedisServer) -> None:
        async with opened(f"{server.url}/5") as servers:
            await ask(servers, "SET", "fifth", "x", key="fifth")
        assert server.command("EXISTS", "fifth") == 0

    async def test_a_socket_of_the_machine(self, tmp_path: Path) -> None:
        with RedisServer("--unixsocket", str(tmp_path / "redis.sock")):
            async with opened(f"unix://{tmp_path}/redis.sock") as servers:
                assert await ask(servers, "PING") == b"PONG"

    async def test_a_password_and_a_user_with_one(self) -> None:
        with RedisServer(password="pa/ss:word@") as server:
            async with opened(f"redis://:pa%2Fss%3Aword%40@127.0.0.1:{server.port}") as servers:
                assert await ask(servers, "PING") == b"PONG"
            server.command("ACL", "SETUSER", "ann", "on", ">secret", "~*", "&*", "+@all")
            async with opened(f"redis://ann:secret@127.0.0.1:{server.port}") as servers:
                assert await ask(servers, "ACL", "WHOAMI") == b"ann"

    async def test_a_wrong_password_is_told_at_once_and_not_shown(self) -> None:
        with RedisServer(password="right") as server:
            begun = time.monotonic()
            told = [
                await refused(f"redis://:wr0ng@127.0.0.1:{server.port}"),
                await refused(f"redis://ann:wr0ng@127.0.0.1:{server.port}"),
                await refused(f"redis://127.0.0.1:{server.port}"),
            ]
        assert time.monotonic() - begun < 2
        assert "refuses this password" in told[0]
        assert "refuses user 'ann' with this password" in told[1]
        assert "wants a password" in told[2]
        assert all(f"cannot use redis://127.0.0.1:{server.port}: " in each and "wr0ng" not in each for each in told)

    async def test_a_server_that_is_not_there_or_no_redis_is_told_with_what_was_tried(self) -> None:
        begun = time.monotonic()
        absent, other = await asyncio.gather(refused(f"redis://127.0.0.1:{free_port()}"), self._speak_to_another())
        assert 4 < time.monotonic() - begun < 8
        assert "Connect call failed" in absent
        assert "times in 5 s. Does it run, and is this its address?" in absent
        assert "does not speak Redis's protocol" in other

    async def _speak_to_another(self) -> str:
        def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
            return await refused(f"redis://127.0.0.1:{listening.sockets[0].getsockname()[1]}")

    async def test_a_server_that_comes_up_late_is_waited_for(self) -> None:
        with RedisServer() as server:
            server.stop()
            opening = asyncio.ensure_future(asyncio.wait_for(self._answer(server.url), 5))
            await asyncio.sleep(0.3)
            server.start()
            assert await opening == b"PONG"

    async def _answer(self, url: str) -> Any:
        async with opened(url) as servers:
            return await ask(servers, "PING")

    async def test_a_server_of_another_kind_is_told_with_how_to_write_it(
        self, server: RedisServer, cluster: RedisCluster
    ) -> None:
        assert "write redis+cluster://" in await refused(cluster.nodes[0].url)
        assert "write redis://" in await refused(f"redis+cluster://127.0.0.1:{server.port}")


class TestTLS:
    async def test_a_server_whose_authority_is_trusted(self, certified: Path, tls_port: int) -> None:
        async with opened(f"rediss://localhost:{tls_port}?ssl_ca_certs={certified}/cert.pem") as servers:
            assert await ask(servers, "PING") == b"PONG"

    async def test_nobody_need_be_trusted_where_that_is_said(self, tls_port: int) -> None:
        async with opened(f"rediss://127.0.0.1:{tls_port}?ssl_cert_reqs=none") as servers:
            assert await ask(servers, "PING") == b"PONG"

    async def test_a_server_that_does_not_answer_to_tls_is_told_so(self) -> None:
        with RedisServer() as server:
            assert "does it speak TLS?" in await refused(f"rediss://127.0.0.1:{server.port}")

    async def test_a_stranger_is_told_at_once_with_what_to_do(self, certified: Path, tls_port: int) -> None:
        assert "ssl_ca_certs=PATH in the address names who" in await refused(f"rediss://localhost:{tls_port}")
        told = await refused(f"rediss://127.0.0.1:{tls_port}?ssl_ca_certs={certified}/cert.pem")
        assert "is not accepted: IP address mismatch" in told
        assert "No such file" in await refused(f"rediss://localhost:{tls_port}?ssl_ca_certs={certified}/none.pem")


class TestAway:
    async def test_a_server_that_was_stopped_is_away_at_once_and_comes_back_by_itself(self) -> None:
        with RedisServer() as server:
            async with opened(server.url) as servers:
                server.stop()
                begun = time.monotonic()
                for _ in range(3):
                    with pytest.raises(StoreUnavailable) as caught:
                        await ask(servers, "PING")
                    assert caught.value.retry_after == 1
                assert time.monotonic() - begun < 0.5
                server.start()
                assert await ask(servers, "PING") == b"PONG"

    async def test_a_frozen_server_is_away_after_two_seconds_for_all_who_wait(self) -> None:
        with RedisServer() as server:
            async with opened(server.url) as servers:
                server.freeze()
                begun = time.monotonic()
                asked = await asyncio.gather(*[ask(servers, "PING") for _ in range(10)], return_exceptions=True)
                assert all(isinstance(each, StoreUnavailable) for each in asked)
                assert 1.9 < time.monotonic() - begun < 3
                server.thaw()
                assert await ask(servers, "PING") == b"PONG"

    async def test_a_master_that_was_demoted_is_away_and_left(self) -> None:
        with RedisServer() as server:
            async with opened(server.url) as servers:
                server.command("REPLICAOF", "127.0.0.1", free_port())
                with pytest.raises(StoreUnavailable, match=r"READONLY|MASTERDOWN"):
                    await ask(servers, "EVAL", "return redis.call('SET', KEYS[1], '1')", 1, "a")
                with pytest.raises(StoreUnavailable, match="is a replica"):
                    await ask(servers, "PING")
                server.command("REPLICAOF", "NO", "ONE")
                assert await ask(servers, "PING") == b"PONG"

    async def test_a_server_without_memory_takes_nothing_and_stays(self) -> None:
        with RedisServer("--maxmemory", "100kb") as server:
            async with opened(server.url) as servers:
                refusal, pong = await servers.run([Command("a", ("SET", "a", "x" * 100)), Command("a", ("PING",))])
        assert isinstance(refusal, NotNow)
        assert pong == b"PONG"


class TestSentinel:
    async def test_a_failover_is_followed_when_the_master_died(self) -> None:
        with redis_sentinel(count=3, password="secret") as group:
            old = group.master
            async with opened(group.url) as servers:
                assert await ask(servers, "SET", "before", "x", key="before") == b"OK"
                wait_until(lambda: group.replica.command("GET", "before") == "x", "the replica to have the key")
                old.kill()
                with pytest.raises(StoreUnavailable):
                    await ask(servers, "PING")
                assert await ask_until_answered(servers, "SET", "k", "after") < 15
                assert await ask(servers, "GET", "before") == b"x"
                assert group.master is not old
                assert group.master.command("GET", "k") == "after"

    async def test_a_failover_on_order_is_followed(self) -> None:
        with redis_sentinel() as group:
            async with opened(group.url) as servers:
                group.failover()
                begun = time.monotonic()
                # For a moment the old master does not know yet that it is one no more.
                while group.master.command("GET", "k") is None:
                    await ask_until_answered(servers, "SET", "k", "after")
                assert time.monotonic() - begun < 5

    async def test_a_sentinel_that_was_set_up_anew_is_believed_if_there_is_no_other(self) -> None:
        with redis_sentinel() as group:
            async with opened(group.url) as servers:
                group.failover()
                await until(servers, group.master.port)
                group.restart_sentinels()
                group.master.command("CLIENT", "KILL", "TYPE", "normal")
                assert await ask_until_answered(servers, "SET", "k", "v") < 2

    async def test_what_the_sentinels_say_is_told_where_there_is_no_such_service(self) -> None:
        with redis_sentinel() as group:
            told = await refused(group.url.replace("/main", "/other"))
        assert "no sentinel names the master of 'other'" in told
        assert "knows of no such service" in told


class TestCluster:
    async def test_each_command_goes_to_its_shard_and_its_reply_to_its_place(self, cluster: RedisCluster) -> None:
        keys = spread(60)
        async with opened(cluster.url) as servers:
            assert len({servers.shard_of(key) for key in keys}) == 3
            assert await servers.run([Command(key, ("SET", key, key)) for key in keys]) == [b"OK"] * 60
            assert await servers.run([Command(key, ("GET", key)) for key in keys]) == [key.encode() for key in keys]
        assert all(cluster.node_of(key).command("EXISTS", key) == 1 for key in keys)

    async def test_one_node_is_enough_to_find_the_others(self, cluster: RedisCluster) -> None:
        async with opened(f"redis+cluster://127.0.0.1:{cluster.nodes[2].port}") as servers:
            assert await servers.run([Command(key, ("ECHO", key)) for key in spread(20)]) == [
                key.encode() for key in spread(20)
            ]

    async def test_a_slot_that_has_moved_is_followed_and_remembered(self, cluster: RedisCluster) -> None:
        key = "t:{moving}:x"
        source = cluster.node_of(key)
        target = next(node for node in cluster.nodes if node is not source)
        async with opened(cluster.url) as servers:
            await ask(servers, "SET", key, "1", key=key)
            cluster.move(key, target)
            assert await ask(servers, "GET", key) == b"1"
            assert servers.shard_of(key).port == target.port
            cluster.move(key, source)

    async def test_a_slot_on_its_way_is_asked_where_each_key_is(self, cluster: RedisCluster) -> None:
        here, there = "t:{halfway}:here", "t:{halfway}:there"
        source = cluster.node_of(here)
        target = next(node for node in cluster.nodes if node is not source)
        slot = cluster.slot_of(here)
        async with opened(cluster.url) as servers:
            await ask(servers, "SET", here, "here", key=here)
            target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source.command("CLUSTER", "MYID"))
            source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", target.command("CLUSTER", "MYID"))
            assert await servers.run([Command(key, ("SET", key, key)) for key in (there, here)]) == [b"OK"] * 2
            assert [await ask(servers, "GET", key) for key in (here, there)] == [here.encode(), there.encode()]
            both = await ask(servers, "MGET", here, there)
            assert isinstance(both, NotNow)
            cluster.move(here, target)
            assert await ask(servers, "MGET", here, there) == [here.encode(), there.encode()]
            cluster.move(here, source)

    async def test_a_shard_that_is_away_does_not_hold_up_the_others(self) -> None:
        with redis_cluster("--cluster-require-full-coverage", "no") as cluster:
            keys = spread(30)
            away = cluster.nodes[1]
            async with opened(cluster.url) as servers:
                away.freeze()
                commands = [Command(key, ("SET", key, "1")) for key in keys]
                first = await servers.run(commands)
                begun = time.monotonic()
                second = await servers.run(commands)
                assert time.monotonic() - begun < 0.5
                away.thaw()
                for told in (first, second):
                    for key, reply in zip(keys, told, strict=True):
                        if servers.shard_of(key).port == away.port:
                            assert isinstance(reply, NotNow)
                        else:
                            assert reply == b"OK"
                lost = next(key for key in keys if servers.shard_of(key).port == away.port)
                assert await ask_until_answered(servers, "SET", lost, "2") < 5

    async def test_a_node_that_dies_is_followed_to_its_replica(self) -> None:
        with redis_cluster(*_QUICK) as cluster, cluster_node(*_QUICK) as replica:
            master = cluster.nodes[0]
            cluster.add_replica(replica, master)
            async with opened(cluster.url) as servers:
                key = next(key for key in spread(30) if servers.shard_of(key).port == master.port)
                await ask(servers, "SET", key, "before", key=key)
                # Redis acknowledges before its replica has it: what is killed too soon takes it along.
                wait_until(lambda: replica.command("DBSIZE") == 1, "the replica to have the key")
                master.kill()
                await ask_until_answered(servers, "GET", key)
                assert servers.shard_of(key).port == replica.port
                assert await ask(servers, "GET", key) == b"before"

    async def test_a_cluster_that_is_gone_is_away(self) -> None:
        with redis_cluster() as cluster:
            async with opened(cluster.url) as servers:
                for node in cluster.nodes:
                    node.stop()
                with pytest.raises(StoreUnavailable):
                    await servers.run([Command(key, ("PING",)) for key in spread(9)])
