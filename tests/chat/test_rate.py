"""The share of tries that failed lately."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tailrace.chat.rate import Rate

SECONDS = 10.0
TRIES = st.lists(st.tuples(st.floats(0, 30), st.booleans()), max_size=60)


@given(TRIES)
def test_what_is_surely_within_the_window_counts_and_what_is_surely_out_of_it_does_not(
    tries: list[tuple[float, bool]],
) -> None:
    rate, now, done = Rate(SECONDS), 0.0, []
    for pause, failed in tries:
        now += pause / 10
        rate.add(now, failed=failed)
        done.append((now, failed))
        total, failures = rate.totals(now)
        slices = SECONDS / 10 + 1e-6  # the oldest slice leaves as a whole
        surely = [(when, bad) for when, bad in done if when > now - SECONDS + slices]
        perhaps = [(when, bad) for when, bad in done if when > now - SECONDS - 1e-6]
        assert len(surely) <= total <= len(perhaps)
        assert sum(bad for _, bad in surely) <= failures <= sum(bad for _, bad in perhaps)


def test_after_a_long_silence_nothing_counts() -> None:
    rate = Rate(SECONDS)
    rate.add(0.0, failed=True)
    assert rate.totals(5.0) == (1, 1)
    assert rate.totals(10_000.0) == (0, 0)


def test_what_was_forgotten_does_not_count() -> None:
    rate = Rate(SECONDS)
    rate.add(3.0, failed=True)
    rate.clear()
    assert rate.totals(3.0) == (0, 0)
