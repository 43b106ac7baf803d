"""`tailrace serve --workers N` as a whole: several processes on one port, over a real Redis."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import psutil
import pytest

from tests.support.hosted import until
from tests.support.raw import Ended, Raw
from tests.support.redis import RedisServer
from tests.support.server import ROOT, Server
from tests.support.upstream import Script, Upstream

ASK = {"message": "Hi"}
JSON = {"Accept": "application/json"}


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as redis:
        yield redis


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


def served(redis: RedisServer, workers: int, upstream: Upstream | None = None, settings: str = "") -> Server:
    """A server with that many workers."""
    if upstream is not None:
        provider = f'[providers.up]\nkind = "anthropic"\nbase_url = "{upstream.url}"\n'
        settings += f'[chat]\ndefault_model = "up/m"\n{provider}'
    return Server(settings, arguments=["--store", redis.url, "--workers", str(workers)])


def workers_of(server: Server) -> set[int]:
    """The ids of a server's workers."""
    return {child.pid for child in psutil.Process(server.pid).children()}


class Askers:
    """Clients that ask again and again, each time on a new connection, until the end of the block."""

    def __init__(self, server: Server, count: int = 2) -> None:
        self.answers: Counter[object] = Counter()
        """How often was answered with which status, or which error."""
        self.pids: set[int] = set()
        self._server = server
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(count)]

    def _ask(self) -> None:
        while not self._over.wait(0.002):
            try:
                answer = self._server.ask("GET", "/health")
            except (OSError, Ended, ValueError) as error:
                self.answers[repr(error)] += 1
            else:
                self.answers[answer.status] += 1
                self.pids.add(answer.json()["pid"])

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


class Reader:
    """Reads a stream in a thread, as a good client does: told to reconnect, or cut, it resumes where it was."""

    def __init__(self, server: Server, target: str, enough: Callable[[Sequence[str]], bool]) -> None:
        self.data: list[str] = []
        self.ids: list[str] = []
        self.failures: list[str] = []
        self.connections = 0
        self.begun = threading.Event()
        self._server, self._target, self._enough = server, target, enough
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while not self._enough(self.data) and not self.failures:
            try:
                self._connect()
            except (OSError, Ended) as error:
                self.failures.append(repr(error))

    def _connect(self) -> None:
        self.connections += 1
        cursor = {"Last-Event-ID": self.ids[-1]} if self.ids else {}
        with self._server.connect(timeout=20) as raw:
            raw.request("GET", self._target, cursor)
            head = raw.head()
            if head.status != 200:
                self.failures.append(f"{head.status} {raw.read()!r}")
            elif not self._take(raw) and not raw.complete:
                self.failures.append(f"cut after {self.ids[-1:]}")

    def _take(self, raw: Raw) -> bool:
        """Take what comes, and whether it is enough."""
        while not self._enough(self.data):
            try:
                event = raw.event()
            except Ended:
                return False
            if event.event in ("ready", "message"):
                self.ids.append(event.id)
                self.begun.set()
            if event.event == "message":
                self.data.append(event.data)
            elif event.event == "resume" and '"recovered":true' not in event.data:
                self.failures.append(event.data)
        return True

    def join(self) -> None:
        """Wait until it has read enough."""
        self._thread.join(60)
        assert not self._thread.is_alive()


def test_a_store_that_cannot_be_shared_is_refused_with_the_one_to_use(tmp_path: Path) -> None:
    for url in ("memory://", f"sqlite:///{tmp_path}/events.db"):
        command = [sys.executable, "-m", "tailrace", "serve", "--port", "0", "--workers", "2", "--store", url]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 2
        assert f"2 workers need a store that they share; {url} belongs to one process" in done.stderr
        assert "redis://" in done.stderr


def test_all_workers_serve_the_port_and_one_store(redis: RedisServer) -> None:
    with served(redis, 3) as server:
        assert server.said.count("listening on") == 1
        assert "with 3 workers" in server.said
        with Askers(server) as askers:
            until(lambda: askers.pids == workers_of(server))
        assert askers.answers.keys() == {200}
        ids = {server.publish("news", n) for n in range(20)}
        events = server.ask("GET", "/events/news", JSON).json()["events"]
        assert {event["id"] for event in events} == ids


def test_health_speaks_for_all_workers(redis: RedisServer) -> None:
    with served(redis, 3) as server:
        streams = [server.connect() for _ in range(12)]
        for raw in streams:
            raw.request("GET", "/events/news")
            raw.head()
            raw.event()
        answers = [server.health() for _ in range(10)]
        for raw in streams:
            raw.close()
    assert {answer["subscribers"] for answer in answers} == {12}
    assert {str(answer["workers"]) for answer in answers} == {"{'answered': 3, 'of': 3}"}
    requests = [answer["total_requests"] for answer in answers]
    assert requests == list(range(13, 23))


