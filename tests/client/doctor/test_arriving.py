"""Events that were held back are told from events that had a long way, and from a moment in which somebody was busy."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tailrace.client.doctor.arriving import arrival
from tests.client.doctor.made import ticking

DISTANCE = st.floats(0, 3)
COUNT = st.integers(8, 20)


@given(DISTANCE, st.lists(st.floats(0, 0.1), min_size=8, max_size=20), st.floats(0, 0.1))
def test_a_long_way_holds_nothing_back(distance: float, jitter: list[float], last: float) -> None:
    assert not arrival(ticking([distance + each for each in jitter], distance + last)).held


@given(DISTANCE, COUNT)
def test_a_buffer_that_is_let_go_at_the_end_does(distance: float, count: int) -> None:
    end = (count - 1) * 0.25 + distance
    arrived = arrival(ticking([end - 0.25 * number for number in range(count)], distance))
    assert arrived.held
    assert abs(arrived.worst - (count - 1) * 0.25) < 1e-6


@given(DISTANCE, COUNT)
def test_a_wait_for_more_to_send_does_although_it_is_the_same_for_all(distance: float, count: int) -> None:
    assert arrival(ticking([distance + 0.2] * count, distance)).held


@given(COUNT, st.data())
def test_a_moment_in_which_either_end_was_busy_does_not(count: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, count - 3))
    stopped = {first, first + 1, first + 2}
    assert not arrival(ticking([0.6 - 0.25 * (n - first) if n in stopped else 0.0 for n in range(count)])).held


def test_a_stream_without_events_says_nothing_good() -> None:
    assert arrival(ticking([])).held
