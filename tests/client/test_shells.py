"""Both clients over real sockets: the same scenarios, told once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import pytest

from tailrace.client import (
    AsyncClient,
    Client,
    Connected,
    Ended,
    Gap,
    Message,
    Notice,
    Patience,
    Reconnecting,
    Restart,
    Resumed,
    Start,
    Text,
    Thinking,
    Tool,
)
from tailrace.errors import ErrorType, RequestRefused, RunError, Unreachable
from tests.support.scripted import Reply, ScriptedServer, Seen, problem, refused_url, stream

READY = b'retry: 20\nid: e-0\nevent: ready\ndata: {"channels":["news"]}\n\n'
START = b'retry: 20\nid: r1-0\nevent: start\ndata: {"run":"r1","model":"m"}\n\n'
DONE = b"id: r1-9\nevent: done\ndata: [DONE]\n\n"
RESUMED = b'event: resume\ndata: {"recovered":true,"reason":"ok","missed":0}\n\n'


def event(number: int, data: str = "") -> bytes:
    return f"id: e-{number}\ndata: {data or number}\n\n".encode()


def text(number: int, piece: str) -> bytes:
    return f"id: r1-{number}\ndata: {json.dumps({'text': piece})}\n\n".encode()


def failure(kind: str) -> bytes:
    told = {"error": {"type": kind, "message": "it went wrong", "retryable": False}}
    return f"id: r1-8\nevent: error\ndata: {json.dumps(told)}\n\n".encode()


def valid(got: list[Any]) -> str:
    """The text that events come to."""
    void = max([place for place, each in enumerate(got) if isinstance(each, Restart)], default=-1)
    return "".join(each.text for each in got[void + 1 :] if isinstance(each, Text))


class Shell(Protocol):
    """One of the two clients, made to run a scenario to its end."""

    waited: list[float]
    notices: list[Notice]

    def follow(self, url: str, channel: Any = "news", count: int | None = None, **options: Any) -> list[Message]: ...
    def ask(self, url: str, act: Callable[[Any], Any] | None = None, **options: Any) -> list[Any]: ...
    def publish(self, url: str, data: Any, **options: Any) -> str: ...
    def publish_all(self, url: str, events: Any, **options: Any) -> Sequence[str]: ...
    def pieces(self, url: str, **options: Any) -> str: ...


class Scenario:
    def __init__(self, **client: Any) -> None:
        self.waited: list[float] = []
        self.notices: list[Notice] = []
        self.client = {"patience": Patience(jitter=0), "random": lambda: 0.5, **client}

    def watch(self, notice: Notice) -> None:
        self.notices.append(notice)


class SyncShell(Scenario):
    def connect(self, url: str) -> Client:
        return Client(url, sleep=self.waited.append, **self.client)

    def follow(self, url: str, channel: Any = "news", count: int | None = None, **options: Any) -> list[Message]:
        got: list[Message] = []
        with self.connect(url) as client, client.subscribe(channel, watch=self.watch, **options) as events:
            for each in events:
                got.append(each)
                assert events.last_event_id == each.id
                if len(got) == count:
                    break
        return got

    def ask(self, url: str, act: Callable[[Any], Any] | None = None, **options: Any) -> list[Any]:
        got: list[Any] = []
        with self.connect(url) as client:
            answer = client.chat("hi", watch=self.watch, **options)
            with answer:
                try:
                    for each in answer.events():
                        got.append(each)
                        if act:
                            act(answer)
                except RunError as error:
                    got.append(error)
            assert answer.text == valid(got)
        return got

    def publish(self, url: str, data: Any, **options: Any) -> str:
        with self.connect(url) as client:
            return client.publish("news", data, watch=self.watch, **options)

    def publish_all(self, url: str, events: Any, **options: Any) -> Sequence[str]:
        with self.connect(url) as client:
            return client.publish_all(events, watch=self.watch, **options)

    def pieces(self, url: str, **options: Any) -> str:
        with self.connect(url) as client:
            return "".join(client.attach("r1", **options))


class AsyncShell(Scenario):
    async def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)

    def connect(self, url: str) -> AsyncClient:
        return AsyncClient(url, sleep=self.sleep, **self.client)

    def follow(self, url: str, channel: Any = "news", count: int | None = None, **options: Any) -> list[Message]:
        async def scenario() -> list[Message]:
            got: list[Message] = []
            async with self.connect(url) as client, client.subscribe(channel, watch=self.watch, **options) as events:
                async for each in events:
                    got.append(each)
                    assert events.last_event_id == each.id
                    if len(got) == count:
                        break
            return got

        return asyncio.run(scenario())

    def ask(self, url: str, act: Callable[[Any], Any] | None = None, **options: Any) -> list[Any]:
        async def scenario() -> list[Any]:
            got: list[Any] = []
            async with self.connect(url) as client:
                answer = client.chat("hi", watch=self.watch, **options)
                async with answer:
                    try:
                        async for each in answer.events():
                            got.append(each)
                            if act:
                                await act(answer)
                    except RunError as error:
                        got.append(error)
                assert answer.text == valid(got)
            return got

        return asyncio.run(scenario())

    def publish(self, url: str, data: Any, **options: Any) -> str:
        async def scenario() -> str:
            async with self.connect(url) as client:
                return await client.publish("news", data, watch=self.watch, **options)

        return asyncio.run(scenario())

    def publish_all(self, url: str, events: Any, **options: Any) -> Sequence[str]:
        async def scenario() -> Sequence[str]:
            async with self.connect(url) as client:
                return await client.publish_all(events, watch=self.watch, **options)

        return asyncio.run(scenario())

    def pieces(self, url: str, **options: Any) -> str:
        async def scenario() -> str:
            async with self.connect(url) as client:
                return "".join([piece async for piece in client.attach("r1", **options)])

        return asyncio.run(scenario())


Make = Callable[..., Shell]


@pytest.fixture(params=[SyncShell, AsyncShell], ids=["sync", "aio"])
def make(request: pytest.FixtureRequest) -> Make:
    """Return a maker of shells; its options are the client's."""
    maker: Make = request.param
    return maker


