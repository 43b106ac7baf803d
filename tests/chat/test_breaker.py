"""When a target is left alone, and when it is asked again."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tailrace.chat.breaker import Breaker, BreakerOptions, State, Ticket
from tailrace.testing import FakeClock

OPTIONS = BreakerOptions(failures=3, rate=0.5, window=10, least=6, cooldown=8)
CLOSED, OPEN, HALF_OPEN = State.CLOSED, State.OPEN, State.HALF_OPEN


class Bench:
    """A breaker whose time and chance are held still; `jitter` is what chance draws."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock()
        self.jitter = 0.0
        self.told: list[State] = []
        self.breaker = Breaker(
            BreakerOptions(**options) if options else OPTIONS,
            clock=self.clock,
            jitter=lambda: self.jitter,
            changed=self.told.append,
        )

    def admitted(self) -> Ticket:
        ticket = self.breaker.admit()
        assert ticket is not None
        return ticket

    def fail(self, times: int = 1) -> None:
        for _ in range(times):
            self.breaker.failed(self.admitted())

    def succeed(self, times: int = 1) -> None:
        for _ in range(times):
            self.breaker.succeeded(self.admitted())


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_it_opens_after_so_many_failures_in_a_row(bench: Bench) -> None:
    bench.fail(2)
    bench.succeed()
    bench.fail(2)
    assert bench.breaker.state is CLOSED
    bench.fail()
    assert bench.breaker.state is OPEN
    assert bench.breaker.admit() is None


def test_it_opens_when_too_many_tries_of_the_window_failed_though_never_in_a_row(bench: Bench) -> None:
    for _ in range(2):
        bench.succeed()
        bench.fail()
    bench.succeed()
    assert bench.breaker.state is CLOSED, "half of the tries, but they are too few to tell"
    bench.fail()
    assert bench.breaker.state is OPEN


def test_failures_that_the_window_has_left_behind_do_not_open_it(bench: Bench) -> None:
    for _ in range(10):
        bench.succeed()
        bench.fail()
        bench.clock.advance(5)
    assert bench.breaker.state is CLOSED


def test_after_the_cool_down_one_may_probe_and_its_first_content_lets_everybody_in(bench: Bench) -> None:
    bench.fail(3)
    bench.clock.advance(7.9)
    assert bench.breaker.admit() is None
    bench.clock.advance(0.1)
    assert bench.breaker.state is HALF_OPEN
    probe = bench.admitted()
    assert probe.probe
    assert bench.breaker.admit() is None
    probe = bench.breaker.began(probe)
    assert bench.breaker.state is CLOSED
    bench.fail(2)
    bench.breaker.failed(probe)  # it breaks later: a failure like any other
    assert bench.breaker.state is OPEN
    assert bench.told == [OPEN, HALF_OPEN, CLOSED, OPEN]


def test_each_probe_that_fails_doubles_the_cool_down_up_to_eight_times_the_first(bench: Bench) -> None:
    bench.fail(3)
    for cooldown in (8, 16, 32, 64, 64):
        bench.clock.advance(cooldown - 0.1)
        assert bench.breaker.admit() is None
        bench.clock.advance(0.1)
        bench.fail()
    bench.clock.advance(64)
    bench.succeed()
    bench.fail(3)
    bench.clock.advance(8)
    assert bench.breaker.state is HALF_OPEN, "once closed it begins with the first again"


def test_the_cool_down_is_up_to_a_half_shorter_by_chance(bench: Bench) -> None:
    bench.jitter = 0.5
    bench.fail(3)
    bench.clock.advance(5.9)
    assert bench.breaker.state is OPEN
    bench.clock.advance(0.1)
    assert bench.breaker.state is HALF_OPEN


def test_a_probe_that_nobody_waited_for_makes_room_for_the_next(bench: Bench) -> None:
    bench.fail(3)
    bench.clock.advance(8)
    bench.breaker.released(bench.admitted())
    assert bench.breaker.state is HALF_OPEN
    assert bench.admitted().probe


def test_what_says_nothing_about_the_target_counts_for_nothing(bench: Bench) -> None:
    for _ in range(100):
        bench.breaker.released(bench.admitted())
    bench.fail(2)
    assert bench.breaker.state is CLOSED


