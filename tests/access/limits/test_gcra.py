"""The arithmetic of rates, against a bucket that is filled drop by drop."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.access.limits.gcra import Rate

RATES = st.integers(1, 100_000)
MOMENTS = st.lists(st.integers(0, 20_000), max_size=80)  # milliseconds between requests


class Bucket:
    """What the algorithm stands for: units that come back one by one, and are never more than there may be."""

    def __init__(self, units: int) -> None:
        self.units = units
        self.left = Fraction(units)
        self.at = Fraction(0)

    def take(self, at: Fraction) -> bool:
        self.left = min(Fraction(self.units), self.left + (at - self.at) * self.units / 60)
        self.at = at
        if self.left < 1:
            return False
        self.left -= 1
        return True


def test_all_of_a_minute_may_come_at_once_and_then_one_at_a_time() -> None:
    rate, used = Rate(60, 60.0), 0.0
    for left in range(59, -1, -1):
        assert rate.wait(used) == 0
        used += rate.cost(1)
        assert rate.left(used) == left
    assert rate.wait(used) == pytest.approx(1.0)
    assert rate.wait(used - 1.0) == 0


@given(RATES, MOMENTS)
def test_it_grants_what_a_bucket_of_drops_would(units: int, pauses: list[int]) -> None:
    # By exact arithmetic both would agree at each moment; with floats they may differ by a microsecond of refill.
    rate, empty, bucket, now = Rate(units, 60.0), 0.0, Bucket(units), 0
    for pause in pauses:
        now += pause
        used = max(0.0, empty - now / 1000)
        granted = rate.wait(used) == 0
        if bucket.take(Fraction(now, 1000)) != granted:
            assert abs(bucket.left - 1) < Fraction(units, 1_000_000)  # it is a tie
            return
        if granted:
            empty = now / 1000 + used + rate.cost(1)


@given(RATES, st.floats(0, 120))
def test_after_the_wait_that_is_told_one_more_is_granted_and_not_before(units: int, used: float) -> None:
    rate = Rate(units, 60.0)
    wait = rate.wait(used)
    assert rate.wait(max(0.0, used - wait)) == 0
    if wait > 0.001:
        assert rate.wait(used - wait * 0.9) > 0


@given(RATES, st.floats(0, 120))
def test_what_is_left_is_what_can_be_taken(units: int, used: float) -> None:
    rate = Rate(units, 60.0)
    left = rate.left(used)
    assert rate.wait(used, left) == 0 or left == 0
    assert rate.wait(used, left + 1.01) > 0
    assert 0 <= left <= units


@given(RATES, st.floats(0, 120))
def test_within_the_seconds_that_are_told_no_more_than_that_is_granted(units: int, used: float) -> None:
    rate = Rate(units, 60.0)
    seconds = rate.more_in(used)
    assert (seconds == 0) == (used <= 1e-6)
    if seconds:
        assert rate.left(max(0.0, used - seconds)) > rate.left(used) or rate.left(used) == units


@pytest.mark.parametrize(("units", "seconds"), [(0, 60.0), (-1, 60.0), (1, 0.0), (1, float("nan"))])
def test_a_rate_at_which_nothing_comes_is_refused(units: int, seconds: float) -> None:
    with pytest.raises(ValueError, match="a rate is"):
        Rate(units, seconds)
