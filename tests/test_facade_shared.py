"""Applications that share a real Redis: leaving for another, and what a client is told while the store is away."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from tailrace import Options, Tailrace
from tailrace.chat.gateway import Gateway
from tailrace.chat.providers.base import ProviderOptions
from tailrace.errors import RunNotFound, StoreUnavailable
from tailrace.runs import Item, Status
from tailrace.sse import Event
from tailrace.testing import Answer, Harness
from tailrace.web import WebOptions, create_app
from tests.support.redis import RedisServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def _redis() -> Iterator[RedisServer]:
    with RedisServer() as redis:
        yield redis


@pytest.fixture
def redis(_redis: RedisServer) -> RedisServer:
    """A running Redis with nothing in it."""
    _redis.command("FLUSHALL")
    return _redis


class House:
    """An application whose answers say `Hel`, and `lo` when they may."""

    def __init__(self, url: str, **options: Any) -> None:
        self.tail = Tailrace(url, Options(**options))
        self.go_on = asyncio.Event()
        self.made = 0
        routes = [Route("/chat", self.chat, methods=["GET", "POST"]), Route("/news", self.news)]
        self.app = Starlette(routes=routes, lifespan=self.tail.lifespan)

    async def answer(self) -> AsyncIterator[Item]:
        self.made += 1
        yield "Hel"
        await self.go_on.wait()
        yield "lo"

    async def chat(self, request: Request) -> Any:
        return self.tail.stream(request, self.answer, model="m")

    async def news(self, request: Request) -> Any:
        return self.tail.subscribe(request, "news")


@contextlib.asynccontextmanager
async def served(*houses: House) -> AsyncIterator[list[Harness]]:
    """Houses that know of each other."""
    async with contextlib.AsyncExitStack() as stack:
        harnesses = [await stack.enter_async_context(Harness(house.app, patience=15)) for house in houses]
        for house in houses:
            if len(houses) > 1:
                await eventually(lambda house=house: house.tail.runs.has_others)  # type: ignore[misc]
        yield harnesses


def said(event: Event) -> Any:
    return json.loads(event.data)


async def goodbye(answer: Answer) -> Event:
    """The last event of a stream that sends its reader away."""
    *_, last = await answer.rest()
    assert (last.event, said(last)) == ("reconnect", {"reason": "draining"})
    assert last.retry is not None
    assert 500 <= last.retry <= 3000
    return last


# Leaving.


async def test_who_leaves_sends_its_readers_to_the_others_and_goes_on_to_the_end_of_its_answers(
    redis: RedisServer,
) -> None:
    here, there = House(redis.url), House(redis.url)
    async with served(here, there) as (a, b):
        async with a.stream("POST", "/chat") as chat, a.stream("GET", "/news") as news:
            _, word = await chat.events(2)
            ready = await news.event()
            draining = asyncio.create_task(here.tail.drain(6))
            await asyncio.gather(goodbye(chat), goodbye(news))
        async with (
            b.stream("POST", "/chat", headers={"last-event-id": word.id}) as chat,
            b.stream("GET", "/news", headers={"last-event-id": ready.id}) as news,
        ):
            assert said(await chat.event())["recovered"] is True
            assert said(await news.event())["recovered"] is True
            here.go_on.set()
            assert [event.event for event in await chat.rest()] == ["message", "finish", "done"]
        async with asyncio.timeout(2):
            await draining
        assert (here.made, there.made) == (1, 0)


async def test_who_comes_while_all_are_sent_away_is_served_and_sent_on(redis: RedisServer) -> None:
    here, there = House(redis.url), House(redis.url)
    async with served(here, there) as (a, b):
        async with a.stream("POST", "/chat") as first:
            await first.events(2)
            draining = asyncio.create_task(here.tail.drain(6))
            await eventually(lambda: here.tail.hub.dismisses_all)
            async with a.stream("POST", "/chat") as late:
                start, *_, last = await late.rest()
                assert (start.event, last.event) == ("start", "reconnect")
        run = said(start)["run"]
        async with b.stream("POST", "/chat", headers={"last-event-id": start.id}) as resumed:
            here.go_on.set()
            events = await resumed.rest()
            assert "".join([said(event)["text"] for event in events if event.event == "message"]) == "Hello"
        await draining
        assert (await there.tail.runs.summary(run, None)).status is Status.FINISHED


async def test_an_answer_that_is_too_long_for_the_window_ends_as_interrupted_wherever_it_is_read(
    redis: RedisServer,
) -> None:
    here, there = House(redis.url), House(redis.url)
    async with served(here, there) as (a, b), a.stream("POST", "/chat") as chat:
        start, word = await chat.events(2)
        async with b.stream("POST", "/chat", headers={"last-event-id": word.id}) as other:
            await here.tail.drain(1.2)
            *_, error, done = await other.rest()
            assert said(error)["error"]["type"] == "tailrace_interrupted"
            assert done.event == "done"
        assert (await there.tail.runs.summary(said(start)["run"], None)).status is Status.INTERRUPTED


async def test_alone_on_its_store_an_application_keeps_viewers_to_the_end_of_their_answers(redis: RedisServer) -> None:
    house = House(redis.url)
    async with served(house) as (a,), a.stream("POST", "/chat") as chat:
        await chat.events(2)
        draining = asyncio.create_task(house.tail.drain(10))
        await eventually(lambda: house.tail.hub.dismissal is not None)
        house.go_on.set()
        assert [event.event for event in await chat.rest()] == ["message", "finish", "done"]
        await draining


async def test_when_all_leave_at_once_nobody_is_sent_to_another(redis: RedisServer) -> None:
    houses = House(redis.url), House(redis.url)
    async with served(*houses) as (a, _), a.stream("POST", "/chat") as chat:
        await chat.events(2)
        draining = [asyncio.create_task(house.tail.drain(10)) for house in houses]
        await eventually(lambda: houses[0].tail.hub.dismissal is not None)
        houses[0].go_on.set()
        assert [event.event for event in await chat.rest()] == ["message", "finish", "done"]
        await asyncio.gather(*draining)


async def test_the_end_of_the_lifespan_takes_an_instance_off_the_roster(redis: RedisServer) -> None:
    here, there = House(redis.url), House(redis.url)
    async with served(there):
        async with Harness(here.app) as a, a.stream("POST", "/chat") as chat:
            await chat.events(2)
            assert len(redis.command("HGETALL", "tailrace:{fleet}:beats")) == 4
        assert len(redis.command("HGETALL", "tailrace:{fleet}:beats")) == 2


async def test_keys_stand_under_the_prefix_that_the_options_say(redis: RedisServer) -> None:
    async with Tailrace(redis.url, Options(prefix="mine")).lifespan():
        assert all(key.startswith("mine:") for key in redis.command("KEYS", "*"))


# The store away.


def server(url: str) -> tuple[Tailrace, Starlette]:
    """The ready server's application over the demo provider."""
    tail = Tailrace(url)
    gateway = Gateway.build([ProviderOptions(name="demo", kind="demo")], [], "demo/demo")
    return tail, create_app(tail, gateway, WebOptions())


