"""Who hears of a run's end: once, with what it took, whoever ended it."""

from __future__ import annotations

from typing import Any

import pytest

from tailrace.observe import Counters
from tailrace.runs import Ended, RunOptions, Status
from tests.support.producers import Held, says
from tests.support.viewers import House

pytestmark = pytest.mark.anyio


class Heard:
    """A span, and an observer, that remember."""

    ids = ("t" * 32, "s" * 16)
    headers = ()

    def __init__(self) -> None:
        self.ends: list[Ended] = []
        self.of_all: list[Ended] = []

    def ended(self, ended: Ended) -> None:
        self.ends.append(ended)


async def test_the_end_of_a_run_is_told_to_its_span_and_to_all_observers() -> None:
    heard = Heard()
    async with House() as house:
        house.runs.observers.append(heard.of_all.append)
        await house.whole((await house.start(says("Hel", "lo"), model="m", provider="p", span=heard)).id)
    (ended,) = heard.ends
    assert heard.of_all == [ended]
    assert (ended.status, ended.reason, ended.error, ended.account.model) == (Status.FINISHED, "stop", None, "m")


async def test_a_run_that_is_cancelled_is_told_once_with_why() -> None:
    heard, producer = Heard(), Held("Hi")
    async with House() as house:
        run = await house.start(producer, span=heard)
        await producer.began.wait()
        await house.runs.cancel(run.id, None)
        await house.runs.cancel(run.id, None)
    (ended,) = heard.ends
    assert (ended.status, ended.reason, ended.error and ended.error.type) == (Status.CANCELLED, "", "caller_cancelled")


async def test_a_run_that_never_began_is_told_to_nobody_and_counted_nowhere() -> None:
    heard = Heard()
    async with House() as house:
        house.runs.observers.append(heard.of_all.append)
        await house.runs.refuse(RunOptions(span=heard))
        meter: Any = house.hub.meter
        assert not {name for name, _ in meter.snapshot().sums} & {"runs.started", "runs.ended"}
        await house.runs.start_once("key", "body", RunOptions(span=heard), says("one"))
        await house.runs.start_once("key", "body", RunOptions(span=heard), says("two"))
    assert len(heard.ends) == len(heard.of_all) <= 1


async def test_ends_tokens_and_the_gaps_between_pieces_are_counted() -> None:
    async with House() as house:
        await house.whole((await house.start(says("one", "two", "three"))).id)
        meter: Any = house.hub.meter
        assert isinstance(meter, Counters)
        snapshot = meter.snapshot()
        assert snapshot.sums["runs.started", ()] == 1
        assert snapshot.sums["runs.ended", ("finished", "")] == 1
        assert snapshot.sums["tokens", ("output",)] > 0
        assert sum(snapshot.spreads["token_gap.seconds", ()].counts) == 2
        assert sum(snapshot.spreads["run.seconds", ("finished",)].counts) == 1
