"""Positions, and the names of epochs and runs."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.log import Position, new_epoch, new_run_id
from tailrace.log.position import _base62

EPOCHS = st.from_regex(r"[A-Za-z0-9_]{1,64}", fullmatch=True)
OFFSETS = st.integers(0, 10**18 - 1)


@settings(deadline=None)
@given(EPOCHS, OFFSETS)
def test_a_position_is_read_back_from_its_id(epoch: str, offset: int) -> None:
    position = Position(epoch, offset)
    assert Position.parse(str(position)) == position


@settings(deadline=None)
@given(st.text() | st.from_regex(r"[A-Za-z0-9_.-]{0,70}-?[0-9]{0,20}", fullmatch=True))
def test_whatever_a_client_sends_is_either_no_position_or_stands_for_itself(text: str) -> None:
    position = Position.parse(text)
    assert position is None or str(position) == text


NOT_OURS = [
    *("", "-", "a", "a-", "-1", "a--1", "a-01", "a-+1", "a-1.0", "a-1-1"),
    *(" a-1", "a-1 ", "a-1\n", "a-1\x00", "a b-1", "a:b-1", "é-1", "a-\u0661", "a-\u00b2"),
    *("a-" + "9" * 19, "e" * 65 + "-1"),
]


@pytest.mark.parametrize("text", NOT_OURS)
def test_what_no_tailrace_server_writes_is_no_position(text: str) -> None:
    assert Position.parse(text) is None


@pytest.mark.parametrize(("new", "digits"), [(new_epoch, 8), (new_run_id, 22)])
def test_names_fit_into_an_id_and_do_not_repeat(new: object, digits: int) -> None:
    assert callable(new)
    names = [str(new()) for _ in range(1000)]
    assert len(set(names)) == 1000
    for name in names:
        assert re.fullmatch(f"[0-9A-Za-z]{{{digits}}}", name)
        assert Position.parse(f"{name}-1") == Position(name, 1)


@settings(deadline=None)
@given(st.integers(1, 12).flatmap(lambda digits: st.tuples(st.integers(0, 62**digits - 1), st.just(digits))))
def test_every_number_has_a_name_of_its_own(drawn: tuple[int, int]) -> None:
    value, digits = drawn
    name = _base62(value, digits)
    assert len(name) == digits
    assert {_base62(other, digits) for other in (value - 1, value + 1) if 0 <= other < 62**digits}.isdisjoint({name})