async def sent_back(harness: Harness, target: str, cursor: str) -> None:
    """A resume, and nothing but the advice to come back."""
    headers = {"last-event-id": cursor, "accept": "text/event-stream"}
    async with harness.stream("GET", target, headers=headers) as answer:
        (last,) = await answer.rest()
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
    assert (last.event, said(last)) == ("reconnect", {"reason": "unavailable"})
    assert last.retry is not None
    assert 1000 <= last.retry <= 3000
    assert answer.headers["tailrace-heartbeat"] == "15"
    assert b"id:" not in answer.body


async def test_a_resume_while_the_store_is_away_is_a_stream_that_says_when_to_come_back(redis: RedisServer) -> None:
    tail, app = server(redis.url)
    async with Harness(app, patience=15) as harness:
        async with harness.stream("POST", "/api/chat", body=b'{"message":"hi"}') as chat:
            start = await chat.event()
        await eventually(lambda: not tail.hub._tails)
        run = said(start)["run"]
        redis.freeze()
        try:
            with contextlib.suppress(StoreUnavailable):
                await tail.publish("news", 1)
            streams = ("/api/chat", f"/api/chat/{run}", "/events/news")
            await asyncio.gather(*[sent_back(harness, target, start.id) for target in streams])
            others = await asyncio.gather(
                harness.ask("GET", f"/api/chat/{run}"),
                harness.ask("GET", f"/api/chat/{run}", headers={"last-event-id": "x-1", "accept": "application/json"}),
                harness.ask("GET", "/events/news"),
                harness.ask("DELETE", f"/api/chat/{run}"),
            )
            assert [(each.status, each.headers["retry-after"]) for each in others] == [(503, "1")] * 4
            health = json.loads((await harness.ask("GET", "/health")).body)
            assert (health["status"], health["degraded_since"] is None) == ("degraded", False)
            assert (await harness.ask("GET", "/health/ready")).status == 200
        finally:
            redis.thaw()
        await eventually(lambda: tail.hub.store.failing_since is None)
        health = json.loads((await harness.ask("GET", "/health")).body)
        assert (health["status"], health["degraded_since"]) == ("healthy", None)


async def test_an_applications_own_answers_do_the_same(redis: RedisServer) -> None:
    house = House(redis.url)
    async with served(house) as (a,):
        redis.freeze()
        try:
            await asyncio.gather(*[sent_back(a, target, "x-1") for target in ("/chat", "/news")])
            refused = await asyncio.gather(*[a.ask("GET", target) for target in ("/chat", "/news")])
            assert [(each.status, each.headers["retry-after"]) for each in refused] == [(503, "1")] * 2
        finally:
            redis.thaw()
    assert house.made == 0


