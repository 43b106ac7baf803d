"""Fixtures: two instances on a Redis of the module's own. A `conftest.py` that imports them offers them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from tailrace import Options, Tailrace
from tests.support.redis import RedisServer

__all__ = ["instances", "redis"]


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
async def instances(redis: RedisServer, request: pytest.FixtureRequest) -> AsyncIterator[tuple[Tailrace, Tailrace]]:
    """Both started, with a prefix of the test's own."""
    async with AsyncExitStack() as stack:
        one, two = [Tailrace(redis.url, Options(prefix=request.node.name)) for _ in range(2)]
        for each in (one, two):
            await stack.enter_async_context(each.lifespan())
        yield one, two