def test_a_frozen_worker_is_missing_from_healths_answer_and_counted(redis: RedisServer) -> None:
    with served(redis, 2) as server:
        frozen, asked = workers_of(server)
        os.kill(frozen, signal.SIGSTOP)
        answer = None
        while answer is None:  # the kernel gives the frozen one its share of us
            answer = answer_in_time(server)
        os.kill(frozen, signal.SIGCONT)
        assert (answer["workers"], answer["pid"]) == ({"answered": 1, "of": 2}, asked)


def answer_in_time(server: Server) -> dict[str, Any] | None:
    """What `/health` says, unless nobody answers for two seconds."""
    try:
        return dict(server.ask("GET", "/health", timeout=2).json())
    except TimeoutError:
        return None


def test_a_worker_that_is_killed_is_replaced_and_nobody_is_refused(redis: RedisServer) -> None:
    with served(redis, 2) as server, Askers(server, 4) as askers:
        before = workers_of(server)
        until(lambda: askers.pids == before)
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(askers.pids) == 3)
        assert workers_of(server) == askers.pids - {victim}
        assert before - {victim} < workers_of(server)
    # Whoever it was answering when it was killed is cut; whoever waited for it is not.
    assert not [said for said in askers.answers if "refused" in str(said)]
    assert sum(count for said, count in askers.answers.items() if said != 200) <= 4


def test_a_reload_under_load_refuses_and_resets_nobody_and_each_reader_gets_everything(redis: RedisServer) -> None:
    with served(redis, 2, settings="[server]\ndrain_timeout = 2\n") as server:
        readers = [Reader(server, "/events/news", lambda data: data[-1:] == ["last"]) for _ in range(50)]
        for reader in readers:
            assert reader.begun.wait(20)
        before = workers_of(server)
        published: list[str] = []
        with Askers(server) as askers:
            server.signal(signal.SIGHUP)
            while "reloaded: all workers are new" not in server.said:
                published.append(f"event {len(published)}")
                server.publish("news", published[-1])
                assert len(workers_of(server)) >= 2
            assert not workers_of(server) & before
            until(lambda: workers_of(server) <= askers.pids)
        server.publish("news", "last")
        for reader in readers:
            reader.join()
            assert not reader.failures
            assert reader.data == [*published, "last"]
            assert reader.connections > 1
        assert askers.answers.keys() == {200}
        assert "Traceback" not in server.said


def test_answers_in_progress_go_on_over_a_reload(redis: RedisServer, upstream: Upstream) -> None:
    pieces = [f"piece {number} " for number in range(30)]
    upstream.default = Script(pieces=tuple(pieces), delay=0.1)
    with served(redis, 2, upstream, "[server]\ndrain_timeout = 6\n") as server:
        runs = []
        for number in range(6):
            with server.open("POST", "/api/chat", {"Idempotency-Key": str(number)}, ASK) as raw:
                runs.append(raw.event().id.partition("-")[0])
        readers = [Reader(server, f"/api/chat/{run}", lambda data: len(data) == len(pieces)) for run in runs]
        server.signal(signal.SIGHUP)
        for reader in readers:
            reader.join()
            assert not reader.failures
            assert reader.data == [f'{{"text":"{piece}"}}' for piece in pieces]
        server.wait_said("reloaded: all workers are new", 30)
        assert len(upstream.seen) == 6


def test_settings_that_are_broken_at_a_reload_are_told_and_change_nothing(redis: RedisServer) -> None:
    with served(redis, 2, settings="[server]\nheartbeat = 5\n") as server:
        before = workers_of(server)
        (config,) = [Path(word) for word in psutil.Process(server.pid).cmdline() if word.endswith("tailrace.toml")]
        config.write_text("[server]\nhartbeat = 1\n")
        server.signal(signal.SIGHUP)
        server.wait_said("unknown key 'hartbeat' (did you mean 'heartbeat'?)")
        server.wait_said("not reloaded")
        assert workers_of(server) == before
        config.write_text("[server]\nheartbeat = 1\n")
        server.signal(signal.SIGHUP)
        server.wait_said("reloaded: all workers are new", 20)
        with server.open("GET", "/events/news") as raw:
            raw.event()
            raw.piece()
            assert b":heartbeat" in raw.body


