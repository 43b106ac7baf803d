"""Who gets a caller first, and who stands in."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.chat.choice import choose, order
from tailrace.chat.models import Arm, Route, Target

KEYS = [f"user-{number}" for number in range(10_000)]
A, B, C, D = (Target("p", name) for name in "abcd")


def _route(*weights: int, fallback: tuple[Target, ...] = (), name: str = "smart") -> Route:
    return Route(
        name, tuple(Arm(target, weight) for target, weight in zip((A, B, C, D), weights, strict=False)), fallback
    )


@pytest.mark.parametrize("weights", [(1, 1), (9, 1), (99, 1), (5, 3, 2), (1, 1, 1, 1)])
def test_each_arm_gets_its_share_of_ten_thousand_callers(weights: tuple[int, ...]) -> None:
    found = Counter(choose(_route(*weights), key) for key in KEYS)
    for target, weight in zip((A, B, C, D), weights, strict=False):
        share = weight / sum(weights)
        # Five standard deviations: the keys are fixed, so this either holds or does not.
        assert abs(found[target] / len(KEYS) - share) < 5 * (share * (1 - share) / len(KEYS)) ** 0.5


def test_one_caller_stays_on_one_arm_whatever_process_chooses() -> None:
    chosen = [choose(_route(1, 1), key) for key in ("ada", "bob", "eve", "", "\ud800")]
    assert chosen == [B, A, A, A, B]  # written down: another release must not reshuffle everybody


def test_the_arms_of_one_route_say_nothing_about_those_of_another() -> None:
    both = sum(choose(_route(1, 1, name="x"), key) == choose(_route(1, 1, name="y"), key) for key in KEYS)
    assert 4_750 < both < 5_250


def test_a_changed_weight_moves_only_those_who_have_to() -> None:
    before, after = _route(9, 1), _route(8, 2)
    moved = Counter((choose(before, key), choose(after, key)) for key in KEYS)
    assert moved[B, A] == 0
    assert 800 < moved[A, B] < 1_200


def test_an_arm_that_goes_moves_only_its_own_callers() -> None:
    three, two = _route(1, 1, 1), _route(1, 1)
    assert all(choose(three, key) in (C, choose(two, key)) for key in KEYS)


def test_the_fallback_stands_in_before_the_other_arms() -> None:
    route = _route(1_000_000, 1, fallback=(D, C))
    assert order(route, "x") == (A, D, C, B)


@given(
    key=st.text(),
    weights=st.lists(st.integers(1, 1000), min_size=1, max_size=4),
    fallback=st.permutations((A, B, C, D)).flatmap(lambda all_: st.integers(0, 4).map(lambda n: tuple(all_[:n]))),
)
def test_an_order_has_every_target_once_and_begins_with_the_choice(
    key: str, weights: list[int], fallback: tuple[Target, ...]
) -> None:
    route = _route(*weights, fallback=fallback)
    found = order(route, key)
    assert sorted(found, key=str) == sorted(route.targets, key=str)
    assert found[0] == choose(route, key)
    assert [target for target in found if target in fallback and target != found[0]] == [
        target for target in fallback if target != found[0]
    ]