@pytest.fixture
def shell(make: Make) -> Shell:
    return make()


def cursors(server: ScriptedServer) -> list[str | None]:
    return [seen.headers.get("last-event-id") for seen in server.seen]


class TestSubscribing:
    def test_an_event_cut_in_the_middle_comes_once_and_whole_after_the_reconnect(self, shell: Shell) -> None:
        broken = event(2)[:-2]
        with ScriptedServer(
            stream(READY, event(1), broken, then="cut"), stream(RESUMED, event(2), event(3), then="hold")
        ) as server:
            got = shell.follow(server.url, count=3)
        assert [each.data for each in got] == ["1", "2", "3"]
        assert cursors(server) == [None, "e-1"]
        assert shell.waited == [0.02]
        assert shell.notices == [
            Connected(),
            Reconnecting(0.02, "the connection broke"),
            Connected(),
            Resumed(recovered=True, reason="ok", missed=0),
        ]

    @pytest.mark.parametrize("then", ["end", "cut", "reset"])
    def test_however_a_connection_ends_its_successor_asks_for_the_rest(self, shell: Shell, then: Any) -> None:
        with ScriptedServer(stream(READY, event(1), then=then), stream(event(2), then="hold")) as server:
            assert [each.data for each in shell.follow(server.url, count=2)] == ["1", "2"]
        assert cursors(server)[1] in {"e-1", "e-0", None} if then == "reset" else cursors(server)[1] == "e-1"

    def test_204_ends_the_iteration(self, shell: Shell) -> None:
        with ScriptedServer(stream(event(1)), Reply(204)) as server:
            assert [each.data for each in shell.follow(server.url)] == ["1"]

    def test_503_is_asked_again_when_it_said(self, shell: Shell) -> None:
        replies = (problem(503, "unavailable", retry_after="7"), problem(500, "x"), stream(event(1), then="hold"))
        with ScriptedServer(*replies) as server:
            assert len(shell.follow(server.url, count=1)) == 1
        assert shell.waited == [7.0, 2.0]

    def test_4xx_is_final_and_tells_what_the_server_said(self, shell: Shell) -> None:
        with (
            ScriptedServer(problem(403, "forbidden", "not yours")) as server,
            pytest.raises(RequestRefused, match="403 forbidden: not yours") as refused,
        ):
            shell.follow(server.url)
        assert refused.value.status == 403
        assert len(server.seen) == 1

    def test_an_answer_that_is_no_event_stream_is_refused(self, shell: Shell) -> None:
        page = Reply(200, {"content-type": "text/html"}, b"<p>hello")
        with ScriptedServer(page) as server, pytest.raises(RequestRefused, match="got text/html"):
            shell.follow(server.url)

    def test_nobody_listening_is_unreachable_after_the_attempts_it_was_allowed(self, shell: Shell) -> None:
        with pytest.raises(Unreachable, match="cannot be reached"):
            shell.follow(refused_url(), attempts=3)
        assert shell.waited == [1.0, 2.0]

    def test_a_request_that_cannot_be_sent_is_not_tried_again(self, shell: Shell) -> None:
        with ScriptedServer() as server, pytest.raises(Unreachable):
            shell.follow(server.url, last_event_id="a\nb")
        assert shell.waited == []

    def test_redirects_lead_to_the_stream_and_each_reconnect_starts_at_the_first_url(self, shell: Shell) -> None:
        moved = Reply(307, {"location": "/elsewhere?x=1"})
        with ScriptedServer(moved, stream(event(1)), moved, stream(event(2), then="hold")) as server:
            assert [each.data for each in shell.follow(server.url, count=2)] == ["1", "2"]
        assert [seen.target for seen in server.seen] == ["/events/news", "/elsewhere?x=1"] * 2
        assert cursors(server) == [None, None, "e-1", "e-1"]

    def test_credentials_stay_with_the_host_that_they_were_meant_for(self, make: Make) -> None:
        with ScriptedServer(stream(event(1), then="hold")) as other:
            away = Reply(302, {"location": f"{other.url}/theirs"})
            with ScriptedServer(away) as server:
                make(headers={"X-API-Key": "secret"}).follow(server.url, count=1, last_event_id="e-0")
        assert server.seen[0].headers["x-api-key"] == "secret"
        assert "x-api-key" not in other.seen[0].headers
        assert other.seen[0].headers["last-event-id"] == "e-0"

    def test_a_redirect_in_a_circle_ends(self, shell: Shell) -> None:
        round_and_round = [Reply(302, {"location": "/again"})] * 20
        with ScriptedServer(*round_and_round) as server, pytest.raises(RequestRefused, match="bad_redirect"):
            shell.follow(server.url)
        assert len(server.seen) == 11

    def test_a_connection_without_heartbeats_is_given_up_and_resumed(self, shell: Shell) -> None:
        silent = stream(event(1), then="hold", tailrace_heartbeat="0.04")
        with ScriptedServer(silent, stream(event(2), then="hold")) as server:
            assert [each.data for each in shell.follow(server.url, count=2)] == ["1", "2"]
        assert Reconnecting(1.0, "the server fell silent") in shell.notices

    def test_a_server_that_leaves_is_left_at_once_and_when_it_said(self, shell: Shell) -> None:
        leave = b'event: reconnect\nretry: 1234\ndata: {"reason":"draining"}\n\n'
        with ScriptedServer(stream(event(1), leave, then="hold"), stream(event(2), then="hold")) as server:
            assert [each.data for each in shell.follow(server.url, count=2)] == ["1", "2"]
        assert shell.waited == [1.234]
        assert cursors(server) == [None, "e-1"]

    def test_an_id_persists_over_events_without_one_and_an_empty_id_clears_it(self, shell: Shell) -> None:
        first = stream(b"id: 1\ndata: a\n\ndata: b\n\n")
        second = stream(b"id:\ndata: c\n\n")
        with ScriptedServer(first, second, stream(b"data: d\n\n", then="hold")) as server:
            got = shell.follow(server.url, count=4)
        assert [each.id for each in got] == ["1", "1", "", ""]
        assert cursors(server) == [None, "1", None]

    def test_an_id_that_is_not_ascii_goes_back_as_utf8(self, shell: Shell) -> None:
        with ScriptedServer(stream("id: é…\ndata: a\n\n".encode()), Reply(204)) as server:
            shell.follow(server.url)
        assert cursors(server) == [None, "é…"]

    def test_a_resume_that_lost_events_says_so_in_their_place(self, shell: Shell) -> None:
        told = b'id: e-7\nevent: resume\ndata: {"recovered":false,"reason":"trimmed","missed":3}\n\n'
        with ScriptedServer(stream(told, event(8), then="hold")) as server:
            got = shell.follow(server.url, count=2, last_event_id="e-4")
        assert isinstance(got[0], Gap)
        assert (got[0].missed, got[0].reason, got[1].data) == (3, "trimmed", "8")
        assert cursors(server) == ["e-4"]

    def test_a_cursor_given_by_the_user_survives_a_connection_without_events(self, shell: Shell) -> None:
        with ScriptedServer(stream(b":heartbeat\n"), Reply(204)) as server:
            shell.follow(server.url, last_event_id="e-4")
        assert cursors(server) == ["e-4", "e-4"]

    def test_all_that_is_kept_can_be_asked_for(self, shell: Shell) -> None:
        with ScriptedServer(Reply(204), Reply(204)) as server:
            shell.follow(server.url, from_earliest=True)
            shell.follow(server.url, channel="/events?channel=a&channel=b", from_earliest=True)
        targets = [seen.target for seen in server.seen]
        assert targets == ["/events/news?from=earliest", "/events?channel=a&channel=b&from=earliest"]

    def test_several_channels_come_on_one_connection_each_event_as_its_own_channel_would_tell_it(
        self, shell: Shell
    ) -> None:
        body = b"".join(
            b'id: a-%d.b-0\nevent: tick\ndata: {"channel":"%b","data":%b}\n\n' % (number, channel, data)
            for number, (channel, data) in enumerate([(b"a", b'"text"'), (b"b", b'{"x":[1, 2]}')])
        )
        hole = b'id: a-9.b-9\nevent: gap\ndata: {"channel":"b","missed":2,"reason":"trimmed"}\n\n'
        with ScriptedServer(stream(body, hole, then="hold")) as server:
            got = shell.follow(server.url, ["a", "b&c"], count=3, events=["tick"], snapshot=True)
        assert got[:2] == [Message("text", "tick", "a-0.b-0", "a"), Message('{"x":[1,2]}', "tick", "a-1.b-0", "b")]
        assert (got[2].channel, got[2].missed) == ("b", 2)  # type: ignore[attr-defined]
        assert server.seen[0].target == "/events?channel=a&channel=b%26c&event=tick&snapshot=1"

    def test_headers_are_asked_for_before_each_attempt(self, make: Make) -> None:
        tokens = iter(["one", "two"])
        shell = make(headers=lambda: {"Authorization": f"Bearer {next(tokens)}"})
        with ScriptedServer(stream(event(1)), stream(event(2), then="hold")) as server:
            assert len(shell.follow(server.url, count=2)) == 2
        assert [seen.headers["authorization"] for seen in server.seen] == ["Bearer one", "Bearer two"]

    def test_a_redirect_has_the_headers_of_its_attempt(self, make: Make) -> None:
        tokens = iter(["one", "two"])
        shell = make(headers=lambda: {"Authorization": next(tokens)})
        with ScriptedServer(Reply(307, {"location": "/b"}), stream(event(1), then="hold")) as server:
            shell.follow(server.url, count=1)
        assert [seen.headers["authorization"] for seen in server.seen] == ["one", "one"]

    def test_an_attempt_that_gets_no_headers_has_failed_and_another_follows(self, make: Make) -> None:
        told: list[Any] = [ConnectionError("the token service is away"), {}]

        def headers() -> dict[str, str]:
            if isinstance(now := told.pop(0), Exception):
                raise now
            return now  # type: ignore[no-any-return]

        shell = make(headers=headers)
        with ScriptedServer(stream(event(1), then="hold")) as server:
            assert len(shell.follow(server.url, count=1)) == 1
        assert shell.notices[0] == Reconnecting(1.0, "there are no headers for the attempt: the token service is away")

    def test_what_else_the_headers_raise_is_the_users(self, make: Make) -> None:
        with ScriptedServer() as server, pytest.raises(ZeroDivisionError):
            make(headers=lambda: {"x": str(1 // 0)}).follow(server.url)

    def test_the_end_is_told_and_why(self, shell: Shell) -> None:
        with ScriptedServer(Reply(204), problem(403, "forbidden")) as server:
            shell.follow(server.url)
            assert shell.notices == [Ended(None)]
            with pytest.raises(RequestRefused) as refused:
                shell.follow(server.url)
        assert shell.notices[1:] == [Ended(refused.value)]


class TestAsking:
    def test_an_answer_is_told_piece_by_piece_and_the_run_is_posted_once(self, shell: Shell) -> None:
        rest = b'id: r1-4\nevent: finish\ndata: {"finish_reason":"stop","usage":{"output_tokens":2}}\n\n' + DONE
        thought = b'id: r1-1\nevent: thinking\ndata: {"text":"hm"}\n\n'
        tool = b'id: r1-2\nevent: tool\ndata: {"index":0,"id":"t","name":"f","arguments":"{}"}\n\n'
        with ScriptedServer(stream(START, thought, tool, text(3, "Hello"), rest)) as server:
            got = shell.ask(server.url, model="m", max_tokens=5)
        assert got[:4] == [Start("r1", "m"), Thinking("hm"), Tool(0, "t", "f", "{}"), Text("Hello")]
        assert got[4].finish_reason == "stop"
        assert len(server.seen) == 1
        assert json.loads(server.seen[0].body) == {"message": "hi", "model": "m", "max_tokens": 5}
        assert server.seen[0].headers["idempotency-key"]

    def test_what_was_said_before_a_restart_is_void(self, shell: Shell) -> None:
        again = b'id: r1-2\nevent: restart\ndata: {"provider":"spare","model":"s","reason":"provider_cut"}\n\n'
        with ScriptedServer(stream(START, text(1, "Hel"), again, text(3, "Hi!"), DONE)) as server:
            got = shell.ask(server.url)
        assert got == [Start("r1", "m"), Text("Hel"), Restart("spare", "s", "provider_cut"), Text("Hi!")]
        assert valid(got) == "Hi!"

    def test_after_the_run_is_known_a_drop_is_resumed_by_get(self, shell: Shell) -> None:
        first = stream(START, text(1, "Hel"), text(2, "lo")[:-1], then="cut", tailrace_run="r1")
        with ScriptedServer(first, stream(RESUMED, text(2, "lo"), DONE)) as server:
            got = shell.ask(server.url)
        assert got == [Start("r1", "m"), Text("Hel"), Text("lo")]
        assert [(seen.method, seen.target) for seen in server.seen] == [
            ("POST", "/api/chat"),
            ("GET", "/api/chat/r1"),
        ]
        assert cursors(server) == [None, "r1-1"]

    def test_a_head_without_events_is_enough_to_know_the_run(self, shell: Shell) -> None:
        with ScriptedServer(stream(then="cut", tailrace_run="r1"), stream(START, text(1, "a"), DONE)) as server:
            assert shell.ask(server.url)[1:] == [Text("a")]
        assert [seen.method for seen in server.seen] == ["POST", "GET"]

    def test_before_the_run_is_known_the_post_is_repeated_with_its_key(self, shell: Shell) -> None:
        replies = (Reply(0, then="reset"), problem(503, "unavailable"), problem(429, "slow"), stream(START, DONE))
        with ScriptedServer(*replies) as server:
            assert shell.ask(server.url) == [Start("r1", "m")]
        assert {seen.method for seen in server.seen} == {"POST"}
        assert len({(seen.headers["idempotency-key"], seen.body) for seen in server.seen}) == 1

    def test_a_run_told_again_from_its_start_is_not_said_twice(self, shell: Shell) -> None:
        told = b'id: r1-0\nevent: resume\ndata: {"recovered":false,"reason":"unknown","missed":null}\n\n'
        first = stream(START, text(1, "a"), text(2, "b"), then="cut")
        with ScriptedServer(first, stream(told, START, text(1, "a"), text(2, "b"), text(3, "c"), DONE)) as server:
            got = shell.ask(server.url)
        assert got == [Start("r1", "m"), Text("a"), Text("b"), Text("c")]

    def test_a_failed_run_raises_after_what_was_said(self, shell: Shell) -> None:
        with ScriptedServer(stream(START, text(1, "Hel"), failure("provider_overloaded"), DONE)) as server:
            got = shell.ask(server.url)
        assert got[:2] == [Start("r1", "m"), Text("Hel")]
        assert (got[2].type, got[2].message) == (ErrorType.PROVIDER_OVERLOADED, "it went wrong")

    def test_an_error_type_of_a_later_release_is_told_as_it_is(self, shell: Shell) -> None:
        with ScriptedServer(stream(START, failure("policy_moon_phase"), DONE)) as server:
            error = shell.ask(server.url)[-1]
        assert (error.type, error.message) == (ErrorType.TAILRACE_INTERNAL, "policy_moon_phase: it went wrong")

    def test_an_answer_with_a_hole_is_an_error_and_never_glued_together(self, shell: Shell) -> None:
        told = b'id: r1-5\nevent: resume\ndata: {"recovered":false,"reason":"trimmed","missed":3}\n\n'
        first = stream(START, text(1, "a"), then="cut")
        with ScriptedServer(first, stream(told, text(6, "z"), DONE)) as server:
            got = shell.ask(server.url)
        assert got[1] == Text("a")
        assert isinstance(got[2], RunError)
        assert len(got) == 3

    def test_stopping_cancels_the_run_and_ends_the_iteration_quietly(self, shell: Shell) -> None:
        deleted: list[Seen] = []

        def delete(seen: Seen) -> Reply:
            deleted.append(seen)
            return Reply(200, {"content-type": "application/json"}, b'{"run":"r1","status":"cancelled"}')

        first = stream(START, text(1, "a"), then="cut")
        rest = stream(RESUMED, failure("caller_cancelled"), DONE)
        acted: list[str] = []

        def stop_once(answer: Any) -> Any:
            if acted or not answer.text:
                return asyncio.sleep(0) if isinstance(shell, AsyncShell) else None
            acted.append(answer.run)
            return answer.stop()

        with ScriptedServer(first, delete, rest) as server:
            got = shell.ask(server.url, stop_once)
        assert got == [Start("r1", "m"), Text("a")]
        assert [(seen.method, seen.target) for seen in deleted] == [("DELETE", "/api/chat/r1")]

    def test_stopping_before_the_run_is_known_cancels_it_as_soon_as_it_is(self, make: Make) -> None:
        cancelled = Reply(200, {}, b'{"run":"r1","status":"cancelled"}')
        opened = stream(START, then="cut", tailrace_run="r1")
        with ScriptedServer(opened, cancelled, stream(RESUMED, failure("caller_cancelled"), DONE)) as server:
            if make is SyncShell:
                with Client(server.url, sleep=lambda _: None) as client:
                    answer = client.chat("hi")
                    answer.stop()
                    assert list(answer) == []
            else:

                async def scenario() -> None:
                    async with AsyncClient(server.url) as client:
                        answer = client.chat("hi")
                        await answer.stop()
                        assert [piece async for piece in answer] == []

                asyncio.run(scenario())
        assert [seen.method for seen in server.seen] == ["POST", "DELETE", "GET"]

    def test_a_run_can_be_attached_to_from_elsewhere(self, shell: Shell) -> None:
        with ScriptedServer(stream(START, text(1, "a"), text(2, "b"), DONE)) as server:
            assert shell.pieces(server.url) == "ab"
        assert [(seen.method, seen.target) for seen in server.seen] == [("GET", "/api/chat/r1")]

    def test_a_run_can_be_attached_to_with_what_was_said_so_far(self, shell: Shell) -> None:
        told = b'id: r1-2\nevent: snapshot\ndata: {"text":"ab","thinking":"hm"}\n\n'
        with ScriptedServer(stream(told, then="cut"), stream(RESUMED, text(3, "c"), DONE)) as server:
            assert shell.pieces(server.url, snapshot=True) == "abc"
        assert [seen.target for seen in server.seen] == ["/api/chat/r1?snapshot=1", "/api/chat/r1"]
        assert cursors(server) == [None, "r1-2"]

    def test_a_run_can_be_attached_to_after_an_id(self, shell: Shell) -> None:
        with ScriptedServer(stream(RESUMED, text(3, "c"), DONE)) as server:
            assert shell.pieces(server.url, last_event_id="r1-2") == "c"
        assert cursors(server) == ["r1-2"]

    def test_whoever_came_with_a_cursor_of_nowhere_is_told_that_the_answer_begins_anew(self) -> None:
        told = b'id: r1-0\nevent: resume\ndata: {"recovered":false,"reason":"malformed","missed":null}\n\n'
        with ScriptedServer(stream(told, START, text(1, "a"), DONE)) as server, Client(server.url) as client:
            answer = client.attach("r1", last_event_id="x")
            assert list(answer.events()) == [Restart("", "", "malformed"), Start("r1", "m"), Text("a")]
            assert answer.text == "a"

    def test_a_refusal_is_text_that_says_so(self, shell: Shell) -> None:
        said = b'id: r1-1\ndata: {"text":"no","refusal":true}\n\n'
        with ScriptedServer(stream(START, said, DONE)) as server:
            assert shell.ask(server.url)[1:] == [Text("no", refusal=True)]

    def test_an_unknown_run_is_refused(self, shell: Shell) -> None:
        with ScriptedServer(problem(404, "run_not_found")) as server, pytest.raises(RequestRefused):
            shell.pieces(server.url)

    def test_events_that_are_not_tailraces_are_an_error(self, shell: Shell) -> None:
        with ScriptedServer(stream(b"data: hello\n\n")) as server, pytest.raises(RequestRefused, match="not_an_answer"):
            shell.ask(server.url)


class TestPublishing:
    OK = Reply(200, {"content-type": "application/json"}, b'{"channel":"news","id":"e-1"}')

    def test_what_is_published_gets_its_id(self, shell: Shell) -> None:
        with ScriptedServer(self.OK) as server:
            assert shell.publish(server.url, {"eur": 1.07}, event="tick") == "e-1"
        body = json.loads(server.seen[0].body)
        assert body.pop("idempotency_key")
        assert (server.seen[0].target, body) == ("/events/news", {"data": {"eur": 1.07}, "event": "tick"})

    def test_nothing_is_data_too(self, shell: Shell) -> None:
        with ScriptedServer(self.OK) as server:
            shell.publish(server.url, None, state="replace")
        body = json.loads(server.seen[0].body)
        assert (body["data"], body["state"]) == (None, "replace")

    def test_several_events_go_in_one_call_and_get_their_ids_in_order(self, shell: Shell) -> None:
        events = [{"channel": "a", "data": 1}, {"channel": "b", "data": "x", "event": "e"}]
        both = Reply(200, {}, b'{"events":[{"channel":"a","id":"a-1"},{"channel":"b","id":"b-1"}]}')
        with ScriptedServer(problem(503, "store_unavailable"), both) as server:
            assert shell.publish_all(server.url, events, idempotency_key="k") == ["a-1", "b-1"]
        assert [seen.target for seen in server.seen] == ["/events"] * 2
        assert json.loads(server.seen[1].body) == {"events": events, "idempotency_key": "k"}

    @pytest.mark.parametrize("body", [b"ok", b"{}", b'{"events":3}', b'{"events":[{"channel":"a"}]}'])
    def test_an_answer_that_does_not_name_each_id_is_an_error(self, shell: Shell, body: bytes) -> None:
        with ScriptedServer(Reply(200, {}, body)) as server, pytest.raises(RequestRefused, match="not_a_publication"):
            shell.publish_all(server.url, [{"channel": "a", "data": 1}])

    def test_an_attempt_is_repeated_under_the_same_key(self, shell: Shell) -> None:
        with ScriptedServer(Reply(0, then="reset"), problem(503, "unavailable", retry_after="3"), self.OK) as server:
            assert shell.publish(server.url, "x") == "e-1"
        assert len({seen.body for seen in server.seen}) == 1
        assert shell.waited[-1] == 3.0

    def test_the_last_attempt_tells_why_it_failed(self, shell: Shell) -> None:
        with ScriptedServer(*[problem(503, "unavailable")] * 2) as server, pytest.raises(RequestRefused, match="503"):
            shell.publish(server.url, "x", attempts=2)

    def test_an_answer_without_an_id_is_an_error(self, shell: Shell) -> None:
        with ScriptedServer(Reply(200, {}, b"ok")) as server, pytest.raises(RequestRefused, match="not_a_publication"):
            shell.publish(server.url, "x")

    def test_a_redirected_publication_keeps_its_body(self, shell: Shell) -> None:
        with ScriptedServer(Reply(301, {"location": "/new"}), self.OK) as server:
            shell.publish(server.url, "x")
        assert server.seen[0].body == server.seen[1].body
        assert server.seen[1].method == "POST"


def test_headers_may_be_awaited_but_not_for_ever() -> None:
    asked = 0

    async def headers() -> dict[str, str]:
        nonlocal asked
        asked += 1
        if asked == 1:
            await asyncio.Event().wait()
        return {"Authorization": "Bearer x"}

    shell = AsyncShell(headers=headers, patience=Patience(jitter=0, answer=0.05))
    with ScriptedServer(stream(event(1), then="hold")) as server:
        assert len(shell.follow(server.url, count=1)) == 1
    assert server.seen[0].headers["authorization"] == "Bearer x"
    assert asked == 2


@pytest.mark.parametrize("url", ["", "ftp://x", "localhost:8000", "http://", "http://[::1"])
def test_a_client_refuses_what_is_no_url(make: Make, url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        make().connect(url)  # type: ignore[attr-defined]