def test_a_reload_onto_another_store_is_refused_since_the_workers_would_have_two(redis: RedisServer) -> None:
    with served(redis, 2, settings="[store]\nprefix = 'here'\n") as server:
        before = workers_of(server)
        (config,) = [Path(word) for word in psutil.Process(server.pid).cmdline() if word.endswith("tailrace.toml")]
        config.write_text("[store]\nprefix = 'there'\n")
        server.signal(signal.SIGHUP)
        server.wait_said("not reloaded")
        shown = f"redis://127.0.0.1:{redis.port}"
        told = f"[store] is {shown} (prefix there) now, but the workers are on {shown} (prefix here)"
        assert f"{told}: changing it takes a restart" in server.said
        assert workers_of(server) == before


def test_each_line_of_a_worker_has_its_name(redis: RedisServer, upstream: Upstream) -> None:
    upstream.default = Script(fault="stall", after=1)  # goes on until it is told to, however slow this machine is
    with served(redis, 2, upstream) as server, server.open("POST", "/api/chat", body=ASK) as raw:
        raw.event()
        workers = workers_of(server)
        server.signal(signal.SIGHUP)
        server.wait_said("leaving", 60)
        upstream.resume()
        server.wait_said("reloaded: all workers are new", 60)
        (line,) = [line for line in map(json.loads, server.said.splitlines()) if "leaving" in line["message"]]
        name = line["process"]
        assert line["message"] == f"{name} is leaving: 1 answer goes on for at most 25 s"
        found = re.fullmatch(r"worker [12] \(process (\d+)\)", name)
        assert found is not None, line
        assert int(found[1]) in workers
        redis.freeze()
        server.wait_said("the store is away", 20)
        redis.thaw()
        lines = [line for line in map(json.loads, server.said.splitlines()) if "the store is away" in line["message"]]
        assert lines
        assert all(re.fullmatch(r"worker [12] \(process \d+\)", line["process"]) for line in lines), lines
        raw.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_leave_under_load_it_exits_0(redis: RedisServer, number: signal.Signals) -> None:
    with served(redis, 2, settings="[server]\ndrain_timeout = 5\n") as server, Askers(server) as askers:
        workers = workers_of(server)
        until(lambda: askers.pids == workers)
        server.signal(number)
        assert server.wait(15) == 0
        assert not any(psutil.pid_exists(pid) for pid in workers)
        assert "Traceback" not in server.said
    # Between the last look into a socket's queue and its closing somebody may slip in, who is reset.
    others = {said: count for said, count in askers.answers.items() if said != 200 and "refused" not in str(said)}
    assert sum(others.values()) <= len(workers), others


def test_a_signal_to_every_process_of_the_service_is_one_for_each(redis: RedisServer, upstream: Upstream) -> None:
    """As systemd sends it. A second one would end the answers that go on."""
    upstream.default = Script(pieces=tuple("abcdefgh"), delay=0.2)
    with served(redis, 2, upstream) as server, server.open("POST", "/api/chat", body=ASK) as raw:
        raw.event()
        for pid in workers_of(server):
            os.kill(pid, signal.SIGTERM)
        server.wait_said("is leaving: 1 answer goes on for at most 25 s; a second signal ends it now")
        server.terminate()
        assert [event.event for event in raw.rest()[-2:]] == ["finish", "done"]
        assert server.wait() == 0
        assert "Traceback" not in server.said


def test_a_second_signal_ends_all_workers_now(redis: RedisServer, upstream: Upstream) -> None:
    upstream.default = Script(fault="stall", after=1)
    with served(redis, 2, upstream) as server, server.open("POST", "/api/chat", body=ASK) as raw:
        raw.event()
        server.terminate()
        server.wait_said("is leaving: 1 answer goes on for at most 25 s; a second signal ends it now")
        server.terminate()
        assert server.wait(5) == 0
        raw.rest()


def test_workers_whose_supervisor_is_killed_leave_in_order(redis: RedisServer) -> None:
    with served(redis, 2) as server:
        workers = workers_of(server)
        folder = next(word for word in psutil.Process(workers.copy().pop()).cmdline() if "/tailrace-" in word)
        folder = folder[folder.index(":/") + 1 :]
        with server.open("GET", "/events/news") as raw:
            raw.event()
            server.signal(signal.SIGKILL)
            assert [event.event for event in raw.rest()] == ["reconnect"]
        until(lambda: not any(psutil.pid_exists(pid) for pid in workers))
        assert not Path(folder).exists()


def test_a_worker_hears_no_reload_itself(redis: RedisServer) -> None:
    with served(redis, 2) as server:
        workers = workers_of(server)
        for pid in workers:
            os.kill(pid, signal.SIGHUP)
        assert server.health()["workers"] == {"answered": 2, "of": 2}
        assert workers_of(server) == workers