def test_who_has_nobody_else_to_ask_gets_through_and_closes_it_by_an_answer(bench: Bench) -> None:
    bench.fail(3)
    bench.breaker.failed(bench.breaker.force())
    assert bench.breaker.state is OPEN
    ticket = bench.breaker.force()
    assert bench.breaker.began(ticket) == ticket
    bench.breaker.succeeded(ticket)
    assert bench.breaker.state is CLOSED


def test_what_was_asked_before_a_change_says_nothing_after_it(bench: Bench) -> None:
    late = [bench.admitted() for _ in range(3)]
    bench.fail(3)
    bench.breaker.succeeded(late.pop())
    assert bench.breaker.state is OPEN
    bench.clock.advance(8)
    probe = bench.admitted()
    bench.breaker.failed(late.pop())
    bench.breaker.released(late.pop())
    assert bench.breaker.admit() is None, "the probe is still out"
    bench.breaker.succeeded(probe)
    assert bench.breaker.state is CLOSED


def test_its_own_clock_and_chance_are_the_machines() -> None:
    breaker = Breaker()
    for _ in range(5):
        ticket = breaker.admit()
        assert ticket is not None
        breaker.failed(ticket)
    assert breaker.state is OPEN


@given(st.lists(st.booleans(), max_size=40))
def test_closed_it_stays_until_a_row_or_a_share_of_failures(outcomes: list[bool]) -> None:
    bench = Bench(failures=4, rate=0.6, window=10, least=8, cooldown=1)
    row = tries = failures = 0
    for failed in outcomes:
        row, tries, failures = (row + 1 if failed else 0), tries + 1, failures + failed
        (bench.fail if failed else bench.succeed)()
        if failed and (row >= 4 or (tries >= 8 and failures >= 0.6 * tries)):
            assert bench.breaker.state is OPEN
            return
        assert bench.breaker.state is CLOSED


class AnyOrder(RuleBasedStateMachine):
    """Tries that begin and end in any order, over any time."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(failures=2, rate=1, window=5, least=50, cooldown=4)
        self.out: list[Ticket] = []
        self.opened_at = 0.0

    @rule()
    def ask(self) -> None:
        ticket = self.bench.breaker.admit()
        if ticket is not None:
            self.out.append(ticket)

    @rule()
    def insist(self) -> None:
        self.out.append(self.bench.breaker.force())

    @precondition(lambda self: self.out)
    @rule(data=st.data(), outcome=st.sampled_from(["succeeded", "failed", "released", "began"]))
    def end(self, data: st.DataObject, outcome: str) -> None:
        ticket = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        told = len(self.bench.told)
        following = getattr(self.bench.breaker, outcome)(ticket)
        if outcome == "began":
            self.out.append(following)
        if OPEN in self.bench.told[told:]:
            self.opened_at = self.bench.clock.monotonic()

    @rule(seconds=st.floats(0, 6))
    def wait(self, seconds: float) -> None:
        self.bench.clock.advance(seconds)

    @property
    def _probes(self) -> int:
        now = self.bench.breaker._ticket.generation
        return sum(ticket.probe and ticket.generation == now for ticket in self.out)

    @invariant()
    def there_is_one_probe_at_most(self) -> None:
        assert self._probes <= 1

    @invariant()
    def it_is_open_for_its_cool_down_and_no_longer(self) -> None:
        since = self.bench.clock.monotonic() - self.opened_at
        if self.bench.breaker.state is OPEN:
            assert since < 32
        elif self.bench.breaker.state is HALF_OPEN:
            assert since >= 4

    @invariant()
    def whoever_waits_long_enough_gets_in(self) -> None:
        assert self.bench.breaker._probing == bool(self._probes)

    @invariant()
    def every_change_is_one_that_the_module_draws(self) -> None:
        drawn = {(CLOSED, OPEN), (OPEN, HALF_OPEN), (OPEN, CLOSED), (HALF_OPEN, CLOSED), (HALF_OPEN, OPEN)}
        told = [CLOSED, *self.bench.told]
        assert set(pairwise(told)) <= drawn


TestAnyOrder = AnyOrder.TestCase
