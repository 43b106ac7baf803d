"""A process that comes, and leaves without losing anyone."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hosted import until
from tests.support.raw import Ended, Raw
from tests.support.served import EXIT_CODES, RUNNERS, Runner, served
from tests.support.server import ROOT, Server
from tests.support.upstream import Script, Upstream

ASK = {"message": "Hi"}


def settings(upstream: Upstream, **server: float) -> str:
    lines = [f"{name} = {value}" for name, value in server.items()]
    provider = f'[providers.up]\nkind = "anthropic"\nbase_url = "{upstream.url}"\n'
    return "\n".join(["[server]", *lines, "[chat]", 'default_model = "up/m"', provider])


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


def test_it_listens_within_a_second() -> None:
    """Once in five times at least: the machine may be busy with something else."""
    times: list[float] = []
    while len(times) < 5 and min(times, default=9) >= 1:
        with Server() as server:
            times.append(server.started_in)
    assert min(times) < 1, times


def test_a_reader_of_a_channel_is_sent_away_and_the_process_ends_at_once() -> None:
    with Server() as server, server.open("GET", "/events/news") as raw, server.open("GET", "/events/news") as other:
        raw.event()
        other.event()
        server.publish("news", "last")
        begun = time.monotonic()
        server.terminate()
        for each in (raw, other):
            last, reconnect = each.events(2)
            assert (last.data, reconnect.event, reconnect.data) == ("last", "reconnect", '{"reason":"draining"}')
            assert reconnect.id == last.id, "a reconnect moves nobody's position"
            assert reconnect.retry in range(500, 3001)
            assert each.rest() == []
            assert each.complete
        assert server.wait() == 0
        assert time.monotonic() - begun < 2


def test_a_run_in_progress_is_kept_to_its_end(upstream: Upstream) -> None:
    upstream.default = Script(pieces=("one ", "two ", "three ", "four "), delay=0.2)
    with Server(settings(upstream)) as server, server.open("POST", "/api/chat", body=ASK) as raw:
        raw.events(2)
        server.terminate()
        events = raw.rest()
        assert [event.data for event in events[:3]] == ['{"text":"two "}', '{"text":"three "}', '{"text":"four "}']
        assert [event.event for event in events[3:]] == ["finish", "done"]
        assert raw.complete
        assert server.wait() == 0


def test_a_run_longer_than_the_drain_ends_as_interrupted(upstream: Upstream) -> None:
    upstream.default = Script(fault="stall", after=1)
    with Server(settings(upstream, drain_timeout=1)) as server, server.open("POST", "/api/chat", body=ASK) as raw:
        raw.event()
        begun = time.monotonic()
        server.terminate()
        events = raw.rest()
        assert [event.event for event in events[-2:]] == ["error", "done"]
        assert '"type":"tailrace_interrupted"' in events[-2].data
        assert raw.complete
        assert server.wait() == 0
        assert 1 <= time.monotonic() - begun < 3


def test_a_second_signal_ends_it_now(upstream: Upstream) -> None:
    upstream.default = Script(fault="stall", after=1)
    with Server(settings(upstream)) as server, server.open("POST", "/api/chat", body=ASK) as raw:
        raw.event()
        server.terminate()
        until(lambda: refuses(server))
        begun = time.monotonic()
        server.signal(signal.SIGINT)
        assert server.wait() == 0
        assert time.monotonic() - begun < 1.5
        raw.rest()


def refuses(server: Server) -> bool:
    """Whether the listening socket is closed."""
    try:
        with server.connect(timeout=1):
            return False
    except ConnectionRefusedError:
        return True


def test_readiness_fails_at_once_while_new_requests_are_served_for_the_drain_delay() -> None:
    with Server("[server]\ndrain_delay = 1\n") as server:
        assert server.ask("GET", "/health/ready").status == 200
        server.terminate()
        until(lambda: server.ask("GET", "/health/ready").status == 503, timeout=0.9)
        assert server.ask("GET", "/health/live").status == 200
        assert server.health()["status"] == "draining"
        assert server.publish("news", "still here")
        assert server.wait() == 0


def test_who_comes_during_the_drain_delay_is_sent_away_with_everybody_else() -> None:
    with Server("[server]\ndrain_delay = 0.5\n") as server:
        server.terminate()
        until(lambda: server.ask("GET", "/health/ready").status == 503, timeout=0.4)
        with server.open("GET", "/events/news") as raw:
            assert [event.event for event in raw.rest()] == ["ready", "reconnect"]
        assert server.wait() == 0


def test_who_waits_in_the_accept_queue_is_served() -> None:
    """Frozen, the process takes no connection; the kernel does. Then it is told to leave, and thawed."""
    with Server() as server, contextlib.ExitStack() as stack:
        server.signal(signal.SIGSTOP)
        waiting = [stack.enter_context(server.connect()) for _ in range(20)]
        for raw in waiting:
            raw.request("GET", "/health/live")
        server.terminate()
        server.signal(signal.SIGCONT)
        for raw in waiting:
            assert raw.head().status == 200
        assert server.wait() == 0


def test_idle_connections_hold_nobody_up() -> None:
    with Server() as server, server.connect() as silent, server.connect() as kept:
        kept.request("GET", "/health/live")
        kept.head()
        kept.read()
        begun = time.monotonic()
        server.terminate()
        assert server.wait() == 0
        assert time.monotonic() - begun < 2
        assert silent.closed()


def test_a_reader_that_takes_nothing_holds_nobody_up() -> None:
    with (
        Server("[server]\ndrain_timeout = 1\n") as server,
        server.open("GET", "/events/news", receive_buffer=4096) as raw,
    ):
        raw.event()
        for _ in range(10):
            server.publish("news", "x" * 60_000)
        begun = time.monotonic()
        server.terminate()
        assert server.wait() == 0
        assert time.monotonic() - begun < 4


def test_a_port_that_is_taken_is_one_clear_line_and_exit_code_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "tailrace", "serve", "--port", str(port)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    *notes, line = done.stderr.splitlines()
    assert all(json.loads(note)["level"] == "info" for note in notes)
    assert line == f"tailrace: 127.0.0.1:{port} is taken by another process; choose another with --port"


@pytest.mark.parametrize("runner", RUNNERS)
def test_an_application_of_somebody_elses_leaves_within_its_drain(runner: Runner) -> None:
    """Its channel's readers are sent away, its run is kept to the deadline, then ended, and the process goes."""
    with (
        served(runner, "tests.support.endless:app") as server,
        server.open("GET", "/prices") as prices,
        server.open("POST", "/chat") as chat,
    ):
        prices.event()
        chat.events(2)
        begun = time.monotonic()
        server.terminate()
        assert [event.event for event in prices.rest()] == ["reconnect"]
        events = chat.rest()
        assert [event.event for event in events] == ["error", "done"]
        assert '"type":"tailrace_interrupted"' in events[0].data
        assert prices.complete
        assert chat.complete
        assert server.wait() == EXIT_CODES[runner]
        assert 1 <= time.monotonic() - begun < 3


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_second_signal_ends_somebody_elses_application_now(runner: Runner) -> None:
    endless = served(runner, "tests.support.endless:app", DRAIN_TIMEOUT="20")
    with endless as server, server.open("POST", "/chat") as chat:
        chat.events(2)
        server.signal(signal.SIGINT)
        until(lambda: refuses(server))
        begun = time.monotonic()
        server.signal(signal.SIGINT)
        server.wait()
        assert time.monotonic() - begun < 3


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_reader_that_takes_nothing_does_not_keep_an_application_from_leaving(runner: Runner) -> None:
    endless = served(runner, "tests.support.endless:app", DRAIN_TIMEOUT="1")
    with endless as server, server.open("GET", "/prices") as stuck, server.open("POST", "/flood") as flood:
        stuck.event()
        flood.read()
        begun = time.monotonic()
        server.terminate()
        server.wait()
        assert time.monotonic() - begun < 6


