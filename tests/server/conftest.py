"""A hosted application on each event loop, and a client that controls every byte."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.hosted import LOOPS, Hosted, Loop
from tests.support.prices import Prices
from tests.support.raw import Raw


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> Loop:
    """Each event loop that uvicorn knows."""
    chosen: Loop = request.param
    return chosen


@pytest.fixture
def prices() -> Prices:
    return Prices()


@pytest.fixture
def hosted(prices: Prices, loop: Loop) -> Iterator[Hosted]:
    with Hosted(prices.app, loop=loop) as hosted:
        yield hosted


@pytest.fixture
def raw(hosted: Hosted) -> Iterator[Raw]:
    with Raw(hosted.address) as raw:
        yield raw
