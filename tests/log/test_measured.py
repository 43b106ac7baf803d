"""A measured store does what its store does, and says how long it took and what went wrong."""

from __future__ import annotations

import pytest

from tailrace.errors import LogEnded, StoreUnavailable
from tailrace.log import Entry, Head, MemoryStore
from tailrace.log.measured import measure
from tailrace.observe import Counters

pytestmark = pytest.mark.anyio


async def test_each_operation_is_timed_and_answers_as_before() -> None:
    meter = Counters()
    store = MemoryStore()
    measure(store, meter)
    position = await store.publish("channel:a", [Entry("", "x")])
    page = await store.read("channel:a", 0, 10)
    assert page is not None
    assert (page.head.epoch, [record.data for record in page.records]) == (position.epoch, ["x"])
    spreads = meter.snapshot().spreads
    assert {name: sum(spreads["store.seconds", (name,)].counts) for name in ("publish", "read", "append")} == {
        "publish": 1,
        "read": 1,
        "append": 0,
    }


@pytest.mark.parametrize(
    ("error", "word"), [(StoreUnavailable("away"), "unavailable"), (LogEnded(["a"]), "ended"), (KeyError("x"), "fault")]
)
async def test_what_goes_wrong_is_counted_by_kind_and_raised(error: Exception, word: str) -> None:
    class Failing(MemoryStore):
        async def drop(self, log: str) -> Head:
            raise error

    meter = Counters()
    store = Failing()
    measure(store, meter)
    with pytest.raises(type(error)):
        await store.drop("channel:a")
    assert meter.snapshot().sums == {("store.errors", ("drop", word)): 1}
