"""What survives the server's process where its logs are in a file (`--store sqlite:///…`)."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hosted import until
from tests.support.server import ROOT, Server
from tests.support.upstream import Script, Upstream

ASK = {"message": "Hi"}


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The address of a store in a file of the test's own."""
    return f"sqlite:///{tmp_path}/events.db"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


def server(url: str, upstream: Upstream | None = None) -> Server:
    """A server on that file."""
    chat = ""
    if upstream is not None:
        chat = f'[chat]\ndefault_model = "up/m"\n[providers.up]\nkind = "anthropic"\nbase_url = "{upstream.url}"\n'
    return Server(chat, arguments=["--store", url])


def end(running: Server, number: signal.Signals) -> None:
    """End a server by a signal."""
    running.signal(number)
    assert running.wait() == (0 if number == signal.SIGTERM else -number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_reader_resumes_exactly_where_it_was_over_a_restart(url: str, number: signal.Signals) -> None:
    with server(url) as first:
        assert first.health()["store"] == "sqlite"
        with first.open("GET", "/events/news") as raw:
            raw.event()
            ids = [first.publish("news", f"event {i}") for i in range(50)]
            assert [event.id for event in raw.events(20)] == ids[:20]
        end(first, number)
    with server(url) as second, second.open("GET", "/events/news", {"Last-Event-ID": ids[19]}) as raw:
        resume, *rest = raw.events(31)
        assert (resume.event, resume.data) == ("resume", '{"recovered":true,"reason":"ok","missed":0}')
        assert [(event.id, event.data) for event in rest] == [(ids[i], f"event {i}") for i in range(20, 50)]
        last = second.publish("news", "after")
        assert raw.event().id == last
        assert last.partition("-")[0] == ids[0].partition("-")[0]


def test_a_run_whose_process_was_killed_is_read_to_its_end_and_is_not_started_again(
    url: str, upstream: Upstream
) -> None:
    upstream.default = Script(pieces=("one ", "two ", "three"), fault="stall", after=2)
    key = {"Idempotency-Key": "k"}
    with server(url, upstream) as first, first.open("POST", "/api/chat", key, ASK) as raw:
        start, one = raw.events(2)
        assert (start.event, one.data) == ("start", '{"text":"one "}')
        run = start.id.partition("-")[0]
        assert raw.event().data == '{"text":"two "}'
        first.publish("news", "what was said before this is committed")
        end(first, signal.SIGKILL)
    with server(url, upstream) as second:
        with second.open("GET", f"/api/chat/{run}", {"Last-Event-ID": one.id}) as raw:
            resume, two, error, done = raw.rest()
            assert (resume.event, two.data, done.event) == ("resume", '{"text":"two "}', "done")
            assert (error.event, '"type":"tailrace_interrupted"' in error.data) == ("error", True)
            assert raw.complete
        # A viewer who was shown more than had reached the disk learns the end as well.
        with second.open("GET", f"/api/chat/{run}", {"Last-Event-ID": f"{run}-9"}) as raw:
            assert [event.event for event in raw.rest()] == ["resume", "error", "done"]
        with second.open("GET", f"/api/chat/{run}", {"Last-Event-ID": error.id}) as raw:
            assert [event.event for event in raw.rest()] == ["resume", "done"]
        assert second.ask("GET", f"/api/chat/{run}", {"Last-Event-ID": done.id}).status == 204
        state = second.ask("GET", f"/api/chat/{run}", {"Accept": "application/json"}).json()
        assert (state["status"], state["text"]) == ("interrupted", "one two ")
        with second.open("POST", "/api/chat", key, ASK) as raw:
            assert [event.event for event in raw.rest()] == ["start", "message", "message", "error", "done"]
    assert len(upstream.seen) == 1


def refused(*arguments: str, code: int = 1) -> str:
    """What a server that does not start says, which is one line, as it exits with `code`."""
    command = [sys.executable, "-m", "tailrace", "serve", "--port", "0", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == code, done
    *notes, said = done.stderr.splitlines()
    assert all(json.loads(note)["level"] == "info" for note in notes), done.stderr
    return said


def test_a_second_process_on_the_file_is_refused(url: str, tmp_path: Path) -> None:
    with server(url) as first:
        said = refused("--store", url)
        assert f"{tmp_path}/events.db is in use by another process (pid {first.pid})" in said
        assert first.publish("news", "still here")


def test_a_file_that_cannot_be_the_store_is_one_clear_line_at_start(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database at all " * 100)
    assert "it is a directory" in refused("--store", f"sqlite:///{tmp_path}")
    assert "there is no directory" in refused("--store", f"sqlite:///{tmp_path}/nowhere/x.db")
    assert "file is not a database" in refused("--store", f"sqlite:///{tmp_path}/text.db")
    assert "--store: expected memory://, sqlite:///" in refused("--store", "sqlite://x.db", code=2)


def test_a_full_disk_degrades_the_server_and_it_recovers_when_there_is_space(
    url: str, tmp_path: Path, upstream: Upstream
) -> None:
    """A limit on the size of files stands for the disk; SQLite is told so by each write past it."""
    upstream.default = Script(pieces=("one ", "two ", "three"), delay=0.3)
    with server(url, upstream) as running, running.open("GET", "/events/news") as raw:
        raw.event()
        first = running.publish("news", "before")
        with running.open("POST", "/api/chat", body=ASK) as chat:
            chat.events(2)
            limit(running.pid, (tmp_path / "events.db-wal").stat().st_size)
            answer = running.ask("POST", "/events/news", body={"data": "x" * 10_000})
            assert (answer.status, answer.json()["code"]) == (503, "store_unavailable")
            assert int(answer.headers["retry-after"]) >= 1
            assert running.health()["status"] == "degraded"
            assert running.ask("GET", "/health/ready").status == 200
            assert [event.event for event in chat.rest()] == ["message", "message", "finish", "done"]
        assert running.ask("GET", "/events/news", {"Accept": "application/json"}).json()["events"][0]["id"] == first
        limit(running.pid, resource.RLIM_INFINITY)
        until(lambda: running.health()["status"] == "healthy", timeout=5)
        second = running.publish("news", "after")
        assert [event.id for event in raw.events(2)] == [first, second]
        assert "Traceback" not in running.said


def limit(pid: int, size: int) -> None:
    """Let a process write no file past `size` bytes."""
    hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
