"""`Tailrace` inside somebody's own application, over the plain ASGI interface."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.routing import Route

from tailrace import Finish, Options, Retention, Tailrace, Text
from tailrace.asgi import Receive, Scope, Send
from tailrace.errors import InvalidEvent, InvalidName, RunNotFound, SettingsError, StoreUnavailable
from tailrace.facade import cursor_of
from tailrace.log import Position
from tailrace.runs import Item, Status
from tailrace.sse import Event
from tailrace.testing import FakeClock, Harness
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


class House:
    """An application with a chat, whose answers wait for `go_on` after their first word, and a channel."""

    def __init__(self, **options: Any) -> None:
        self.tail = Tailrace(options=Options(**options))
        self.made = 0
        self.go_on = asyncio.Event()
        routes = [
            Route("/chat", self.chat, methods=["GET", "POST"]),
            Route("/runs/{run}", self.attach),
            Route("/news/{channel}", self.news),
        ]
        self.app = Starlette(routes=routes, lifespan=self.tail.lifespan)

    async def answer(self) -> AsyncIterator[Item]:
        self.made += 1
        yield "Hel"
        await self.go_on.wait()
        yield [Text("lo"), Finish("stop")]

    async def chat(self, request: Request) -> Any:
        producer = self.answer() if "made" in request.query_params else self.answer
        return self.tail.stream(request, producer, owner=request.headers.get("x-user"), model="m")

    async def attach(self, request: Request) -> Any:
        return self.tail.attach(request, request.path_params["run"], owner=request.headers.get("x-user"))

    async def news(self, request: Request) -> Any:
        only = request.query_params.getlist("only")
        return self.tail.subscribe(request, request.path_params["channel"], events=only)


def data(event: Event) -> Any:
    return json.loads(event.data)


async def test_an_iterator_is_answered_as_a_run_that_goes_on_when_its_client_has_left() -> None:
    house = House()
    async with Harness(house.app) as harness:
        async with harness.stream("POST", "/chat") as answer:
            assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
            start, word = await answer.events(2)
            assert data(start) == {"run": answer.headers["tailrace-run"], "model": "m"}
        house.go_on.set()
        async with harness.stream("POST", "/chat", headers={"last-event-id": word.id}) as answer:
            resume, *rest = await answer.rest()
        assert data(resume)["recovered"] is True
        assert [event.event for event in rest] == ["message", "finish", "done"]
        assert house.made == 1


@pytest.mark.parametrize("target", ["/chat", "/chat?made"])
async def test_a_cursor_never_starts_a_second_answer(target: str) -> None:
    house = House()
    async with Harness(house.app) as harness:
        house.go_on.set()
        async with harness.stream("GET", target) as answer:
            await answer.rest()
        for cursor in ("gone-1", "what?"):
            async with harness.stream("GET", target, headers={"last-event-id": cursor}) as answer:
                events = await answer.rest()
            assert [event.event for event in events] == ["resume", "error", "done"]
            last = await harness.ask("GET", target, headers={"last-event-id": events[-1].id})
            assert (last.status, last.body) == (204, b"")
        assert house.made == 1


async def test_an_iterator_that_a_resume_does_not_need_is_closed() -> None:
    class Connection:
        closed = False

        def __aiter__(self) -> Connection:
            return self

        async def __anext__(self) -> str:
            raise AssertionError("nobody is to ask")

        async def aclose(self) -> None:
            self.closed = True

    tail, connection = Tailrace(), Connection()
    async with Harness(tail.stream(None, connection)) as harness:
        await harness.ask("GET", "/", headers={"last-event-id": "gone-1"})
    assert connection.closed
    await tail.close()


async def test_what_an_application_sets_on_its_answer_is_sent_along() -> None:
    tail, done = Tailrace(), []

    async def afterwards() -> None:
        done.append(True)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = tail.subscribe(None, "news")
        response.headers["x-mine"] = "1"
        response.set_cookie("seen", "yes")
        response.background = BackgroundTask(afterwards)
        await response(scope, receive, send)

    async with Harness(app) as harness, harness.stream("GET", "/") as answer:
        assert (await answer.event()).event == "ready"
        assert (answer.headers["x-mine"], answer.headers["content-type"]) == ("1", "text/event-stream")
        assert answer.headers["set-cookie"].startswith("seen=yes")
    assert done
    await tail.close()


@pytest.mark.parametrize("target", ["/chat", "/news/a", "/runs/x"])
async def test_head_starts_nothing(target: str) -> None:
    house = House()
    async with Harness(house.app) as harness:
        answer = await harness.ask("HEAD", target)
        assert (answer.status, answer.body) == (405, b"")
        assert house.made == 0
        assert not house.tail.hub.subscriptions


async def test_a_run_is_its_owners_to_resume_to_watch_and_to_cancel() -> None:
    house = House()
    async with Harness(house.app) as harness:
        async with harness.stream("POST", "/chat", headers={"x-user": "ann"}) as answer:
            (start, word) = await answer.events(2)
            run = data(start)["run"]
            cursor = {"last-event-id": word.id}
            for headers in ({}, {"x-user": "bob"}):
                missing = await harness.ask("GET", f"/runs/{run}", headers=headers)
                assert (missing.status, json.loads(missing.body)["code"]) == (404, "not_found")
                async with harness.stream("POST", "/chat", headers={**headers, **cursor}) as other:
                    assert [event.event for event in await other.rest()] == ["resume", "error", "done"]
                with pytest.raises(RunNotFound):
                    await house.tail.cancel(run, owner=headers.get("x-user"))
            async with harness.stream("GET", f"/runs/{run}", headers={"x-user": "ann"}) as second:
                assert (await house.tail.cancel(run, owner="ann")).status is Status.CANCELLED
                assert [event.event for event in (await second.rest())[-2:]] == ["error", "done"]
            assert [event.event for event in await answer.rest()] == ["error", "done"]
        assert house.made == 1


async def test_an_owner_may_be_any_value_that_has_a_text() -> None:
    async with Tailrace().lifespan():
        tail = Tailrace()
        run = await tail.runs.start(House().answer, tail.run_options(owner="7"))
        assert (await tail.cancel(run.id, owner=7)).status is Status.CANCELLED
        await tail.close()


async def test_a_subscriber_gets_what_is_published_and_can_come_back() -> None:
    house = House()
    async with Harness(house.app) as harness:
        async with harness.stream("GET", "/news/prices") as answer:
            assert answer.headers["tailrace-heartbeat"] == "15"
            ready = await answer.event()
            first = await house.tail.publish("prices", {"eur": 1.07}, event="tick")
            tick = await answer.event()
            assert (tick.event, tick.data, tick.id) == ("tick", '{"eur":1.07}', first)
        second = await house.tail.publish("prices", "text")
        for cursor, ids in ((ready.id, [first, second]), (first, [second])):
            async with harness.stream("GET", f"/news/prices?last_event_id={cursor}") as answer:
                assert (await answer.event()).event == "resume"
                assert [event.id for event in await answer.events(len(ids))] == ids
        async with harness.stream("GET", "/news/prices?from=earliest&only=tick") as answer:
            assert [event.id for event in await answer.events(2)] == [ready.id, first]


async def test_several_channels_are_followed_on_one_connection_with_their_states() -> None:
    tail = Tailrace()

    async def board(request: Request) -> Any:
        return tail.subscribe(request, ["prices", "news"])

    async with Harness(Starlette(routes=[Route("/board", board)], lifespan=tail.lifespan)) as harness:
        await tail.publish("prices", {"eur": 1}, state="replace")
        await tail.publish("prices", {"usd": 2}, state="merge")
        async with harness.stream("GET", "/board?snapshot=1") as answer:
            _, snapshot = await answer.events(2)
            states = {"news": {"state": None}, "prices": {"state": {"eur": 1, "usd": 2}}}
            assert json.loads(snapshot.data) == {"channels": states}
            await tail.publish("news", "text")
            news = await answer.event()
            assert json.loads(news.data) == {"channel": "news", "data": "text"}
        await tail.publish("prices", 3)
        async with harness.stream("GET", f"/board?last_event_id={news.id}") as answer:
            resume, missed = await answer.events(2)
            assert json.loads(resume.data)["recovered"] is True
            assert json.loads(missed.data) == {"channel": "prices", "data": 3}


async def test_a_name_that_is_none_is_a_problem() -> None:
    house = House()
    async with Harness(house.app) as harness:
        answer = await harness.ask("GET", "/news/no good")
        assert (answer.status, json.loads(answer.body)["code"]) == (422, "invalid_name")
    for channel in ("", "..", "a/b"):
        with pytest.raises(InvalidName):
            await house.tail.publish(channel, 1)
    for event in ("ready", "", "x" * 129):
        with pytest.raises(InvalidName):
            await house.tail.publish("a", 1, event=event)
    for bad in ({1, 2}, float("nan"), "\ud800", object()):
        with pytest.raises(InvalidEvent):
            await house.tail.publish("a", bad)
    with pytest.raises(InvalidEvent):
        await house.tail.publish("a", 1, event="a\nb")


async def test_a_store_that_is_away_is_a_problem_that_says_when_to_ask_again(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House()

    async def away(*args: object) -> None:
        raise StoreUnavailable("away", retry_after=2.5)

    async with Harness(house.app) as harness:
        for method in ("ensure", "create", "head"):
            monkeypatch.setattr(house.tail.hub.store, method, away)
        for target in ("/chat", "/news/a", "/runs/x"):
            answer = await harness.ask("GET", target)
            assert (answer.status, json.loads(answer.body)["code"]) == (503, "store_unavailable")
            assert int(answer.headers["retry-after"]) >= 2
        assert house.made == 0
        assert not house.tail.hub._tails


async def test_a_process_that_is_full_says_when_to_ask_again_and_starts_nothing() -> None:
    house = House(max_streams=1, max_runs=1)
    async with Harness(house.app) as harness, harness.stream("GET", "/news/a") as reading:
        cursor = (await reading.event()).id
        for target in ("/chat", "/news/a", "/runs/x"):
            answer = await harness.ask("GET", target)
            assert (answer.status, json.loads(answer.body)["code"]) == (503, "overloaded")
            assert 2 <= int(answer.headers["retry-after"]) <= 8
        async with harness.stream("GET", "/news/a", headers={"last-event-id": cursor}) as answer:
            (event,) = await answer.rest()
        assert (event.event, data(event)) == ("reconnect", {"reason": "overloaded"})
        assert house.made == 0
        assert house.tail.counters.sum("limits.hit", "max_streams") == 4


async def test_a_process_that_has_all_its_runs_shows_those_and_starts_no_more() -> None:
    house = House(max_runs=1)
    async with Harness(house.app) as harness, harness.stream("GET", "/chat") as first:
        run = data(await first.event())["run"]
        refused = await harness.ask("POST", "/chat")
        assert (refused.status, json.loads(refused.body)["code"]) == (503, "overloaded")
        async with harness.stream("GET", f"/runs/{run}") as viewer:
            assert (await viewer.event()).event == "start"
            house.go_on.set()
            await first.rest()
        async with harness.stream("POST", "/chat") as second:
            assert (await second.event()).event == "start"
        assert house.made == 2


@pytest.mark.parametrize(
    ("headers", "query", "cursor"),
    [
        ({}, b"", None),
        ({"last-event-id": b"a-1"}, b"", "a-1"),
        ({}, b"last_event_id=a-1", "a-1"),
        ({"last-event-id": b"a-1"}, b"last_event_id=b-1", "a-1"),
        ({"last-event-id": b""}, b"last_event_id=b-1", "b-1"),
        ({"last-event-id": b""}, b"last_event_id=", None),
        ({"last-event-id": "é".encode()}, b"", "é"),
        ({"last-event-id": b"\xff"}, b"", "\ufffd"),
        ({}, b"last_event_id=a%2d1&last_event_id=c", "a-1"),
        ({}, b"\xff&last_event_id=a-1", "a-1"),
    ],
)
def test_the_cursor_is_the_headers_else_the_querys_and_an_empty_one_is_none(
    headers: dict[str, bytes], query: bytes, cursor: str | None
) -> None:
    scope = {"headers": [(name.encode(), value) for name, value in headers.items()], "query_string": query}
    assert cursor_of(scope) == cursor


# Leaving.


async def test_draining_sends_a_channels_readers_away_and_keeps_a_runs_viewers_to_its_end() -> None:
    house = House()
    async with Harness(house.app) as harness:
        async with harness.stream("GET", "/chat") as chat, harness.stream("GET", "/news/a") as news:
            await chat.events(2)
            await news.event()
            draining = asyncio.create_task(house.tail.drain(5))
            (goodbye,) = await news.rest()
            assert (goodbye.event, data(goodbye)) == ("reconnect", {"reason": "draining"})
            assert b"id:" not in news.body.split(b"\n\n")[1]  # it moves no position
            assert goodbye.retry is not None
            assert 500 <= goodbye.retry <= 3000
            async with harness.stream("GET", "/news/b") as late:
                assert [event.event for event in await late.rest()] == ["ready", "reconnect"]
            assert not draining.done()
            house.go_on.set()
            assert [event.event for event in await chat.rest()] == ["message", "finish", "done"]
        await draining


async def test_what_is_left_at_the_deadline_is_interrupted_and_told() -> None:
    house = House()
    async with Harness(house.app) as harness, harness.stream("GET", "/chat") as chat:
        await chat.events(2)
        await house.tail.drain(0.01)
        error, last = await chat.rest()
        assert data(error)["error"]["type"] == "tailrace_interrupted"
        assert (last.event, chat.complete) == ("done", True)


async def test_nothing_is_cancelled_for_want_of_viewers_while_draining() -> None:
    house = House(grace=0.0)
    async with Harness(house.app) as harness:
        draining = None
        async with harness.stream("GET", "/chat") as chat:
            (start, _) = await chat.events(2)
            draining = asyncio.create_task(house.tail.drain(5))
            await asyncio.sleep(0)
        house.go_on.set()
        await draining
        assert (await house.tail.runs.summary(data(start)["run"], None)).status is Status.FINISHED


async def test_the_end_of_the_lifespan_leaves_nothing_behind() -> None:
    house = House()
    async with Harness(house.app) as harness:
        async with harness.stream("GET", "/chat") as chat, harness.stream("GET", "/news/a") as news:
            await chat.events(2)
            await news.event()
        await eventually(lambda: not house.tail.hub.subscriptions)
    assert not house.tail.runs.live
    assert not house.tail.hub._tails
    assert len(house.tail.hub.wheel) == 0


# How it is made.


def test_a_store_that_this_release_does_not_know_is_refused() -> None:
    with pytest.raises(SettingsError, match="expected memory://, sqlite:///"):
        Tailrace("mysql://localhost")


@pytest.mark.parametrize(
    "options",
    [
        *({"grace": -1.0}, {"keep_ended": -1.0}, {"drain_timeout": float("nan")}),
        *({"max_run_bytes": 0}, {"max_ahead": 0}, {"max_streams": -1}, {"max_runs": -1}),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Options(**options)


async def test_an_ended_run_is_kept_for_as_long_as_the_options_say() -> None:
    clock = FakeClock()
    tail = Tailrace(options=Options(keep_ended=60, history=Retention(events=5)), clock=clock)

    async def answer() -> AsyncIterator[Item]:
        yield "a"

    run = await tail.runs.start(answer, tail.run_options())
    await eventually(lambda: not tail.hub._tails)
    clock.advance(59)
    assert (await tail.runs.summary(run.id, None)).text == "a"
    clock.advance(2)
    with pytest.raises(RunNotFound):
        await tail.runs.summary(run.id, None)
    ids = [Position.parse(await tail.publish("a", str(number))) for number in range(9)]
    assert ids[-1] is not None
    history = await tail.channels.history("a")
    assert [record.data for record in history.records] == list("45678")
    await tail.close()
