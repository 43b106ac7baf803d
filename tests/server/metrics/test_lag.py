"""How late the event loop is."""

from __future__ import annotations

import asyncio
import time

import pytest

from tailrace.observe import Durations
from tailrace.server.metrics import lag

pytestmark = pytest.mark.anyio


async def test_a_loop_that_was_held_up_is_seen_to_be_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag, "_PERIOD", 0.01)
    seen = Durations()
    watch = lag.Lag(seen)
    watch.start()
    time.sleep(0.1)  # noqa: ASYNC251  # it is what is to be noticed
    while not sum(seen.counts):  # noqa: ASYNC110  # the timer's own event
        await asyncio.sleep(0)
    watch.stop()
    assert seen.total > 0.08
    after = sum(seen.counts)
    await asyncio.sleep(0.03)
    assert sum(seen.counts) == after, "it looks on after it was told to stop"