async def test_a_redis_that_was_restarted_empty_interrupts_what_was_going_on_for_everybody(redis: RedisServer) -> None:
    here, there = House(redis.url), House(redis.url)
    async with served(here, there) as (a, b):
        async with a.stream("POST", "/chat") as chat:
            start, word = await chat.events(2)
            async with b.stream("POST", "/chat", headers={"last-event-id": word.id}) as other:
                assert said(await other.event())["recovered"] is True
                redis.stop()
                await asyncio.sleep(0.3)
                redis.start()
                ends = [(await each.rest())[-2:] for each in (chat, other)]
        assert [event.event for event in ends[0]] == ["error", "done"]
        assert ends[0] == ends[1]
        assert said(ends[0][0])["error"]["type"] == "tailrace_interrupted"
        assert (await there.tail.runs.summary(said(start)["run"], None)).status is Status.INTERRUPTED
        assert not here.tail.runs.live


@contextlib.asynccontextmanager
async def gone_back(redis: RedisServer, *houses: House) -> AsyncIterator[str]:
    """The first of the houses says `Hello` to a client; then Redis dies, and has as much of it as it had at `Hel`."""
    async with served(*houses) as harnesses:
        async with harnesses[0].stream("POST", "/chat") as chat:
            start, _ = await chat.events(2)
            run = said(start)["run"]
            await eventually(lambda: redis.command("XLEN", f"tailrace:{{run:{run}}}:records") == 2)
            redis.command("SAVE")
            houses[0].go_on.set()
            assert [event.event for event in await chat.rest()] == ["message", "finish", "done"]
        await eventually(lambda: not houses[0].tail.hub._tails)  # the store has all of it
        redis.kill()
        redis.start()
        yield run


async def test_an_answer_whose_end_redis_lost_is_interrupted_for_all_who_come_later() -> None:
    with RedisServer() as redis:
        here, there = House(redis.url), House(redis.url)
        async with gone_back(redis, here, there) as run, asyncio.timeout(15):
            for house in (here, there):
                reading = await house.tail.runs.read(run, None)
                assert reading is not None
                assert await reading.tail.wait_for(lambda reading=reading: reading.tail.ended, 15)  # type: ignore[misc]
                reading.close()
                summary = await house.tail.runs.summary(run, None)
                assert (summary.status, summary.text) == (Status.INTERRUPTED, "Hel")
            assert redis.command("PTTL", f"tailrace:{{run:{run}}}:head") <= 900_000


async def test_an_answer_that_was_finished_while_redis_lost_all_of_it_is_not_told_as_finished_elsewhere() -> None:
    with RedisServer() as redis:
        here, there = House(redis.url), House(redis.url)
        async with served(here, there) as (a, b):
            async with a.stream("POST", "/chat") as chat:
                start, _ = await chat.events(2)
                redis.kill()
                here.go_on.set()
                assert [event.event for event in await chat.rest()] == ["message", "finish", "done"]
            redis.start()
            await eventually(lambda: not here.tail.hub._tails)
            run = said(start)["run"]
            for house in (here, there):
                summary = await house.tail.runs.summary(run, None)
                assert (summary.status, summary.text) == (Status.INTERRUPTED, "")
            async with b.stream("POST", "/chat", headers={"last-event-id": start.id}) as late:
                verdict, error, done = await late.rest()
        assert said(verdict) == {"recovered": False, "reason": "trimmed", "missed": None}
        assert said(error)["error"]["type"] == "tailrace_interrupted"
        assert done.event == "done"


async def test_a_key_whose_run_was_lost_starts_one_anew(redis: RedisServer) -> None:
    houses = House(redis.url), House(redis.url)
    for house in houses:
        house.go_on.set()
    async with served(*houses):
        tails = [house.tail for house in houses]
        first = await tails[0].runs.start_once("k", "f", tails[0].run_options(), houses[0].answer)
        await eventually(lambda: not tails[0].runs.live)
        assert await tails[1].runs.start_once("k", "f", tails[1].run_options(), houses[1].answer) == first
        await eventually(lambda: not tails[0].hub._tails)  # the store has all of it
        for key in redis.command("KEYS", f"tailrace:{{run:{first}}}:*"):
            redis.command("DEL", key)
        with pytest.raises(RunNotFound):
            await tails[1].runs.read(first, None)
        again = await asyncio.gather(
            *[tail.runs.start_once("k", "f", tail.run_options(), houses[1].answer) for tail in tails]
        )
        assert len(set(again)) == 1
        assert again[0] != first
        assert houses[0].made + houses[1].made == 2
