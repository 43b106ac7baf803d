"""Who is tried next, without anybody being asked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.chat import failures
from tailrace.chat.attempts import ABANDONED, ANSWERED, SKIPPED, Attempt
from tailrace.chat.breaker import Breaker, BreakerOptions, State
from tailrace.chat.course import Chance, Course
from tailrace.chat.models import Policy, Target
from tailrace.chat.places import Queue, Saturated
from tailrace.errors import ErrorType, ProviderError
from tailrace.runs.deltas import Restart, Usage
from tailrace.testing import FakeClock

A, B, C = Target("p", "a"), Target("p", "b"), Target("p", "c")
BUSY = failures.refused(503, {}, b"")
SLOW_DOWN = failures.refused(429, {"Retry-After": "2"}, b"")
TOO_LONG = failures.refused(400, {}, b"")
BAD_KEY = failures.refused(401, {}, b"")
CUT = ProviderError(ErrorType.PROVIDER_CUT, "cut")


class Bench:
    """The world of a course: its time, its breakers and what it noted."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.breakers = {
            target: Breaker(BreakerOptions(failures=2, cooldown=10), clock=self.clock, jitter=lambda: 0.0)
            for target in (A, B, C)
        }
        self.attempts: list[Attempt] = []

    def course(self, *targets: Target, **policy: Any) -> Course:
        self.attempts.clear()
        course = Course(targets, Policy(**policy), self.breakers, self.attempts, Chance(self.clock, lambda: 0.0))
        course.begin()
        return course

    def open(self, *targets: Target) -> None:
        for target in targets:
            for _ in range(2):
                self.breakers[target].failed(self.breakers[target].force())
            assert self.breakers[target].state is State.OPEN

    @property
    def noted(self) -> list[tuple[Target, str]]:
        return [(each.target, each.outcome) for each in self.attempts]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_failure_that_may_pass_is_tried_once_more_and_then_the_next_target_is(bench: Bench) -> None:
    course = bench.course(A, B)
    assert (course.target, course.failed(BUSY)) == (A, 0.25)
    assert (course.target, course.failed(BUSY)) == (A, 0.0)
    assert (course.target, course.failed(BUSY)) == (B, 0.25)
    assert (course.target, course.failed(BUSY)) == (B, None)
    assert bench.noted == [(A, "provider_overloaded")] * 2 + [(B, "provider_overloaded")] * 2


def test_each_try_is_noted_with_its_time_its_status_and_the_wait_before_it(bench: Bench) -> None:
    course = bench.course(A)
    bench.clock.advance(0.5)
    assert course.failed(SLOW_DOWN) == 2
    bench.clock.advance(2)
    course.started()
    bench.clock.advance(3)
    assert course.answered() is None
    bench.clock.advance(60)
    course.completed()
    assert bench.attempts == [
        Attempt(A, ErrorType.PROVIDER_RATE_LIMITED, 0.5, 429),
        Attempt(A, ANSWERED, 3.0, waited=2.0, obeyed=True),
    ]


def test_the_next_target_is_noted_without_the_wait_that_was_for_the_last(bench: Bench) -> None:
    course = bench.course(A, B)
    course.failed(SLOW_DOWN)
    course.failed(SLOW_DOWN)
    course.answered()
    assert [(each.waited, each.obeyed) for each in bench.attempts] == [(0.0, False), (2.0, True), (0.0, False)]


def test_more_patience_than_there_is_is_not_had_and_the_next_target_is_tried_at_once(bench: Bench) -> None:
    course = bench.course(A, B)
    assert course.failed(failures.refused(429, {"Retry-After": "60"}, b"")) == 0.0
    assert course.target == B


def test_what_another_try_would_not_mend_goes_to_the_next_target_at_once(bench: Bench) -> None:
    course = bench.course(A, B)
    assert (course.failed(BAD_KEY), course.target) == (0.0, B)


def test_what_the_request_itself_brought_about_is_the_end(bench: Bench) -> None:
    assert bench.course(A, B).failed(TOO_LONG) is None
    assert bench.noted == [(A, "provider_rejected")]


def test_a_target_that_failed_too_often_is_skipped(bench: Bench) -> None:
    bench.open(A)
    course = bench.course(A, B)
    assert course.target == B
    course.answered()
    assert bench.noted == [(A, SKIPPED), (B, ANSWERED)]


def test_it_is_not_tried_again_once_its_breaker_opened_meanwhile(bench: Bench) -> None:
    course = bench.course(A, B, retries=5)
    assert course.failed(BUSY) == 0.25
    assert (course.failed(BUSY), course.target) == (0.0, B)
    assert bench.breakers[A].state is State.OPEN


def test_where_all_failed_too_often_each_is_tried_once_all_the_same(bench: Bench) -> None:
    bench.open(A, B)
    course = bench.course(A, B)
    assert (course.target, course.failed(BUSY)) == (A, 0.0)
    assert course.target == B
    course.answered()
    course.completed()
    assert bench.breakers[B].state is State.CLOSED, "it answered"
    assert bench.noted == [(A, SKIPPED), (B, SKIPPED), (A, "provider_overloaded"), (B, ANSWERED)]


def test_the_error_stands_where_what_is_left_failed_too_often(bench: Bench) -> None:
    bench.open(B)
    assert bench.course(A, B, retries=0).failed(BUSY) is None
    assert bench.noted == [(A, "provider_overloaded"), (B, SKIPPED)]


