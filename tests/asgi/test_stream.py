"""A subscription as an ASGI answer, on a server without the lane."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tailrace import Options
from tailrace.asgi import EXTENSION, Offer
from tailrace.testing import Harness
from tests.support.prices import Prices

pytestmark = pytest.mark.anyio


async def test_the_head_and_the_first_events_come_at_once() -> None:
    prices = Prices()
    async with Harness(prices.app) as harness:
        await prices.publish("1", "2")
        async with harness.stream("GET", "/prices?from=earliest") as answer:
            first = await answer.piece()
    assert first.count(b"\n\n") == 3
    assert answer.headers["cache-control"] == "no-cache, no-transform"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["tailrace-heartbeat"] == "15"


async def test_an_answer_that_has_ended_already_is_one_piece() -> None:
    prices = Prices()
    async with Harness(prices.app) as harness:
        async with harness.stream("POST", "/chat") as answer:
            await prices.say("a", None)
            (start, *_) = await answer.rest()
        async with harness.stream("POST", "/chat", headers={"last-event-id": start.id}) as again:
            piece = await again.piece()
            assert again.complete
        assert piece.count(b"\n\n") == 4
        assert not any((await prices.left()).values())


async def test_what_the_first_piece_does_not_hold_follows() -> None:
    prices = Prices()
    texts = [f"{number} " + "x" * 5000 for number in range(100)]
    async with Harness(prices.app) as harness:
        await prices.publish(*texts)
        async with harness.stream("GET", "/prices?from=earliest") as answer:
            events = await answer.events(101)
            assert [event.data for event in events[1:]] == texts


async def test_heartbeats_come_in_silence() -> None:
    prices = Prices(Options(heartbeat=0.1))
    async with Harness(prices.app) as harness, harness.stream("GET", "/prices") as answer:
        await answer.event()
        assert await answer.piece() == b":heartbeat\n"


async def test_an_application_cancelled_before_its_head_left_keeps_no_subscription() -> None:
    prices = Prices()
    async with Harness(prices.app):
        response: Any = prices.tail.subscribe(None, "prices")
        stuck = asyncio.Event()

        async def send(message: Any) -> None:
            stuck.set()
            await asyncio.Event().wait()

        scope = {"type": "http", "method": "GET", "headers": [], "query_string": b""}
        task = asyncio.ensure_future(response(scope, send, send))
        await stuck.wait()
        assert await prices.subscribers() == 1
        task.cancel()
        await asyncio.wait((task,))
        assert not any((await prices.left()).values())


async def test_a_lane_that_is_not_taken_within_a_second_is_given_up_and_nothing_is_lost() -> None:
    class Hesitant:
        given: Offer | None = None

        def offer(self, offer: Offer) -> None:
            self.given = offer

    prices, lane = Prices(), Hesitant()

    async def offering(scope: Any, receive: Any, send: Any) -> None:
        await prices.app({**scope, "extensions": {EXTENSION: lane}}, receive, send)

    async with Harness(offering) as harness, harness.stream("GET", "/prices") as answer:
        assert (await answer.event()).event == "ready"
        await prices.publish("1")
        assert (await answer.event()).data == "1"
        assert lane.given is not None
        assert lane.given.outcome is False
        assert lane.given.lasting
