"""Records and their sizes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.log import Record
from tailrace.log.record import size_of

RECORDS = st.builds(Record, st.just(1), st.text(), st.none() | st.text(), st.just(0.0))


@settings(deadline=None)
@given(st.lists(RECORDS))
def test_records_take_together_what_they_take_one_by_one(records: list[Record]) -> None:
    assert size_of(records) == sum(record.size for record in records)
