"""Waiting for a store that is away."""

from __future__ import annotations

from tailrace.log.backoff import Backoff


def test_each_wait_is_twice_the_one_before_up_to_five_seconds() -> None:
    backoff = Backoff(jitter=lambda: 0.0)
    assert [backoff.wait() for _ in range(9)] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_a_wait_is_shortened_at_random_by_at_most_half() -> None:
    backoff = Backoff(jitter=lambda: 0.999)
    assert 0.025 <= backoff.wait() < 0.026
