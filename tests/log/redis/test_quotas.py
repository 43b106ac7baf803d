"""What Redis says of callers' quotas: the same as the books of a test, whatever is claimed by whom."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailrace.errors import StoreUnavailable
from tailrace.log.quotas import Claim, Over, Quotas, Shared, Standing
from tailrace.log.redis import RedisStore
from tailrace.log.redis.calls import Turn
from tailrace.testing import FakeClock
from tests.log.redis.place import Place
from tests.support.books import Books

pytestmark = pytest.mark.anyio

# Seconds in which nothing comes back: a server's own clock cannot be set, so a second more or less must not matter.
COST, WINDOW, BUDGET = 100.0, 350.0, 250.0
REQUEST = Claim(caller="key:a", number=1, bucket="requests", cost=COST, window=WINDOW)

claims = st.builds(
    Claim,
    caller=st.just(""),
    number=st.just(0),
    streams=st.integers(0, 4),
    streaming=st.booleans(),
    most=st.none() | st.integers(1, 5),
    bucket=st.sampled_from(["", "requests", "resumes"]),
    cost=st.sampled_from([0.0, COST]),
    window=st.just(WINDOW),
    spent=st.sampled_from([0.0, 0.0, 60.0, 120.0, -60.0, 9000.0]),
    budget=st.none() | st.just(BUDGET),
)
steps = st.lists(st.tuples(st.integers(0, 1), st.sampled_from([-1, 0, 1, 1, 1, 3]), claims), max_size=12)
"""Which instance claims what, and by how much its number is above that of its last claim: 0 is a repeat."""


async def test_a_store_that_has_quotas_is_known_by_it(store: RedisStore) -> None:
    assert isinstance(store, Shared)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=steps, name=st.text(max_size=5))
async def test_any_claims_of_two_instances_are_judged_as_by_the_books(
    place: Place, told: list[tuple[int, int, Claim]], name: str
) -> None:
    books = Books(FakeClock())
    caller = f"{name} {len(place.keys())}"
    async with place.opened() as one, place.opened() as other:
        quotas: list[Quotas] = [one.quotas, other.quotas]
        numbers, last = [1, 1], [REQUEST, REQUEST]
        for who, step, drawn in told:
            numbers[who] = max(1, numbers[who] + step)
            claim = last[who] if step == 0 else replace(drawn, caller=caller, number=numbers[who])
            claim = last[who] = replace(claim, caller=caller)
            (said,) = await quotas[who].settle([claim])
            alike(said, books.judge(who, claim))
        assert place.lasting() == []


def alike(said: Standing, expected: Standing) -> None:
    assert (said.over, said.streams) == (expected.over, expected.streams)
    assert said.used == pytest.approx(expected.used, abs=5)
    assert said.tokens == pytest.approx(expected.tokens, abs=5)


async def test_a_claim_that_comes_twice_takes_once(store: RedisStore) -> None:
    claim = replace(REQUEST, number=7, spent=10.0, budget=BUDGET)
    first, again = await store.quotas.settle([claim, claim])
    assert first.over == again.over == 0
    assert again.used == pytest.approx(COST, abs=5)
    assert again.tokens == pytest.approx(10, abs=5)


async def test_a_refusal_that_is_repeated_stays_one(store: RedisStore) -> None:
    full = replace(REQUEST, most=0, streaming=True)
    first, again = await store.quotas.settle([full, full])
    assert first.over == again.over == Over.STREAMS


async def test_a_claim_that_others_have_overtaken_takes_nothing(store: RedisStore) -> None:
    await store.quotas.settle([replace(REQUEST, number=9, streams=2)])
    (late,) = await store.quotas.settle([replace(REQUEST, number=8, streams=5, spent=100.0)])
    assert late.used == pytest.approx(COST, abs=5)
    assert late.tokens == 0
    (now,) = await store.quotas.settle([Claim(caller="key:a", number=10, streams=2)])
    assert now.streams == 2


async def test_streams_of_an_instance_that_says_nothing_more_stop_counting(place: Place) -> None:
    async with place.opened() as one, place.opened() as other:
        for store in (one, other):
            store.quotas.lease = 0.3
        await one.quotas.settle([Claim(caller="a", number=1, streams=3)])
        wanted = Claim(caller="a", number=1, streaming=True, most=1, bucket="requests")
        (refused,) = await other.quotas.settle([wanted])
        assert (refused.over, refused.streams) == (Over.STREAMS, 3)
        number = 1
        while refused.over:
            await asyncio.sleep(0.02)
            number += 1
            (refused,) = await other.quotas.settle([replace(wanted, number=number)])
        assert refused.streams == 1


async def test_what_is_used_comes_back_by_the_servers_clock(store: RedisStore) -> None:
    quick = Claim(caller="a", number=1, bucket="requests", cost=0.2, window=0.2)
    (granted,) = await store.quotas.settle([quick])
    (refused,) = await store.quotas.settle([replace(quick, number=2)])
    assert (granted.over, refused.over) == (0, Over.REQUESTS)
    await asyncio.sleep(0.25)
    (granted,) = await store.quotas.settle([replace(quick, number=3)])
    assert granted.over == 0


async def test_a_clock_that_was_set_back_locks_nobody_out_for_longer_than_the_window(
    place: Place, store: RedisStore
) -> None:
    await store.quotas.settle([replace(REQUEST, spent=50.0)])
    (key,) = place.keys()
    ahead = place.server.command("TIME")[0]
    for bucket in ("requests", "tokens"):
        place.server.command("HSET", key, bucket, str(int(ahead) + 1_000_000))
    (said,) = await store.quotas.settle([replace(REQUEST, number=2)])
    assert said.used == pytest.approx(WINDOW, abs=1)
    assert said.tokens == pytest.approx(3600, abs=1)


async def test_what_is_kept_of_a_caller_expires_when_it_says_nothing_any_more(place: Place, store: RedisStore) -> None:
    await store.quotas.settle([REQUEST, Claim(caller="debtor", number=1, spent=500.0)])
    for key in (*place.keys(),):
        left = place.server.command("PTTL", key) / 1000
        assert left == pytest.approx(101 if "key" in key else 501, abs=5)


@pytest.mark.parametrize("name", ["{x}", "a b", "ü\n", "\ud800", "*", ""])
async def test_any_name_is_a_callers_own(store: RedisStore, name: str) -> None:
    first, other = await store.quotas.settle([replace(REQUEST, caller=name), replace(REQUEST, caller=name + "x")])
    assert first.used == pytest.approx(other.used, abs=1)


async def test_who_asks_is_told_soon_that_redis_is_away_and_nobodys_events_wait(
    place: Place, store: RedisStore
) -> None:
    place.server.freeze()
    try:
        begun = asyncio.get_running_loop().time()
        with pytest.raises(StoreUnavailable):
            await store.quotas.settle([REQUEST])
        assert asyncio.get_running_loop().time() - begun < 1.5
    finally:
        place.server.thaw()
    assert max(Turn) is Turn.LIMITS
