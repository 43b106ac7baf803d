"""Records in memory, packed: against a plain list."""

from __future__ import annotations

import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.log import Record, Retention
from tailrace.log.history import SEGMENT, History

TEXTS = st.one_of(st.none(), st.text(max_size=12), st.just("x" * 300))
SAID = st.tuples(st.sampled_from(["", "tick", "tool"]), TEXTS, st.integers(0, 20))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("extend"), st.lists(SAID, min_size=1, max_size=150)),
        st.tuples(st.just("read"), st.integers(-5, 600), st.integers(0, 300)),
        st.tuples(
            st.just("trim"),
            st.builds(
                Retention,
                events=st.none() | st.integers(1, 300),
                bytes=st.none() | st.integers(1, 20_000),
                age=st.none() | st.integers(1, 200),
            ),
        ),
    ),
    max_size=25,
)


class Model:
    """The same with a list and no thought for its size."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.last = 0

    def extend(self, said: list[tuple[str, str | None, int]], now: float) -> list[Record]:
        """Number what was said."""
        fresh = [Record(self.last + i, event, data, now + at) for i, (event, data, at) in enumerate(said, 1)]
        self.last += len(fresh)
        self.records += fresh
        return fresh

    def trim(self, keep: Retention, now: float) -> None:
        """Trim one by one."""
        records = self.records
        while records and (
            (keep.events is not None and len(records) > keep.events)
            or (keep.bytes is not None and len(records) > 1 and sum(r.size for r in records) > keep.bytes)
            or (keep.age is not None and records[0].at < now - keep.age)
        ):
            records.pop(0)

    def read(self, after: int, limit: int) -> list[Record]:
        """Filter."""
        return [record for record in self.records if record.offset > after][:limit]


def check(history: History, model: Model) -> None:
    """Both hold the same."""
    assert history.last == model.last
    assert len(history) == len(model.records)
    assert history.first == model.last - len(model.records) + 1
    assert history.bytes == sum(record.size for record in model.records)


@settings(deadline=None)
@given(steps=STEPS, seal=st.booleans())
def test_any_appends_trims_and_reads_give_what_a_list_gives(steps: list[tuple[str, object, int]], seal: bool) -> None:
    history, model, now = History(), Model(), 1000.0
    for kind, *arguments in steps:
        now += 10
        match kind, arguments:
            case "extend", [said]:
                history.extend(model.extend(said, now))  # type: ignore[arg-type]
            case "read", [int() as after, int() as limit]:
                assert history.read(after, limit) == model.read(after, limit)
            case "trim", [Retention() as keep]:
                history.trim(keep, now)
                model.trim(keep, now)
        check(history, model)
    if seal:
        history.seal()
        check(history, model)
    assert history.read(0, 10_000) == model.records
    for after in range(history.first - 2, history.last + 2):
        assert history.read(after, 3) == model.read(after, 3)


def test_reading_anywhere_in_a_long_history_gives_what_comes_next() -> None:
    history = History()
    for begin in range(1, 100 * SEGMENT, SEGMENT):
        history.extend([Record(begin + i, "", "x", 0.0) for i in range(SEGMENT)])
    history.seal()
    for after in range(0, history.last, SEGMENT // 3):
        assert [record.offset for record in history.read(after, 5)] == list(range(after + 1, history.last + 1))[:5]


def test_a_packed_record_takes_less_than_30_bytes_its_word_included() -> None:
    history = History()
    history.extend([Record(i, "", "word ", 1.0) for i in range(1, 64 * SEGMENT + 1)])
    history.seal()
    packed = sum(
        sys.getsizeof(part)
        for segment in history._sealed
        for part in (segment, segment._text, segment._ends, segment._at)
    )
    assert packed / len(history) < 30
