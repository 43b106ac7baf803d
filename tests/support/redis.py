"""Real Redis servers of the tests' own: one; a cluster of three masters; a master with a replica and sentinels.

    with RedisServer() as server:
        server.command("SET", "key", "value")
        server.freeze()

Each listens on a free port of the loopback, keeps its files in a folder that goes with it, saves nothing unless
told to, and is killed at the end of its block.
"""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import tempfile
import time
from binascii import crc_hqx
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import hiredis

from tests.support.ports import free_port

__all__ = [
    "RedisCluster",
    "RedisServer",
    "Sentinels",
    "cluster_node",
    "redis_cluster",
    "redis_sentinel",
    "wait_until",
]

_PATIENCE = 20.0
"""Seconds that anything here may take on a busy machine."""


def wait_until(true: Callable[[], object], what: str) -> None:
    """Return once `true()` is true; what it raises as OSError counts as not yet."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if true():
                return
        time.sleep(0.002)
    raise AssertionError(f"waited {_PATIENCE:g} s in vain for {what}")


class RedisServer:
    """A redis-server. `options` are words of its command line, such as "--maxmemory", "1mb"."""

    def __init__(self, *options: str, password: str = "") -> None:
        self.port = 0
        self.password = password
        self._options = [*options, *(("--requirepass", password, "--masterauth", password) if password else ())]
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = tempfile.TemporaryDirectory()

    @property
    def url(self) -> str:
        """Its address, with the password if it has one."""
        return f"redis://{f':{self.password}@' if self.password else ''}127.0.0.1:{self.port}"

    @property
    def folder(self) -> Path:
        """Where its files are; `log` is what it says."""
        return Path(self._folder.name)

    @property
    def pid(self) -> int:
        """Its process's id."""
        assert self._process is not None, "the server is not running"
        return self._process.pid

    # Coming and going.

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()
        self._folder.cleanup()

    def start(self) -> None:
        """Start it, on the port that it had before; with the data that `stop(save=True)` kept, else empty."""
        chosen = self.port
        for _ in range(5):
            self.port = chosen or free_port()
            with (self.folder / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    self._command(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            wait_until(lambda: self._ended or self._answers(), "a redis-server")
            if not self._ended:
                return
            # Somebody took the port between the look and the start.
            self.kill()
        raise AssertionError((self.folder / "log").read_text())

    def _command(self) -> Sequence[str]:
        listening = ["--port", str(self.port), "--bind", "127.0.0.1"]
        return ["redis-server", *listening, "--save", "", "--enable-debug-command", "yes", *self._options]

    @property
    def _ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _answers(self) -> bool:
        return bool(self.command("PING") == "PONG")

    def stop(self, *, save: bool = False) -> None:
        """End it; its data are there at the next start if `save`."""
        if save:
            # In one step: what is acknowledged between a SAVE and a kill would be lost, which is another story.
            with contextlib.suppress(ConnectionResetError):
                self.command("SHUTDOWN", "SAVE")
            if self._process is not None:
                self._process.wait(10)
        else:
            (self.folder / "dump.rdb").unlink(missing_ok=True)
        self.kill()

    def kill(self) -> None:
        """End it at once (SIGKILL), frozen or not."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stop it where it stands (SIGSTOP): its connections stay open and nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    # Asking.

    def command(self, *words: str | bytes | int) -> Any:
        """Ask over a connection of its own; the reply with its text decoded. Raises `hiredis.ReplyError`, OSError."""
        asked: list[Any] = [*([("AUTH", self.password)] if self.password else []), words]
        with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            connection.sendall(b"".join(map(hiredis.pack_command, asked)))
            replies = _replies(connection, len(asked))
        if isinstance(replies[-1], hiredis.ReplyError):
            raise replies[-1]
        return replies[-1]

    def info(self) -> dict[str, str]:
        """What INFO says."""
        return dict(re.findall(r"^(\w+):(.*)\r$", self.command("INFO"), re.MULTILINE))

    def commands_processed(self) -> int:
        """How many commands it has been given since its start, this one's own not counted."""
        return int(self.info()["total_commands_processed"])

    def channels(self) -> list[str]:
        """The channels that somebody is subscribed to now."""
        return list(self.command("PUBSUB", "CHANNELS"))


def _replies(connection: socket.socket, count: int) -> list[Any]:
    reader = hiredis.Reader(encoding="utf-8", errors="surrogateescape", notEnoughData=_replies)
    replies: list[Any] = []
    while len(replies) < count:
        data = connection.recv(65536)
        if not data:
            raise ConnectionResetError("redis-server closed the connection")
        reader.feed(data)
        while (reply := reader.gets()) is not _replies:
            replies.append(reply)
    return replies


class RedisCluster:
    """Servers that share the 16,384 slots; `nodes` are all masters."""

    def __init__(self, nodes: Sequence[RedisServer]) -> None:
        self.nodes = nodes

    @property
    def url(self) -> str:
        """Its address: every node."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    @staticmethod
    def slot_of(key: str) -> int:
        """The slot of a key: that of its hash tag, if it has one."""
        tag = re.search(r"\{([^}]+)\}", key)
        return crc_hqx((tag[1] if tag else key).encode(), 0) % 16384

    def node_of(self, key: str) -> RedisServer:
        """The node that has the slot of `key` now."""
        slot = self.slot_of(key)
        for node in self.nodes:
            for first, last, owner in self._slots(node):
                if first <= slot <= last and owner == node.port:
                    return node
        raise AssertionError(f"nobody has slot {slot}")

    @staticmethod
    def _slots(node: RedisServer) -> list[tuple[int, int, int]]:
        return [(first, last, owner[1]) for first, last, owner, *_ in node.command("CLUSTER", "SLOTS")]

    def move(self, key: str, target: RedisServer) -> None:
        """Give the slot of `key`, and all that is in it, to another node; the cluster serves on meanwhile."""
        slot, source = self.slot_of(key), self.node_of(key)
        names = {node: node.command("CLUSTER", "MYID") for node in self.nodes}
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", names[source])
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", names[target])
        while keys := source.command("CLUSTER", "GETKEYSINSLOT", slot, 100):
            source.command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        for node in (target, source, *self.nodes):
            node.command("CLUSTER", "SETSLOT", slot, "NODE", names[target])

    def form(self) -> None:
        """Have the nodes, new and empty, meet each other and divide the slots among them."""
        share = 16384 // len(self.nodes)
        for number, node in enumerate(self.nodes):
            last = 16383 if number == len(self.nodes) - 1 else (number + 1) * share - 1
            node.command("CLUSTER", "ADDSLOTSRANGE", number * share, last)
            node.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            self._meet(self.nodes[0], node)
        wait_until(self._formed, "the nodes of a cluster to agree")

    @staticmethod
    def _meet(known: RedisServer, node: RedisServer) -> None:
        bus = node.command("CONFIG", "GET", "cluster-port")[1]
        known.command("CLUSTER", "MEET", "127.0.0.1", node.port, bus)

    def _formed(self) -> bool:
        return all(
            "cluster_state:ok" in node.command("CLUSTER", "INFO") and len(self._slots(node)) == len(self.nodes)
            for node in self.nodes
        )

    def add_replica(self, replica: RedisServer, master: RedisServer) -> None:
        """Have a new node stand by for one of the masters, which it replaces some seconds after that dies."""
        for node in self.nodes:  # by hearsay it would take seconds
            self._meet(node, replica)
        name = master.command("CLUSTER", "MYID")
        everyone = (*self.nodes, replica)
        wait_until(lambda: all(_acquaintances(node) == len(everyone) for node in everyone), "the replica's node")
        replica.command("CLUSTER", "REPLICATE", name)
        # Who is to vote for it must know it for what it is.
        wait_until(lambda: all(f"slave {name}" in node.command("CLUSTER", "NODES") for node in everyone), "the others")
        wait_until(lambda: replica.info().get("master_link_status") == "up", "the replica")
        self.nodes = everyone


def _acquaintances(node: RedisServer) -> int:
    said = node.command("CLUSTER", "NODES")
    return len(said.splitlines()) if "handshake" not in said else 0


def cluster_node(*options: str) -> RedisServer:
    """A server that can be a node of a cluster."""
    bus = ("--cluster-port", str(free_port()), "--cluster-node-timeout", "2000")
    return RedisServer("--cluster-enabled", "yes", "--repl-diskless-sync-delay", "0", *bus, *options)


@contextmanager
def redis_cluster(*options: str, size: int = 3) -> Iterator[RedisCluster]:
    """A cluster of `size` masters. Takes a second or two: share it among tests."""
    with contextlib.ExitStack() as stack:
        cluster = RedisCluster([stack.enter_context(cluster_node(*options)) for _ in range(size)])
        cluster.form()
        yield cluster


class _Sentinel(RedisServer):
    """One that watches `master`, and takes it for gone after half a second."""

    def __init__(self, master: RedisServer, quorum: int) -> None:
        super().__init__()
        self.watched = master
        self._quorum = quorum

    def _command(self) -> Sequence[str]:
        lines = [
            f"port {self.port}",
            "bind 127.0.0.1",
            f"sentinel monitor {Sentinels.service} 127.0.0.1 {self.watched.port} {self._quorum}",
            f"sentinel down-after-milliseconds {Sentinels.service} 500",
            f"sentinel failover-timeout {Sentinels.service} 3000",
        ]
        if self.watched.password:
            lines.append(f"sentinel auth-pass {Sentinels.service} {self.watched.password}")
        # It writes what it learns into its own configuration.
        (self.folder / "sentinel.conf").write_text("\n".join(lines) + "\n")
        return ["redis-server", "sentinel.conf", "--sentinel"]


class Sentinels:
    """A master, its replica, and those who watch them."""

    service = "main"

    def __init__(self, servers: Sequence[RedisServer], sentinels: Sequence[_Sentinel]) -> None:
        self.servers = servers
        self.sentinels = sentinels

    @property
    def url(self) -> str:
        """Its address: every sentinel, and the name of the service."""
        password = self.servers[0].password
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in self.sentinels)
        return f"redis+sentinel://{f':{password}@' if password else ''}{hosts}/{self.service}"

    @property
    def master(self) -> RedisServer:
        """The server that the sentinels name as the master now."""
        port = int(self.sentinels[0].command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)[1])
        return next(server for server in self.servers if server.port == port)

    @property
    def replica(self) -> RedisServer:
        """The other one."""
        return next(server for server in self.servers if server is not self.master)

    def settle(self) -> None:
        """Wait until the replica has all of the master and every sentinel knows of both and of each other."""
        wait_until(lambda: self.replica.info()["master_link_status"] == "up", "the replica")
        wait_until(lambda: all(map(self._knows_all, self.sentinels)), "the sentinels")

    def _knows_all(self, sentinel: RedisServer) -> bool:
        said = sentinel.command("SENTINEL", "MASTER", self.service)
        facts = dict(zip(said[::2], said[1::2], strict=True))
        return (facts["num-slaves"], int(facts["num-other-sentinels"])) == ("1", len(self.sentinels) - 1)

    def failover(self) -> None:
        """Make the replica the master, on order; the old master is told so some ten seconds later."""
        old = self.master
        wait_until(self._ordered, "the sentinel to take the replica for fit")
        self.wait_promoted(old)

    def _ordered(self) -> bool:
        try:
            self.sentinels[0].command("SENTINEL", "FAILOVER", self.service)
        except hiredis.ReplyError as error:
            if "NOGOODSLAVE" in str(error):
                return False
            raise
        return True

    def restart_sentinels(self) -> None:
        """Replace the sentinels by new ones, which know of no failover."""
        master = self.master
        for sentinel in self.sentinels:
            sentinel.stop()
        for sentinel in self.sentinels:
            sentinel.watched = master
            sentinel.start()

    def wait_promoted(self, old: RedisServer) -> None:
        """Wait until another than `old` is the master and says so itself."""
        wait_until(lambda: self.master is not old and self.master.info()["role"] == "master", "a new master")


@contextmanager
def redis_sentinel(*options: str, count: int = 1, password: str = "") -> Iterator[Sentinels]:
    """A master with a replica, watched by `count` sentinels (one, or three who must agree)."""
    with contextlib.ExitStack() as stack:
        master = stack.enter_context(RedisServer("--repl-diskless-sync-delay", "0", *options, password=password))
        replica = RedisServer("--replicaof", "127.0.0.1", str(master.port), *options, password=password)
        servers = [master, stack.enter_context(replica)]
        wait_until(lambda: replica.info()["master_link_status"] == "up", "the replica")
        watching = [stack.enter_context(_Sentinel(master, count // 2 + 1)) for _ in range(count)]
        group = Sentinels(servers, watching)
        group.settle()
        yield group
