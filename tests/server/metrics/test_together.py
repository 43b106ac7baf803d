"""The figures of several processes as one."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.observe import BOUNDS, Snapshot, Spread
from tailrace.server.metrics.together import as_json, from_json, risen, together

KEYS = st.tuples(st.sampled_from(["cuts", "gaps", "tokens"]), st.sampled_from([(), ("a",), ("b", "c")]))
SPREADS = st.builds(
    Spread,
    st.lists(st.integers(0, 9), min_size=3, max_size=3).map(tuple),
    st.integers(0, 99).map(float),
)
SNAPSHOTS = st.builds(
    Snapshot,
    st.dictionaries(KEYS, st.integers(0, 99)),
    st.dictionaries(KEYS, SPREADS),
    st.dictionaries(KEYS, st.integers(0, 99)),
)


@given(SNAPSHOTS)
def test_a_snapshot_survives_the_way_to_another_process(snapshot: Snapshot) -> None:
    back = from_json(json.loads(json.dumps(as_json(snapshot))))
    assert (back.sums, back.gauges) == (snapshot.sums, snapshot.gauges)
    assert {key: (tuple(each.counts), each.total) for key, each in back.spreads.items()} == {
        key: (tuple(each.counts), each.total) for key, each in snapshot.spreads.items()
    }


@settings(max_examples=50)
@given(st.lists(SNAPSHOTS, max_size=3), st.lists(SNAPSHOTS, max_size=3))
def test_what_rises_is_summed_whoever_is_gone_and_folded_before(said: list[Snapshot], left: list[Snapshot]) -> None:
    total = together(said, left)
    folded = together(said, [risen(left)])
    for key in {key for each in (*said, *left) for key in each.sums}:
        assert total.sums[key] == folded.sums[key] == sum(each.sums.get(key, 0) for each in (*said, *left))
    for key in {key for each in (*said, *left) for key in each.spreads}:
        everyone = [each.spreads[key] for each in (*said, *left) if key in each.spreads]
        counts = [sum(column) for column in zip(*(each.counts for each in everyone), strict=True)]
        assert list(total.spreads[key].counts) == list(folded.spreads[key].counts) == counts


def test_what_there_is_now_comes_from_those_who_answer_each_by_its_rule() -> None:
    said = [
        Snapshot(gauges={("runs.open", ()): 2, ("store.failing", ()): 0, ("started", ()): 10}),
        Snapshot(gauges={("runs.open", ()): 3, ("store.failing", ()): 7, ("started", ()): 30}),
    ]
    gone = Snapshot(gauges={("runs.open", ()): 100})
    assert together(said, [gone]).gauges == {("runs.open", ()): 5, ("store.failing", ()): 7, ("started", ()): 10}


def test_durations_of_a_release_with_other_bounds_are_not_added_to_ours() -> None:
    other, ours = Spread([1, 2], 3.0), Spread([1] * (len(BOUNDS) + 1), 4.0)
    both = together([Snapshot(spreads={("gap", ()): ours})], [Snapshot(spreads={("gap", ()): other})])
    assert both.spreads == {("gap", ()): ours}
