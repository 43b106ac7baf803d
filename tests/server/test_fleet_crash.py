"""An instance dies, or seems to: every viewer learns how its answer ended, and all learn the same."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.backed import error_of, names_of, text_of
from tests.support.fleet import CHAOS, STREAM, Answers, Fleet
from tests.support.hosted import until
from tests.support.survivor import Crowd, Survivor

RUNS = 100 if CHAOS else 8
TOLD_WITHIN = 10.0
FROZEN = 8.0


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with Fleet(answers=Answers(600, 0.1)) as fleet:
        yield fleet


def test_when_a_producer_is_killed_every_viewer_everywhere_is_told_the_same_end_in_time(fleet: Fleet) -> None:
    a, b = fleet.instances
    at_a, at_b = fleet.addresses
    with Crowd() as crowd:
        # Whoever was on A comes back on B; the others were there all the time.
        own = [crowd.add(Survivor.asking([at_a, at_b], f"q{n}", key=f"k{n}")) for n in range(RUNS)]
        until(lambda: all(len(each.events) > 3 for each in own))
        away = [crowd.add(Survivor.watching([at_b], each.run)) for each in own]
        until(lambda: all(len(each.events) > 3 for each in away))
        seen = [max(own[n].text, away[n].text, key=len) for n in range(RUNS)]
        killed = time.monotonic()
        fleet.kill(a)
        crowd.wait(timeout=30)
        late = max(each.heard_at[-1] for each in crowd.members) - killed
        assert late < TOLD_WITHIN, f"the last viewer was told after {late:.1f} s"
        for n in range(RUNS):
            for each in (own[n], away[n]):
                assert each.names[-2:] == ["error", "done"]
                assert each.error == "tailrace_interrupted"
                assert (each.repeats, each.verdicts, each.statuses) == ([], [], [])
            assert own[n].events[-2:] == away[n].events[-2:]
            state = fleet.state(b, own[n].run)
            assert state["status"] == "interrupted"
            # What was on its way to the store when the process died is lost with it; what B has shown is not.
            assert fleet.answers.to(f"q{n}").startswith(state["text"])
            assert state["text"] == away[n].text
            assert len(state["text"]) > 0.8 * len(seen[n])
    ended = own[0].run
    assert b.ask("GET", f"/api/chat/{ended}", STREAM | {"last-event-id": own[0].ids[-1]}).status == 204
    # Its key still names it: the question is not asked again.
    with b.open("POST", "/api/chat", STREAM | {"idempotency-key": "k0"}, {"message": "q0"}) as raw:
        assert error_of(raw.rest())["type"] == "tailrace_interrupted"
    assert set(fleet.times_asked.values()) == {1}


def test_a_zombies_late_words_are_refused_and_its_own_viewers_are_told_the_end_that_stands(fleet: Fleet) -> None:
    a, b = fleet.instances
    with ExitStack() as stack:
        run, own, start = stack.enter_context(fleet.ask(a, "late"))
        first = own.events(3)
        other = stack.enter_context(fleet.watch(b, run))
        other.timeout = own.timeout = 20
        other.socket.settimeout(20)
        own.socket.settimeout(20)
        frozen = time.monotonic()
        a.signal(signal.SIGSTOP)
        there = other.rest()
        assert time.monotonic() - frozen < TOLD_WITHIN
        assert error_of(there)["type"] == "tailrace_interrupted"
        time.sleep(max(0.0, frozen + FROZEN - time.monotonic()))  # the model goes on meanwhile
        a.signal(signal.SIGCONT)
        here = [start, *first, *own.rest()]
    assert names_of(here)[-2:] == ["error", "done"]
    assert here[-2:] == there[-2:]
    assert text_of(here).startswith(text_of(there))
    fleet.up.wait_for(lambda _: fleet.asked("late").aborted_at is not None)
    for instance in (a, b):
        state = fleet.state(instance, run)
        assert (state["status"], state["text"]) == ("interrupted", text_of(there))
    # It is not dead after all: it is asked again, and what it produces now is seen everywhere.
    with fleet.ask(a, "again") as (again, raw, _):
        raw.events(2)
        with fleet.watch(b, again) as elsewhere:
            assert names_of(elsewhere.events(3)) == ["start", "message", "message"]


def test_a_killed_instance_that_comes_back_serves_what_it_had_said(fleet: Fleet) -> None:
    a, b = fleet.instances
    with fleet.ask(a, "before") as (run, own, _):
        own.events(5)
        fleet.kill(a)
    fleet.instances[0] = again = fleet._start(fleet.addresses[0][1])
    with fleet.watch(again, run) as raw:
        told = raw.rest()
    assert names_of(told)[-2:] == ["error", "done"]
    assert text_of(told).startswith("before/0 before/1 ")
    with fleet.watch(b, run) as raw:
        assert raw.rest() == told
