"""How long a peer may take nothing of what it is owed: it is cut by the wheel, a slow one is not."""

from __future__ import annotations

import pytest

from tailrace.hub import Hub
from tailrace.log import Entry
from tests.hub.rig import ListSink, counted, new_hub, passes, read_on, settle

pytestmark = pytest.mark.anyio

LOG = "channel:a"


async def say(hub: Hub, text: str = "x") -> None:
    """Publish, and let it be delivered."""
    await hub.store.publish(LOG, [Entry("", text)])
    await settle(3)


def seconds_until_cut(hub: Hub, sink: ListSink) -> int:
    """How long it takes until a sink is cut."""
    seconds = 0
    while not sink.aborted:
        passes(hub, 1)
        seconds += 1
    return seconds


async def test_a_sink_that_takes_nothing_for_the_write_timeout_is_cut_by_the_wheel() -> None:
    hub, sink = new_hub(write_timeout=30), ListSink(appetite=lambda: 0)
    await read_on(hub, LOG, sink)
    await say(hub)
    assert 30 <= seconds_until_cut(hub, sink) <= 31
    assert counted(hub, "cuts", "write_timeout") == counted(hub, "streams.ended", "write_timeout") == 1
    assert not hub.subscriptions


async def test_a_peer_that_is_owed_something_and_takes_nothing_is_found_though_the_sink_has_room() -> None:
    hub, sink = new_hub(heartbeat=15, write_timeout=30), ListSink()
    await read_on(hub, LOG, sink)
    sink.acknowledges = lambda taken: 7  # whatever the kernel takes
    for second in range(60):
        if second % 4 == 0:
            await say(hub)
        passes(hub, 1)
        if sink.aborted:
            break
    assert 20 <= second <= 30


async def test_a_peer_that_takes_what_it_is_owed_now_and_then_is_not_cut() -> None:
    hub, sink = new_hub(heartbeat=15, write_timeout=30), ListSink()
    await read_on(hub, LOG, sink)
    sink.acknowledges = lambda taken: taken - 1
    for _ in range(12):
        passes(hub, 15)
        await say(hub)
    assert not sink.aborted


async def test_a_sink_that_makes_progress_however_slowly_is_not_cut() -> None:
    hub, sink = new_hub(write_timeout=30), ListSink(appetite=lambda: 5)
    await read_on(hub, LOG, sink)
    await say(hub, "x" * 100)
    for _ in range(20):
        passes(hub, 20)
        sink.drain(1)
    assert not sink.aborted
    assert 30 <= seconds_until_cut(hub, sink) <= 39
