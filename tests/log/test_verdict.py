"""What becomes of a cursor."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.log import Position, Verdict, judge


@pytest.mark.parametrize(
    ("cursor", "verdict"),
    [
        ("e-10", Verdict("ok", 10, 0)),
        ("e-7", Verdict("ok", 7, 0)),
        ("e-4", Verdict("ok", 4, 0)),
        ("e-3", Verdict("trimmed", 4, 1)),
        ("e-0", Verdict("trimmed", 4, 4)),
        ("e-11", Verdict("ahead", None, None)),
        ("f-7", Verdict("unknown", None, None)),
        ("E-7", Verdict("unknown", None, None)),
        ("7", Verdict("malformed", None, None)),
        ("", Verdict("malformed", None, None)),
    ],
)
def test_a_cursor_is_judged_against_what_is_retained(cursor: str, verdict: Verdict) -> None:
    assert judge(cursor, "e", first=5, last=10) == verdict


def test_the_beginning_of_an_empty_log_is_a_place_in_it() -> None:
    assert judge("e-0", "e", first=1, last=0) == Verdict("ok", 0, 0)


def test_the_end_of_a_log_that_was_trimmed_to_nothing_is_a_place_in_it() -> None:
    assert judge("e-9", "e", first=10, last=9) == Verdict("ok", 9, 0)
    assert judge("e-8", "e", first=10, last=9) == Verdict("trimmed", 9, 1)


@settings(deadline=None)
@given(st.sampled_from(["e", "f"]), st.integers(0, 60), st.integers(1, 40), st.integers(0, 20))
def test_whoever_goes_on_misses_exactly_what_the_verdict_says(epoch: str, offset: int, first: int, kept: int) -> None:
    last = first + kept - 1
    verdict = judge(str(Position(epoch, offset)), "e", first, last)
    if verdict.after is None:
        assert epoch != "e" or offset > last
        assert verdict.missed is None
    else:
        unseen = range(offset + 1, last + 1)
        shown = range(verdict.after + 1, last + 1)
        assert len(unseen) - len(shown) == verdict.missed
        assert all(number >= first for number in shown)
    assert verdict.recovered == (verdict.missed == 0)
