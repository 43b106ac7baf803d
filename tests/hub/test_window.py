"""The newest records, against a plain list."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.hub.window import WINDOW, Window
from tailrace.log import Record

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("extend"), st.integers(1, 100), st.sampled_from([1, 1, 1, 1000])),
        st.tuples(st.just("trim"), st.integers(0, 1000), st.just(0)),
        st.tuples(st.just("clear"), st.just(0), st.just(0)),
    ),
    max_size=30,
)


def is_within(records: list[Record]) -> bool:
    """Whether records are within the bounds."""
    return len(records) <= 1 or (len(records) <= WINDOW and sum(record.size for record in records) <= 65_536)


def test_past_a_hole_a_window_begins_anew() -> None:
    window = Window()
    window.extend([Record(offset, "", "x", 0.0) for offset in (1, 2, 3)])
    window.extend([Record(offset, "", "x", 0.0) for offset in (4, 101, 102)])
    assert (window.first, len(window)) == (101, 2)
    assert window.since(4) is None
    window.extend([Record(200, "", "x", 0.0)])
    assert (window.first, len(window)) == (200, 1)


@settings(deadline=None)
@given(STEPS)
def test_a_window_holds_consecutive_records_within_its_bounds_or_still_needed(
    steps: list[tuple[str, int, int]],
) -> None:
    window, model, last = Window(), list[Record](), 0
    for step, number, size in steps:
        match step:
            case "extend":
                fresh = [Record(last + i, "", "x" * size, 0.0) for i in range(1, number + 1)]
                last += number
                model += fresh
                window.extend(fresh)
            case "trim":
                window.trim(number)
                while model and not is_within(model) and model[0].offset <= number:
                    model.pop(0)
            case _:
                window.clear()
                model.clear()
        assert len(window) == len(model)
        assert window.first == (model[0].offset if model else 0)
        for after in range(max(0, last - len(model) - 3), last + 1):
            past = window.since(after)
            expected = [record for record in model if record.offset > after]
            begins_later = not model or model[0].offset > after + 1
            assert (None if past is None else list(past)) == (None if begins_later else expected)
