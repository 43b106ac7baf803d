"""Clients that read nothing, read slowly or lost their network: nobody else notices, and the process stays small."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn, Self

import pytest

from tests.support.hosted import until
from tests.support.raw import Raw
from tests.support.server import Server

TEXT = "x" * 60_000


def send_queue(server: Server, raw: Raw) -> int:
    """Bytes that the server's kernel holds for a client."""
    port = f"{raw.socket.getsockname()[1]:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if local.endswith(f":{server.port:04X}") and remote.endswith(f":{port}"):
            return int(queues.partition(":")[0], 16)
    return 0


def test_a_client_that_never_reads_is_cut_and_costs_nobody_anything() -> None:
    with (
        Server("[server]\nwrite_timeout = 2\n") as server,
        server.open("GET", "/events/news", receive_buffer=8192) as stuck,
        server.open("GET", "/events/news") as reader,
    ):
        stuck.event()
        reader.event()
        seen: list[str] = []
        thread = threading.Thread(target=lambda: seen.extend(event.data for event in reader.events(200)))
        thread.start()
        for number in range(20):  # the channel's history is full, and what grows has grown
            server.publish("news", f"{number} {TEXT}")
        before = server.rss
        held = 0
        for number in range(20, 200):
            server.publish("news", f"{number} {TEXT}")
            held = max(held, send_queue(server, stuck))
        thread.join(20)
        assert [data.partition(" ")[0] for data in seen] == [str(number) for number in range(200)]
        assert server.rss - before < 4_000_000, "10 MB were published since"
        assert 0 < held < 400_000, "the kernel holds no more for one reader than it was told to"
        until(lambda: server.health()["subscribers"] == 1, timeout=5)


def test_a_reader_that_is_slow_but_reads_is_not_cut() -> None:
    with (
        Server("[server]\nwrite_timeout = 1\n") as server,
        server.open("GET", "/events/news", receive_buffer=4096) as raw,
    ):
        raw.event()
        for number in range(15):
            server.publish("news", f"{number} {TEXT}")
        raw.socket.settimeout(5)
        begun, total = time.monotonic(), 0
        while time.monotonic() - begun < 4:
            total += len(raw.socket.recv(4096))
            time.sleep(0.1)
        assert total < 15 * len(TEXT) // 2, "it was too quick to show anything"
        assert server.health()["subscribers"] == 1
        while total < 15 * len(TEXT):
            total += len(raw.socket.recv(65_536))


def without(what: str) -> NoReturn:
    """Skip for want of `what`; fail where everything is to be there."""
    reason = f"this needs {what}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


class Network:
    """A network of its own for a client, one cable away; to be cut without a word to either side."""

    def __init__(self) -> None:
        mine = os.getpid() % 100_000
        self._name, self._here, self._there = f"tailrace{mine}", f"tr{mine}a", f"tr{mine}b"
        # Another run's, should it have been killed, is not to be in the way.
        self.host, self._client = (f"10.213.{mine % 256}.{4 * (mine // 256 % 64) + last}" for last in (1, 2))

    def __enter__(self) -> Self:
        self._ip("netns", "add", self._name)
        try:
            self._ip("link", "add", self._here, "type", "veth", "peer", "name", self._there, "netns", self._name)
            self._ip("addr", "add", f"{self.host}/30", "dev", self._here)
            self._ip("link", "set", self._here, "up")
            self._ip("-n", self._name, "addr", "add", f"{self._client}/30", "dev", self._there)
            self._ip("-n", self._name, "link", "set", self._there, "up")
        except BaseException:
            self._ip("netns", "del", self._name)
            raise
        return self

    def __exit__(self, *error: object) -> None:
        # By itself the cable would go too, but only when the kernel gets to it.
        self._ip("link", "del", self._here)
        self._ip("netns", "del", self._name)

    def cut(self) -> None:
        """From now on nothing arrives on either side."""
        self._ip("-n", self._name, "link", "set", self._there, "down")

    @contextlib.contextmanager
    def reader(self, server: Server) -> Iterator[None]:
        """A client in that network, which has had its first event."""
        program = (
            "import sys; from tests.support.raw import Raw; raw = Raw((sys.argv[1], int(sys.argv[2])))\n"
            "raw.request('GET', '/events/news'); raw.head(); raw.event(); print('reading', flush=True)\n"
            "raw.socket.settimeout(None)\nwhile True: raw.event()"
        )
        command = ["ip", "netns", "exec", self._name, sys.executable, "-c", program, self.host, str(server.port)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as client:
            assert client.stdout is not None
            try:
                assert client.stdout.readline() == "reading\n"
                yield
            finally:
                client.kill()

    @staticmethod
    def _ip(*arguments: str) -> None:
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
        if done.returncode and arguments[:2] == ("netns", "add"):
            without(f"the right to make a network namespace: {done.stderr.strip()}")
        assert done.returncode == 0, (arguments, done.stderr)


@pytest.fixture
def network() -> Iterator[Network]:
    if shutil.which("ip") is None:
        without("the tool ip (iproute2)")
    with Network() as network:
        yield network


@pytest.mark.parametrize("busy", [True, False], ids=["while it is written to", "while nothing happens"])
def test_a_client_whose_network_is_gone_is_found_within_the_write_timeout(network: Network, busy: bool) -> None:
    server = Server("[server]\nwrite_timeout = 3\nheartbeat = 60\n", arguments=["--host", network.host])
    with server, server.open("GET", "/events/news") as other, network.reader(server):
        other.event()
        assert server.health()["subscribers"] == 2
        network.cut()
        begun = time.monotonic()
        if busy:
            server.publish("news", "1")
            assert other.event().data == "1"
        until(lambda: server.health()["subscribers"] == 1, timeout=8)
        assert time.monotonic() - begun < 5
