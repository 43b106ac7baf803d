"""How long the client waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.client.patience import Patience, Retries


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan")])
def test_a_time_that_is_none_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="longest"):
        Patience(longest=seconds)


def test_no_attempt_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="attempts"):
        Retries(Patience(), 0, lambda: 0.0)


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 100), st.integers(1, 80))
def test_jitter_only_adds_and_never_more_than_its_share(chance: float, base: float, failures: int) -> None:
    retries = Retries(Patience(jitter=0.5), None, lambda: chance)
    delays = [retries.failed(base) for _ in range(failures)]
    assert all(delay is not None and base <= delay <= 1.5 * max(base, 30) for delay in delays)


def test_what_the_server_asks_for_stands_above_the_own_doubling() -> None:
    retries = Retries(Patience(), None, lambda: 0.0)
    assert [retries.failed(), retries.failed(retry_after=0.25), retries.failed()] == [1, 0.25, 4]


def test_a_small_retry_does_not_become_a_storm() -> None:
    retries = Retries(Patience(), None, lambda: 0.0)
    assert [retries.failed(0.0), retries.failed(0.0), retries.failed(0.0)] == [0, 2, 4]