def test_a_target_comes_back_by_a_probe_that_begins_to_answer(bench: Bench) -> None:
    bench.open(A)
    bench.clock.advance(10)
    probe, other = bench.course(A, B), bench.course(A, B)
    assert (probe.target, other.target) == (A, B)
    probe.answered()
    assert bench.course(A, B).target == A


def test_a_probe_that_is_abandoned_leaves_room_for_the_next(bench: Bench) -> None:
    bench.open(A)
    bench.clock.advance(10)
    bench.course(A, B).abandoned()
    assert bench.noted == [(A, ABANDONED)]
    assert bench.course(A, B).target == A


@pytest.mark.parametrize("error", [TOO_LONG, Saturated("full", Queue())])
def test_neither_the_requests_fault_nor_a_bound_of_ours_counts_against_the_target(
    bench: Bench, error: ProviderError
) -> None:
    for _ in range(10):
        bench.course(A).failed(error)
    assert bench.breakers[A].state is State.CLOSED


def test_what_a_try_that_came_to_nothing_cost_is_noted_with_it_and_not_with_the_next(bench: Bench) -> None:
    course = bench.course(A, B, retries=0)
    course.counted(Usage(5))
    assert bench.attempts == [Attempt(A, ABANDONED, usage=Usage(5))], "who cancels now tells so"
    course.counted(Usage(output_tokens=2))
    course.failed(BUSY)
    course.answered()
    assert [attempt.usage for attempt in bench.attempts] == [Usage(5, 2), None]
    assert bench.attempts[0].told()["usage"] == {"input_tokens": 5, "output_tokens": 2}
    assert "usage" not in bench.attempts[1].told()


def test_what_an_answer_cost_that_had_begun_is_the_runs_own_unless_it_becomes_void(bench: Bench) -> None:
    for after_content, usage in (("fail", None), ("continue", Usage(5))):
        bench.attempts.clear()
        course = bench.course(A, B, after_content=after_content)
        course.counted(Usage(5))
        course.answered()
        course.failed(CUT)
        assert bench.attempts[0].usage == usage


def test_leaving_counts_against_nobody(bench: Bench) -> None:
    for _ in range(10):
        bench.course(A).abandoned()
    assert bench.breakers[A].state is State.CLOSED


def test_who_leaves_an_answer_that_had_begun_leaves_it_noted_as_answered(bench: Bench) -> None:
    course = bench.course(A)
    course.answered()
    course.abandoned()
    assert bench.noted == [(A, ANSWERED)]


def test_an_answer_that_breaks_after_its_first_content_fails_and_is_noted_so(bench: Bench) -> None:
    course = bench.course(A, B)
    course.answered()
    assert course.failed(CUT) is None
    assert bench.noted == [(A, "provider_cut")]


def test_where_the_policy_says_so_it_begins_anew_on_the_next_target(bench: Bench) -> None:
    course = bench.course(A, B, C, after_content="continue")
    course.answered()
    assert (course.failed(CUT), course.target) == (0.0, B)
    assert (course.failed(BAD_KEY), course.target) == (0.0, C)
    assert course.answered() == Restart("p", "c", "provider_cut")
    assert course.failed(CUT) is None, "there is nobody left"
    assert bench.noted == [(A, "provider_cut"), (B, "provider_auth"), (C, "provider_cut")]


def test_an_answer_that_breaks_each_time_is_restarted_each_time(bench: Bench) -> None:
    course = bench.course(A, B, C, after_content="continue")
    assert course.answered() is None
    course.failed(CUT)
    assert course.answered() == Restart("p", "b", "provider_cut")
    course.failed(ProviderError(ErrorType.PROVIDER_IDLE_TIMEOUT, "silence"))
    assert course.answered() == Restart("p", "c", "provider_idle_timeout")


def test_breaks_after_content_open_the_breaker_too(bench: Bench) -> None:
    for _ in range(2):
        course = bench.course(A)
        course.answered()
        course.failed(CUT)
    assert bench.breakers[A].state is State.OPEN


ERRORS = (BUSY, SLOW_DOWN, TOO_LONG, BAD_KEY, CUT, Saturated("full", Queue()))


@given(
    acts=st.lists(st.tuples(st.sampled_from(ERRORS), st.booleans(), st.floats(0, 20)), min_size=30, max_size=30),
    retries=st.integers(0, 3),
    continues=st.booleans(),
    opened=st.sets(st.sampled_from((A, B, C))),
)
def test_however_it_goes_it_ends_within_its_tries_and_no_ticket_is_kept(
    acts: list[tuple[ProviderError, bool, float]], retries: int, continues: bool, opened: set[Target]
) -> None:
    bench = Bench()
    bench.open(*opened)
    course = bench.course(A, B, C, retries=retries, after_content="continue" if continues else "fail")
    tries = 0
    for error, speaks, seconds in acts:
        bench.clock.advance(seconds)
        if speaks:
            course.answered()
        tries += 1
        if course.failed(error) is None:
            break
    else:
        raise AssertionError("it never ended")
    assert tries <= 3 * (retries + 1)
    assert len([each for each in bench.attempts if each.outcome != SKIPPED]) == tries
    bench.clock.advance(1000)
    assert all(breaker.admit() for breaker in bench.breakers.values())
