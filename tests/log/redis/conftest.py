"""A Redis of each test module's own, and in it a place of each test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest

from tailrace.log.redis import RedisStore
from tests.log.redis.place import Place
from tests.support.redis import RedisServer

_NUMBERS = count()


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A server that all tests of a module share."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def place(server: RedisServer) -> Place:
    """Where a test's stores meet, and no other test's."""
    return Place(server.url, (server,), f"test{next(_NUMBERS)}")


@pytest.fixture
async def store(place: Place) -> AsyncIterator[RedisStore]:
    """An open store."""
    async with place.opened() as store:
        yield store
