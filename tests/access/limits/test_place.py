"""A place is given back once, whoever does it."""

from __future__ import annotations

import pytest

from tailrace.access.limits.place import Place


@pytest.fixture
def returned() -> list[str]:
    return []


@pytest.fixture
def place(returned: list[str]) -> Place:
    return Place(lambda: returned.append("back"))


def test_it_ends_with_its_request(place: Place, returned: list[str]) -> None:
    place.leave()
    place.leave()
    assert returned == ["back"]


def test_one_that_is_kept_outlives_its_request(place: Place, returned: list[str]) -> None:
    give_back = place.keep()
    place.leave()
    assert returned == []
    give_back()
    give_back()
    place.give_back()
    assert returned == ["back"]
