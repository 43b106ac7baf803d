"""Limits as an operator says them."""

from __future__ import annotations

import pytest

from tailrace.access.limits.options import Limits


def test_what_is_not_said_is_as_the_defaults_have_it_and_0_is_said() -> None:
    own = Limits(requests_per_minute=0, tokens_per_minute=5)
    assert own.over(Limits(requests_per_minute=60, concurrent_streams=4)) == Limits(
        requests_per_minute=0, concurrent_streams=4, tokens_per_minute=5
    )


@pytest.mark.parametrize(
    ("limits", "bounded"),
    [(Limits(), False), (Limits(requests_per_minute=0), False), (Limits(tokens_per_minute=1), True)],
)
def test_it_is_known_whether_anything_is_bounded(limits: Limits, bounded: bool) -> None:  # a parameter
    assert limits.any is bounded


def test_a_bound_below_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="concurrent_streams must be 0 or more, not -1"):
        Limits(concurrent_streams=-1)
