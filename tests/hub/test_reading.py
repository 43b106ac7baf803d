"""A way through a log, before its first byte."""

from __future__ import annotations

import pytest

from tailrace.hub import EventRenderer, Framing, Reading
from tests.hub.rig import new_hub

pytestmark = pytest.mark.anyio


async def test_a_subscription_takes_over_the_readings_use_of_its_tail() -> None:
    hub = new_hub()
    tail = await hub.open("channel:a", create=True)
    assert tail is not None
    subscription = Reading(tail, EventRenderer(), 0).begin(Framing.PLAIN)
    assert tail.users == 1
    subscription.on_closed("gone")
    assert tail.users == 0
    assert not hub._tails


async def test_a_reading_that_was_not_begun_can_be_let_go() -> None:
    hub, left = new_hub(), list[bool]()
    tail = await hub.open("channel:a", create=True)
    assert tail is not None
    Reading(tail, EventRenderer(), 0, on_closed=lambda: left.append(True)).close()
    assert left == [True]
    assert not hub._tails
    assert not hub.subscriptions
