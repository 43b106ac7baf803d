"""Idempotency keys, aliases, and the runs behind them."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tailrace.errors import StoreUnavailable
from tailrace.log import MemoryCoordination
from tailrace.runs.keys import Keys, Taken
from tailrace.testing import FakeClock

pytestmark = pytest.mark.anyio


async def there(run: str) -> bool:
    return run != "lost"


async def test_a_key_leads_to_the_run_that_took_it_for_its_owner_alone() -> None:
    keys, mine = Keys(MemoryCoordination()), Taken("r", "f")
    assert await keys.find("ann", "k", there) is None
    assert await keys.claim("ann", "k", mine) == mine
    assert await keys.claim("ann", "k", Taken("other", "f")) == mine
    assert await keys.find("ann", "k", there) == mine
    assert await keys.find("bob", "k", there) is None
    assert len(keys.pop("r")) == 1
    assert not keys.pop("r")
    assert not keys.pop("other")


async def test_an_alias_leads_to_the_run_that_had_it_first_and_is_kept_with_its_key() -> None:
    keys = Keys(MemoryCoordination())
    assert await keys.aliased("a") is None
    await keys.claim(None, "k", Taken("r", "f"))
    await keys.alias("r", "a")
    await keys.alias("other", "a")
    assert await keys.aliased("a") == "r"
    assert await keys.find(None, "a", there) is None
    assert len(keys.pop("r")) == 2
    assert not keys.pop("other")


async def test_an_alias_may_be_the_newest_runs_and_the_older_ones_end_does_not_prolong_it() -> None:
    clock = FakeClock()
    keys = Keys(MemoryCoordination(clock))
    await keys.alias("old", "a", newest=True)
    await keys.alias("new", "a", newest=True)
    await keys.alias("new", "a", newest=True)
    (old,), (new, *_) = keys.pop("old"), keys.pop("new")
    await keys.keep(new, 5)
    await keys.keep(old, 50)
    assert await keys.aliased("a") == "new"
    clock.advance(6)
    assert await keys.aliased("a") is None


async def test_of_several_that_become_the_newest_at_once_one_is() -> None:
    class Slow(MemoryCoordination):
        async def claim(self, name: str, value: str, seconds: float) -> str:
            await asyncio.sleep(0)
            return await super().claim(name, value, seconds)

    keys, runs = Keys(Slow()), [f"r{number}" for number in range(9)]
    await asyncio.gather(*(keys.alias(run, "a", newest=True) for run in runs))
    assert await keys.aliased("a") in runs


async def test_of_two_who_find_that_its_run_is_lost_the_second_does_not_take_the_key_from_the_first() -> None:
    coordination = MemoryCoordination()
    keys, looking = Keys(coordination), asyncio.Event()
    await keys.claim(None, "k", Taken("lost", "f"))

    async def slowly_lost(run: str) -> bool:
        await looking.wait()
        return False

    late = asyncio.create_task(keys.find(None, "k", slowly_lost))
    await asyncio.sleep(0)
    assert await keys.find(None, "k", there) is None
    anew = Taken("anew", "f")
    assert await keys.claim(None, "k", anew) == anew
    looking.set()
    assert await late is None
    assert await keys.claim(None, "k", Taken("third", "f")) == anew


async def test_a_claim_whose_answer_was_lost_leaves_the_key_free_for_a_repeat_here_and_then_everywhere() -> None:
    class Frozen(MemoryCoordination):
        away = True

        async def claim(self, name: str, value: str, seconds: float) -> str:
            taken = await super().claim(name, value, seconds)
            if self.away:
                raise StoreUnavailable("the answer was lost")
            return taken

        async def release(self, name: str, value: str | None = None) -> None:
            if self.away:
                raise StoreUnavailable("away")
            await super().release(name, value)

    coordination = Frozen()
    keys, others, lost = Keys(coordination), Keys(coordination), Taken("r", "f")
    for key in ("k", "l"):
        with pytest.raises(StoreUnavailable):
            await keys.claim(None, key, lost)
    giving_up = asyncio.create_task(keys.give_up(None, "k", lost))
    await asyncio.sleep(0)
    assert await others.find(None, "k", there) == lost, "it was performed"
    coordination.away = False
    assert await keys.find(None, "l", there) is None, "a repeat here does not wait for that"
    await giving_up
    assert await others.find(None, "k", there) is None


async def test_a_key_that_was_claimed_anew_is_not_given_up() -> None:
    keys, lost, anew = Keys(MemoryCoordination()), Taken("lost", "f"), Taken("anew", "f")
    assert await keys.claim(None, "k", anew) == anew
    await keys.give_up(None, "k", lost)
    assert await keys.find(None, "k", there) == anew


async def test_a_store_that_is_away_when_a_run_has_ended_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Away(MemoryCoordination):
        async def extend(self, name: str, seconds: float) -> None:
            raise StoreUnavailable("away")

    away = Keys(Away())
    with caplog.at_level(logging.WARNING, "tailrace"):
        await away.claim(None, "k", Taken("r", "f"))
        (ended,) = away.pop("r")
        await away.keep(ended, 5)
    assert "kept for longer than the run" in caplog.text


async def test_the_end_of_a_run_that_was_lost_does_not_shorten_the_key_of_the_one_that_took_its_place() -> None:
    clock = FakeClock()
    coordination = MemoryCoordination(clock)
    keys = Keys(coordination)
    await keys.claim(None, "k", Taken("lost", "f"))
    (lost,) = keys.pop("lost")
    assert await keys.find(None, "k", there) is None
    anew = Taken("anew", "f")
    await keys.claim(None, "k", anew)
    await keys.keep(lost, 5)
    clock.advance(10)
    assert await keys.find(None, "k", there) == anew
    (ended,) = keys.pop("anew")
    await keys.keep(ended, 5)
    clock.advance(10)
    assert await keys.find(None, "k", there) is None
