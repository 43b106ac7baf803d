"""Idempotency keys and the runs behind them."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tailrace.errors import StoreUnavailable
from tailrace.log import MemoryCoordination
from tailrace.runs.keys import Keys, Taken

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
    assert keys.pop("r") is not None
    assert keys.pop("r") is keys.pop("other") is None


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


async def test_a_store_that_is_away_when_a_run_has_ended_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Away(MemoryCoordination):
        async def extend(self, name: str, seconds: float) -> None:
            raise StoreUnavailable("away")

    with caplog.at_level(logging.WARNING, "tailrace"):
        await Keys(Away()).keep("n", 5)
    assert "kept for longer than the run" in caplog.text