def test_a_connection_made_after_the_listener_closed_is_refused_rather_than_hung(upstream: Upstream) -> None:
    upstream.default = Script(pieces=("a", "b", "c"), delay=0.3)
    with Server(settings(upstream)) as server, server.open("POST", "/api/chat", body=ASK) as raw:
        raw.event()
        server.terminate()
        until(lambda: refuses(server), timeout=1)
        assert raw.rest()[-1].event == "done"


def test_one_more_request_on_a_kept_connection_is_answered_while_leaving_and_then_it_closes(upstream: Upstream) -> None:
    upstream.default = Script(pieces=("a", "b", "c", "d"), delay=0.3)
    with (
        Server(settings(upstream)) as server,
        server.open("POST", "/api/chat", body=ASK) as raw,
        Raw(server.address) as kept,
    ):
        kept.request("GET", "/health/live")
        kept.head()
        kept.read()
        server.terminate()
        until(lambda: refuses(server), timeout=1)
        try:
            assert kept.silent_for(0.2)
            kept.request("GET", "/health/ready")
            head = kept.head()
        except Ended:
            pytest.fail("an open connection was closed before its time")
        assert (head.status, head.headers["connection"]) == (503, "close")
        kept.read()
        assert kept.closed()
        assert raw.rest()[-1].event == "done"


def test_who_has_just_connected_is_waited_for_and_answered() -> None:
    """Closed with its request on the way, the connection would be reset."""
    with Server() as server, server.connect() as raw:
        server.terminate()
        until(lambda: refuses(server))
        assert raw.silent_for(0.3)
        raw.request("GET", "/health/live")
        assert raw.head().status == 200
        assert server.wait() == 0


def test_a_store_that_cannot_be_opened_now_is_one_clear_line_and_exit_code_1(tmp_path: Path) -> None:
    """Not 2, which says that a restart is useless: a service that is not restarted for that would stay down."""
    (tmp_path / "app.py").write_text(
        "from starlette.applications import Starlette\nfrom tailrace import Tailrace\n"
        "app = Starlette(lifespan=Tailrace('sqlite:///nowhere/events.db').lifespan)\n"
    )
    for arguments in (["serve", "--store", "sqlite:///nowhere/events.db"], ["run", "app:app"]):
        command = [sys.executable, "-m", "tailrace", *arguments, "--port", "0"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith(f"tailrace: the store {tmp_path}/nowhere/events.db cannot")
        assert "Traceback" not in done.stderr


def test_an_application_that_does_not_start_keeps_its_traceback_and_is_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "from starlette.applications import Starlette\nasync def no(app):\n    raise ZeroDivisionError('mine')\n"
        "    yield\napp = Starlette(lifespan=no)\n"
    )
    command = [sys.executable, "-W", "ignore", "-m", "tailrace", "run", "app:app", "--port", "0"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert "ZeroDivisionError: mine" in done.stderr


def test_a_request_whose_body_never_comes_is_refused_at_the_end_and_leaves_no_traceback() -> None:
    with Server() as server, contextlib.ExitStack() as stack:
        halves = [stack.enter_context(server.connect()) for _ in range(3)]
        for raw in halves:
            raw.send(b"POST /api/chat HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nabc")
        assert server.health()["status"] == "healthy"  # by then their heads were read
        server.terminate()
        begun = time.monotonic()
        assert server.wait() == 0
        assert time.monotonic() - begun < 2
        for raw in halves:
            assert raw.head().status == 503
        assert "Traceback" not in server.said
        assert "Cancel" not in server.said
