"""Counting: sums by name and labels, durations between bounds, and a moment's figures as plain values."""

from __future__ import annotations

from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st

from tailrace.observe import BOUNDS, Counters, Durations


def test_a_sum_is_asked_for_by_name_and_by_the_first_of_its_labels() -> None:
    counters = Counters()
    counters.add("cuts", 1, ("failed",))
    counters.add("cuts", 2, ("store",))
    counters.add("tokens", 3)
    assert (counters["cuts"], counters.sum("cuts", "store"), counters["tokens"], counters["nothing"]) == (3, 2, 3, 0)


def test_what_was_never_counted_leaves_no_trace_when_it_is_asked_for() -> None:
    counters = Counters()
    assert counters["cuts"] == 0
    assert not counters.snapshot().sums


@given(st.lists(st.floats(min_value=0, max_value=2000)))
def test_each_duration_is_counted_at_the_first_bound_that_is_not_below_it(seconds: list[float]) -> None:
    durations = Durations()
    for each in seconds:
        durations.observe(each)
    for place, bound in enumerate(BOUNDS):
        assert sum(durations.counts[: place + 1]) == sum(each <= bound for each in seconds)
    assert sum(durations.counts) == len(seconds)
    assert durations.total == sum(seconds)
    assert durations.counts[bisect_left(BOUNDS, 2000)] == durations.counts[-1]


def test_durations_of_one_name_are_kept_in_one_place() -> None:
    counters = Counters()
    counters.durations("store.seconds", ("read",)).observe(1)
    counters.durations("store.seconds", ("read",)).observe(2)
    (spread,) = counters.snapshot().spreads.values()
    assert (sum(spread.counts), spread.total) == (2, 3)


def test_a_gauge_is_read_when_somebody_asks_and_may_have_labels() -> None:
    counters = Counters()
    held: list[int] = []
    counters.gauge("held", lambda: len(held))
    counters.gauge("open", lambda: {("native",): 2, ("events",): 1})
    held.append(1)
    assert counters.snapshot().gauges == {("held", ()): 1, ("open", ("native",)): 2, ("open", ("events",)): 1}


def test_a_snapshot_is_not_changed_by_what_comes_later() -> None:
    counters = Counters()
    counters.add("cuts")
    counters.durations("gap").observe(1)
    before = counters.snapshot()
    counters.add("cuts")
    counters.durations("gap").observe(1)
    assert before.sum("cuts") == 1
    assert sum(before.spreads["gap", ()].counts) == 1
