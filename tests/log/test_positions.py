"""Positions in several logs, as one id."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.log import Position, judge
from tailrace.log.positions import MOST_LOGS, Positions, positions_in

EPOCHS = st.from_regex(re.compile(r"[A-Za-z0-9_]{1,64}", re.ASCII), fullmatch=True)
SEVERAL = st.dictionaries(EPOCHS, st.integers(0, 10**17), min_size=1, max_size=12).map(
    lambda each: Positions([Position(*item) for item in each.items()])
)


@given(SEVERAL)
def test_an_id_says_each_position_and_nothing_that_a_header_cannot_hold(positions: Positions) -> None:
    text = str(positions)
    assert re.fullmatch(r"[A-Za-z0-9_.~-]+", text, re.ASCII)
    assert Positions.parse(text) == positions
    assert positions_in(text) == {position.epoch: position for position in positions}


@given(SEVERAL, st.integers(0, 11))
def test_what_stands_around_a_position_makes_the_id_with_it(positions: Positions, index: int) -> None:
    index %= len(positions)
    before, behind = positions.around(index)
    assert f"{before}{positions[index]}{behind}" == str(positions)
    moved = positions.moved(index, Position("new", 7))
    assert str(moved) == f"{before}new-7{behind}"
    assert moved.moved(index, positions[index]) == positions


@given(st.text(max_size=40))
def test_any_text_is_a_cursor_or_none_and_never_an_error(text: str) -> None:
    found = positions_in(text)
    if found is not None:
        assert str(Positions(found.values())) == text


@pytest.mark.parametrize("text", ["", ".", "a-1.", ".a-1", "a-1..b-1", "a-1.b", "a-1.a-2", "a-1 .b-2", "a-1:b-2"])
def test_what_is_not_made_of_positions_is_malformed(text: str) -> None:
    assert positions_in(text) is None
    assert judge(text, "a", 1, 5).reason == "malformed"


def test_there_may_be_so_many_and_no_more() -> None:
    most = Positions([Position(f"e{number:07}", 123456) for number in range(MOST_LOGS)])
    assert len(str(most)) < 2048
    found = positions_in(str(most))
    assert found is not None
    assert len(found) == MOST_LOGS
    assert positions_in(f"{most}.x-1") is None


def test_ten_channels_of_a_usual_size_stay_within_what_browsers_send_without_asking() -> None:
    usual = Positions([Position(f"e{number:07}", 42) for number in range(10)])
    assert len(str(usual)) <= 128


@pytest.mark.parametrize(
    ("epoch", "reason", "missed"), [("a", "ok", 0), ("b", "trimmed", 2), ("c", "ahead", None), ("d", "unknown", None)]
)
def test_each_log_judges_its_own_part(epoch: str, reason: str, missed: int | None) -> None:
    verdict = judge("a-4.b-1.c-9", epoch, 4, 8)
    assert (verdict.reason, verdict.missed) == (reason, missed)
