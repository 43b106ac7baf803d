"""Who counts as dead, and who may be sure of himself."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.log.fleet import Beat
from tailrace.runs.liveness import BEAT, DEAD_AFTER, HOLE, Liveness


@dataclass
class World:
    """An observer's rounds by a clock of its own; the others' counters are what the test says."""

    liveness: Liveness = field(default_factory=lambda: Liveness("me"))
    now: float = 100.0
    counts: dict[str, Beat] = field(default_factory=dict)

    def round(self, *living: str, seconds: float = BEAT, took: float = 0.0) -> bool:
        """Let time pass in which `living` beat, then beat; whether contact had been broken."""
        for name in living:
            before = self.counts.get(name, Beat(0))
            self.counts[name] = Beat(before.count + 1, before.leaving)
        self.now += seconds
        return self.liveness.hear(dict(self.counts), self.now - took, self.now)

    def rounds(self, seconds: float, *living: str) -> None:
        for _ in range(int(seconds / BEAT)):
            self.round(*living)


def test_a_counter_that_stands_still_for_its_time_is_dead_and_no_sooner() -> None:
    world = World()
    world.round("b")
    world.rounds(DEAD_AFTER - BEAT)
    assert not world.liveness.dead
    world.rounds(2 * BEAT)
    assert world.liveness.dead == ["b"]
    assert world.liveness.gone("b")


def test_the_first_of_the_living_sees_to_the_dead_a_beat_before_the_others() -> None:
    world = World()
    world.rounds(2, "a", "z")
    world.rounds(DEAD_AFTER, "a")
    assert not world.liveness.dead
    world.round("a")
    assert world.liveness.dead == ["z"]


def test_one_that_is_seen_for_the_first_time_may_be_long_dead_and_is_not_counted_on() -> None:
    world = World()
    world.counts["old"] = Beat(7)
    world.round()
    assert not world.liveness.others
    world.round("old", "new")
    assert world.liveness.others == {"old", "new"}


def test_one_that_leaves_lives_but_is_nobody_to_send_readers_to() -> None:
    world = World()
    world.rounds(2, "b", "c")
    world.counts["b"] = Beat(9, leaving=True)
    world.round("b", "c")
    assert world.liveness.alive == {"b", "c"}
    assert world.liveness.others == {"c"}


@pytest.mark.parametrize("broken", ["a beat that fails", "a hole"])
def test_whoever_was_out_of_touch_begins_anew_with_everybody(broken: str) -> None:
    world = World()
    world.rounds(3, "b")
    world.rounds(DEAD_AFTER - BEAT)
    if broken == "a hole":
        assert world.round(seconds=60)
    else:
        world.liveness.lose()
        assert world.round()
    assert (world.liveness.dead, world.liveness.settled) == ([], False)
    world.rounds(DEAD_AFTER - BEAT, "b")
    assert not world.liveness.dead
    world.rounds(BEAT, "b")
    assert (world.liveness.gone("b"), world.liveness.settled) == (False, True)


def test_contact_that_was_never_broken_is_not_restored() -> None:
    world = World()
    assert not world.round()
    assert not world.round(seconds=HOLE)
    assert world.round(seconds=HOLE + 0.1)
    assert not world.round()
    assert not world.liveness.settled


def test_one_that_is_not_on_the_roster_is_missing_once_all_had_the_time_to_be() -> None:
    world = World()
    world.round("b")
    assert not world.liveness.missing("gone")
    world.rounds(DEAD_AFTER, "b")
    assert world.liveness.missing("gone")
    assert world.liveness.gone("gone")
    assert not world.liveness.missing("b")
    assert not world.liveness.missing("me")
    world.liveness.lose()
    assert not world.liveness.missing("gone")


def test_nobody_is_certain_who_has_not_sent_a_beat_that_was_answered_a_moment_ago() -> None:
    world = World()
    assert not world.liveness.certain(world.now)
    world.round(took=1.0)
    assert world.liveness.certain(world.now)
    assert not world.liveness.certain(world.now + 0.9)


def test_after_a_hole_nobody_is_certain_until_it_was_looked_what_became_of_his_own() -> None:
    world = World()
    world.round()
    world.round(seconds=1.9)
    assert (world.liveness.certain(world.now), world.liveness.doubtful) == (False, True)
    before = world.liveness.doubts
    world.round(seconds=1.9)
    world.liveness.vouch(before)
    assert not world.liveness.certain(world.now), "it was out of touch once more while it looked"
    world.liveness.vouch(world.liveness.doubts)
    assert world.liveness.certain(world.now)


@given(
    gaps=st.lists(st.tuples(st.floats(0.0, 4.0), st.booleans(), st.booleans()), max_size=60),
)
def test_nobody_is_dead_who_was_not_still_throughout_five_seconds_of_unbroken_contact(
    gaps: list[tuple[float, bool, bool]],
) -> None:
    world = World()
    # By hand: when `b` was last seen anew, and since when every answer came within a hole of the one before.
    moved_at, whole_since, answered_at = world.now, world.now, world.now
    for gap, beats, fails in gaps:
        if fails:
            world.now += gap
            world.liveness.lose()
            whole_since = answered_at = float("inf")
            continue
        world.round(*(["b"] if beats else []), seconds=gap)
        if whole_since == float("inf") or world.now - answered_at > HOLE:
            whole_since = world.now
        answered_at = world.now
        moved_at = world.now if beats else moved_at
        if "b" in world.liveness.dead:
            assert world.now - moved_at >= DEAD_AFTER
            assert world.now - whole_since >= DEAD_AFTER
        assert not (set(world.liveness.dead) & world.liveness.alive)
        assert world.liveness.others <= world.liveness.alive


@given(delays=st.lists(st.floats(0.0, 0.9), min_size=12, max_size=12), living=st.booleans())
def test_with_unbroken_contact_a_dead_one_is_found_within_eight_seconds_and_a_living_one_never(
    delays: list[float], living: bool
) -> None:
    world = World()
    world.rounds(3, "a", "z")
    died = world.now
    for delay in delays:
        world.round("a", *(["z"] if living else []), seconds=BEAT + delay * 0.1)
        if world.now - died >= DEAD_AFTER + 2 * BEAT + 1:
            break
    assert world.liveness.dead == ([] if living else ["z"])
