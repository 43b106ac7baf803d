"""The harness for tests of other people's applications: it streams, and it is strict about what ASGI says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tailrace.testing import Harness
from tests.support.prices import Prices

pytestmark = pytest.mark.anyio


async def test_events_arrive_while_the_answer_is_being_given() -> None:
    prices = Prices()
    async with Harness(prices.app) as harness, harness.stream("GET", "/prices") as answer:
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/event-stream"
        assert (await answer.event()).event == "ready"
        await prices.publish("1", "2")
        assert [event.data for event in await answer.events(2)] == ["1", "2"]
        assert not answer.complete


async def test_headers_and_query_reach_the_application() -> None:
    prices = Prices()
    async with Harness(prices.app) as harness:
        await prices.publish("1", "2")
        async with harness.stream("GET", "/prices?from=earliest") as answer:
            events = await answer.events(2)
        async with harness.stream("GET", "/prices", headers={"Last-Event-ID": events[1].id}) as answer:
            assert [event.event for event in await answer.events(2)] == ["resume", "message"]


async def test_a_run_is_read_to_its_end() -> None:
    prices = Prices()
    async with Harness(prices.app) as harness, harness.stream("POST", "/chat") as answer:
        await prices.say("a", None)
        assert [event.event for event in await answer.rest()] == ["start", "message", "finish", "done"]
        assert answer.complete
        with pytest.raises(EOFError):
            await answer.event()


async def test_a_client_that_leaves_takes_its_subscription_with_it() -> None:
    prices = Prices()
    async with Harness(prices.app) as harness:
        async with harness.stream("GET", "/prices") as answer:
            await answer.event()
            assert await prices.subscribers() == 1
        assert await prices.subscribers() == 0


async def test_a_whole_answer_is_asked_for_at_once() -> None:
    async with Harness(Prices().app) as harness:
        answer = await harness.ask("POST", "/echo", body=b"12345")
        assert (answer.status, answer.body) == (200, b'{"bytes":5}')


async def test_what_the_application_raises_is_raised_in_the_test() -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError("no")

    async with Harness(failing) as harness:
        with pytest.raises(LookupError):
            await harness.ask("GET", "/")


async def test_an_answer_that_is_not_completed_is_an_error() -> None:
    async def incomplete(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async with Harness(incomplete) as harness:
        with pytest.raises(EOFError):
            await harness.ask("GET", "/")


async def test_an_application_that_cannot_start_says_why() -> None:
    async def unable(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(RuntimeError, match="no database"):
        async with Harness(unable):
            pass


async def test_an_application_that_ignores_its_client_leaving_is_found_out() -> None:
    async def deaf(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.Event().wait()

    async with Harness(deaf, patience=0.1) as harness:
        with pytest.raises(TimeoutError, match="goes on"):
            async with harness.stream("GET", "/"):
                pass


async def test_silence_is_a_timeout() -> None:
    prices = Prices()
    async with Harness(prices.app, patience=0.1) as harness, harness.stream("GET", "/prices") as answer:
        await answer.event()
        with pytest.raises(TimeoutError):
            await answer.event()
