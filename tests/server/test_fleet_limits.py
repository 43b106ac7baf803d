"""Limits of several instances on one Redis: what one has let in counts on the other."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator

import pytest

from tests.support.redis import RedisServer, wait_until
from tests.support.server import Server

_SETTINGS = """
[store]
url = "{url}"
[limits]
requests_per_minute = 20
concurrent_streams = 2
"""


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as redis:
        yield redis


@pytest.fixture(scope="module")
def _two(redis: RedisServer) -> Iterator[list[Server]]:
    settings = _SETTINGS.format(url=redis.url)
    with Server(settings) as first, Server(settings) as second:
        yield [first, second]


@pytest.fixture
def two(redis: RedisServer, _two: list[Server]) -> Iterator[list[Server]]:
    """Two instances that know nothing of any caller."""
    for key in redis.command("KEYS", "tailrace:{quota:*"):
        redis.command("DEL", key)
    yield _two
    assert not any("Traceback" in server.said for server in _two)


def left(server: Server, policy: str) -> int:
    """What this caller has left; to ask for it takes one request."""
    told = server.ask("GET", "/v1/models").headers["ratelimit"]
    return int(re.search(rf'"{policy}";r=(\d+)', told)[1])  # type: ignore[index]  # it is there


def test_requests_to_any_instance_use_up_the_same(two: list[Server]) -> None:
    statuses = [two[number % 2].ask("GET", "/v1/models").status for number in range(21)]
    assert statuses == [200] * 20 + [429]


def test_streams_on_any_instance_take_the_same_places(two: list[Server]) -> None:
    with two[0].open("GET", "/events/a"), two[1].open("GET", "/events/a"):
        assert [server.ask("GET", "/events/a").status for server in two] == [429, 429]
    wait_until(lambda: left(two[0], "streams") == 2, "both places to be free")


def test_streams_of_an_instance_that_died_do_not_count_for_ever(redis: RedisServer, two: list[Server]) -> None:
    with Server(_SETTINGS.format(url=redis.url)) as third:
        with third.open("GET", "/events/a"), third.open("GET", "/events/a"):
            assert left(two[0], "streams") == 0
            third.signal(signal.SIGKILL)
        (key,) = redis.command("KEYS", "tailrace:{quota:*")
        claims = redis.command("HGETALL", key)
        ends = [float(said.split()[2]) for said in claims[1::2] if len(said.split()) == 4]
        now = int(redis.command("TIME")[0])
        assert len(ends) == 2
        assert all(now < end < now + 32 for end in ends)


def test_while_redis_is_away_each_counts_alone_and_says_so(redis: RedisServer, two: list[Server]) -> None:
    first = two[0]
    assert left(first, "requests") == 19
    redis.freeze()
    try:
        assert left(first, "requests") == 18
        assert first.health()["limits_degraded_since"] is not None
        assert "\ntailrace_limits_degraded 1.0\n" in first.ask("GET", "/metrics").body.decode()
        statuses = [first.ask("GET", "/v1/models").status for _ in range(19)]
        assert statuses == [200] * 18 + [429]
    finally:
        redis.thaw()
    wait_until(lambda: first.health()["limits_degraded_since"] is None, "limits to be shared again")
    assert "limits are not shared" in first.said
    assert "limits are shared again" in first.said
