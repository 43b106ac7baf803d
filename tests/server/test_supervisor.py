"""The process above the workers: whom it starts, replaces and gives up, told with workers of a few lines."""

from __future__ import annotations

import os
import signal
import subprocess

import psutil
import pytest

from tailrace.server.supervisor import pause
from tests.support.hosted import until
from tests.support.supervised import Supervised


def test_the_connections_are_spread_over_the_workers() -> None:
    with Supervised(3) as supervised:
        workers = supervised.workers
        assert len(workers) == 3
        assert asked(supervised, 100) == workers
        assert "with 3 workers" in supervised.server.said


def asked(supervised: Supervised, count: int) -> set[int]:
    return {supervised.ask() for _ in range(count)}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_dies_is_replaced_and_nobody_is_refused(number: signal.Signals) -> None:
    with Supervised(2) as supervised:
        victim = supervised.ask()
        others = supervised.workers - {victim}
        os.kill(victim, number)
        until(lambda: supervised.ask() not in others | {victim})
        assert len(supervised.workers - {victim}) == 2
        assert others < supervised.workers
        assert f"(process {victim})" in supervised.server.said


def test_who_is_in_the_queue_of_a_worker_that_dies_is_served_by_its_successor() -> None:
    """Frozen, the only worker takes nobody; the kernel does."""
    with Supervised(1) as supervised:
        (victim,) = supervised.workers
        os.kill(victim, signal.SIGSTOP)
        until(lambda: psutil.Process(victim).status() == psutil.STATUS_STOPPED)
        waiting = [supervised.server.connect() for _ in range(20)]
        os.kill(victim, signal.SIGKILL)
        answers = {raw.socket.recv(100) for raw in waiting}
        for raw in waiting:
            raw.close()
        assert answers == {str(pid).encode() for pid in supervised.workers}


@pytest.mark.parametrize(("role", "code"), [("refuse", 2), ("fail", 1)])
def test_workers_that_cannot_start_at_all_end_it_at_once_with_the_reason(role: str, code: int) -> None:
    """One is tried before the others are: what is wrong is said once."""
    supervised = Supervised(3, role)
    with pytest.raises(AssertionError, match="does not listen"), supervised:
        pass
    assert supervised.server.wait() == code
    assert supervised.server.said.count("did not start") == 1


def test_a_worker_that_cannot_start_again_is_tried_while_others_serve_and_then_serves() -> None:
    with Supervised(2) as supervised:
        survivor, victim = supervised.workers
        supervised.become("fail")
        os.kill(victim, signal.SIGKILL)
        until(lambda: supervised.server.said.count("did not start: it ended with exit code 3") > 6)
        supervised.become("serve")
        until(lambda: len(supervised.workers) == 2 and asked(supervised, 20) == supervised.workers)
        assert survivor in supervised.workers


def test_when_nobody_serves_and_nobody_can_start_it_gives_up_and_says_why() -> None:
    with Supervised(2) as supervised:
        supervised.become("fail")
        for worker in supervised.workers:
            os.kill(worker, signal.SIGKILL)
        assert supervised.server.wait() == 1
        supervised.server.wait_said("no worker is left, and 5 in a row did not start: giving up")


def test_a_reload_replaces_all_workers_one_by_one_and_nobody_is_refused() -> None:
    with Supervised(3) as supervised:
        before, answered = supervised.workers, set()
        supervised.reload()
        while before & supervised.workers:
            answered.add(supervised.ask())
            assert len(supervised.workers) >= 3
        supervised.server.wait_said("reloaded: all workers are new")
        after = supervised.workers
        assert len(after) == 3
        assert answered <= before | after
        assert asked(supervised, 100) == after
        assert "another is started" not in supervised.server.said, "a worker that was replaced has not died"


def test_a_second_reload_while_one_goes_on_replaces_the_workers_once_more() -> None:
    with Supervised(2) as supervised:
        supervised.reload()
        supervised.server.wait_said("one by one")
        supervised.reload()
        supervised.reload()
        until(lambda: supervised.server.said.count("reloaded: all workers are new") == 2)


@pytest.mark.parametrize(("role", "how"), [("fail", "exit code 3"), ("refuse", "exit code 2")])
def test_successors_that_cannot_start_leave_everything_as_it_was(role: str, how: str) -> None:
    with Supervised(2) as supervised:
        before = supervised.workers
        supervised.become(role)
        supervised.reload()
        supervised.server.wait_said(f"not reloaded: the new worker 1 ended with {how} at its start")
        assert supervised.workers == before
        assert asked(supervised, 50) == before
        supervised.become("serve")
        supervised.reload()
        supervised.server.wait_said("reloaded: all workers are new")
        assert not supervised.workers & before


def test_a_worker_that_never_leaves_is_killed_when_its_time_is_over() -> None:
    with Supervised(2, "hang") as supervised:
        supervised.become("serve")
        supervised.reload()
        supervised.server.wait_said("did not leave in time: killed")
        supervised.server.wait_said("reloaded: all workers are new")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_leave_it_has_all_workers_leave_and_exits_0(number: signal.Signals) -> None:
    with Supervised(3) as supervised:
        workers = supervised.workers
        supervised.server.signal(number)
        assert supervised.server.wait() == 0
        assert not any(psutil.pid_exists(pid) for pid in workers)


def test_told_a_second_time_it_tells_the_workers_so() -> None:
    with Supervised(2, "insist") as supervised:
        supervised.server.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            supervised.server.wait(0.3)
        supervised.server.terminate()
        assert supervised.server.wait() == 0


def test_told_to_leave_with_a_worker_that_hangs_it_kills_it_and_says_so_by_its_exit_code() -> None:
    with Supervised(2, "hang") as supervised:
        supervised.server.terminate()
        assert supervised.server.wait() == 1


def test_told_to_leave_during_a_reload_it_leaves() -> None:
    with Supervised(2, "insist") as supervised:
        supervised.reload()
        supervised.server.wait_said("one by one")
        supervised.server.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            supervised.server.wait(0.3)
        supervised.server.terminate()
        assert supervised.server.wait() == 0


def test_a_terminals_ctrl_c_reaches_the_workers_through_the_supervisor_once() -> None:
    """A terminal sends it to a whole process group."""
    with Supervised(1) as supervised:
        (worker,) = supervised.workers
        assert os.getpgid(worker) != os.getpgid(supervised.server.pid)


def test_a_worker_has_no_listening_socket_but_its_own() -> None:
    with Supervised(3) as supervised:
        for pid in supervised.workers:
            listening = [each for each in psutil.Process(pid).net_connections() if each.status == psutil.CONN_LISTEN]
            assert len(listening) == 1


def test_a_worker_that_dies_again_and_again_is_started_ever_later() -> None:
    assert [pause(deaths) for deaths in (0, 1, 2, 3, 6, 7, 50)] == [0, 0.25, 0.5, 1, 8, 10, 10]
