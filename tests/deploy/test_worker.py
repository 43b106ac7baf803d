"""The Worker in Cloudflare's own runtime: streams pass as they come, and go on where the origin's connection broke."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fleet import STREAM
from tests.support.proxy import Address
from tests.support.raw import Answer, Raw, ask
from tests.support.scripted import Reply, ScriptedServer, Seen, problem, stream
from tests.support.server import Server
from tests.support.upstream import Script, Upstream
from tests.support.workerd import worker

SETTINGS = """
[chat]
default_model = "up/m"
grace = 0
[providers.up]
kind = "anthropic"
base_url = "{upstream}"
"""
READY = b'retry: 2000\nid: e-0\nevent: ready\ndata: {"channels":["news"]}\n\n'
RECOVERED = b'event: resume\ndata: {"recovered":true,"reason":"ok","missed":0}\n\n'
LOST = b'id: e-7\nevent: resume\ndata: {"recovered":false,"reason":"trimmed","missed":6}\n\n'
AT_ONCE = {"[0, 0.25, 0.5, 1, 2, 4, 5]": "[0, 0, 0, 0, 0, 0, 0]"}
"""All attempts of the Worker, without their pauses."""
DONE = b"id: r-9\nevent: done\ndata: [DONE]\n\n"


def said(number: int, text: str = "") -> bytes:
    return f"id: e-{number}\ndata: {text or f'event {number}'}\n\n".encode()


class Origin:
    """What the Worker asks: it answers by a script, once the Worker has been seen to run. `front` is the Worker's."""

    def __init__(self, scripted: ScriptedServer, front: Address) -> None:
        self._scripted = scripted
        self.front = front

    @property
    def seen(self) -> list[Seen]:
        """The requests since then."""
        return [each for each in self._scripted.seen if not each.target.startswith("/health")]

    def leave(self) -> None:
        """Refuse connections from now on."""
        self._scripted.__exit__()

    def ask(self, target: str, method: str = "GET", body: object = b"", **headers: str) -> Answer:
        """Ask through the Worker."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(self.front, method, target, {**STREAM, **named}, body)


def address_of(scripted: ScriptedServer) -> Address:
    return "127.0.0.1", int(scripted.url.rpartition(":")[2])


@contextmanager
def origin(*replies: Reply | Callable[[Seen], Reply], changes: Mapping[str, str] | None = None) -> Iterator[Origin]:
    """Run the Worker, with these `changes` in its text, before an origin that gives these replies."""
    well = Reply(200, {"connection": "close"}, then="cut")
    with ScriptedServer(well, *replies) as scripted, worker(address_of(scripted), changes) as front:
        yield Origin(scripted, front)


def test_events_pass_one_by_one_and_a_reader_that_leaves_is_gone_from_the_origin_too() -> None:
    with Upstream(Script(pieces=("word ",) * 400, delay=0.05)) as upstream:
        settings = SETTINGS.format(upstream=upstream.url)
        with Server(settings) as server, worker(server.address) as front:
            with Raw(front) as raw:
                raw.request("GET", "/events/news", STREAM)
                assert raw.head().headers["tailrace-heartbeat"] == "15"
                assert raw.event().event == "ready"
                for number in range(10):
                    server.publish("news", f"{number}")
                    assert raw.event().data == f"{number}"
            with Raw(front) as raw:
                raw.request("POST", "/api/chat", STREAM, {"message": "Hi"})
                assert raw.head().status == 200
                assert [event.event for event in raw.events(2)] == ["start", "message"]
            upstream.wait_for(lambda seen: seen[0].aborted_at is not None, 10)


class TestResuming:
    @pytest.mark.parametrize("ending", ["cut", "reset", "end"])
    def test_a_broken_channel_goes_on_after_its_last_whole_event_and_the_client_sees_nothing(self, ending: str) -> None:
        broken = stream(READY + said(1), b":heartbeat\n", said(2)[:9], then=ending)  # type: ignore[arg-type]
        whole = stream(RECOVERED + said(2), said(3), b'event: reconnect\ndata: {"reason":"draining"}\n\n')
        with origin(broken, whole) as at:
            answer = at.ask("/events/news?event=tick", authorization="Bearer k")
        assert answer.body == (
            READY + said(1) + b":heartbeat\n" + said(2) + said(3) + b'event: reconnect\ndata: {"reason":"draining"}\n\n'
        )
        first, second = at.seen
        assert "last-event-id" not in first.headers
        assert second.headers["last-event-id"] == "e-1"
        assert (second.method, second.target, second.headers["authorization"]) == ("GET", first.target, "Bearer k")

    def test_a_question_is_read_on_by_its_run_and_never_asked_again(self) -> None:
        broken = stream(b"id: r-0\nevent: start\ndata: {}\n\n", then="cut", tailrace_run="r")
        with origin(broken, stream(RECOVERED + b"id: r-1\ndata: {}\n\n" + DONE)) as at:
            answer = at.ask("/api/chat", "POST", {"message": "Hi"}, idempotency_key="k", x_api_key="secret")
        assert answer.body == b"id: r-0\nevent: start\ndata: {}\n\nid: r-1\ndata: {}\n\n" + DONE
        again = at.seen[1]
        assert (again.method, again.target, again.body) == ("GET", "/api/chat/r", b"")
        assert (again.headers["last-event-id"], again.headers["x-api-key"]) == ("r-0", "secret")
        assert "idempotency-key" not in again.headers

    def test_a_question_of_which_nothing_arrived_is_read_from_its_start(self) -> None:
        broken = stream(b"id: r-0\nevent: sta", then="cut", tailrace_run="r")
        with origin(broken, stream(b"id: r-0\nevent: start\ndata: {}\n\n" + DONE)) as at:
            assert at.ask("/api/chat", "POST", {"message": "Hi"}).body.endswith(DONE)
        assert "last-event-id" not in at.seen[1].headers

    def test_what_one_of_several_channels_lost_is_told(self) -> None:
        some = b'id: e-7\nevent: resume\ndata: {"recovered":false,"channels":{"a":{"recovered":true}}}\n\n'
        with origin(stream(READY, then="cut"), stream(some + DONE)) as at:
            assert at.ask("/events?channel=a&channel=b").body == READY + some + DONE

    def test_what_was_lost_is_told_and_the_clients_own_cursor_is_passed_on(self) -> None:
        with origin(stream(RECOVERED + said(1), then="cut"), stream(LOST + said(8), DONE)) as at:
            answer = at.ask("/events/news", last_event_id="e-0")
        assert answer.body == RECOVERED + said(1) + LOST + said(8) + DONE
        assert [each.headers["last-event-id"] for each in at.seen] == ["e-0", "e-1"]

    def test_it_waits_for_an_origin_that_is_away_for_a_moment(self) -> None:
        away = problem(503, "draining")
        with origin(stream(READY, then="cut"), away, Reply(0, then="reset"), away, stream(said(1) + DONE)) as at:
            assert at.ask("/events/news").body == READY + said(1) + DONE
        assert len(at.seen) == 5

    def test_an_origin_that_brings_nothing_new_is_not_asked_for_ever(self) -> None:
        nothing = stream(RECOVERED, then="cut")
        with origin(stream(READY, then="cut"), *[nothing] * 100, changes=AT_ONCE) as at:
            assert at.ask("/events/news").body == READY
        assert len(at.seen) == 1 + 7

    def test_an_id_is_only_what_stands_in_a_line_of_its_own(self) -> None:
        """U+2028 ends a line of JavaScript's patterns, and none of a stream."""
        tricky = READY + said(1, "x\u2028id: e-99")
        with origin(stream(tricky[:-9], tricky[-9:], then="cut"), stream(DONE)) as at:
            assert at.ask("/events/news").body == tricky + DONE
        assert at.seen[1].headers["last-event-id"] == "e-1"

    @pytest.mark.parametrize("refusal", [Reply(204), problem(404, "not_found"), problem(401, "unauthorized")])
    def test_where_the_origin_has_no_more_the_stream_ends(self, refusal: Reply) -> None:
        with origin(stream(READY, then="cut"), refusal) as at:
            assert at.ask("/events/news").body == READY
        assert len(at.seen) == 2

    def test_a_stream_that_ended_is_not_asked_for_again(self) -> None:
        with origin(stream(READY + DONE, then="cut")) as at:
            assert at.ask("/events/news").body == READY + DONE
        assert len(at.seen) == 1

    @pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/ai-sdk/chat"])
    def test_streams_of_others_dialects_pass_as_they_are_even_when_they_break(self, path: str) -> None:
        half = b'data: {"choices":[]}\n\ndata: {"cho'
        with origin(stream(half, then="cut", tailrace_run="r")) as at, Raw(at.front) as raw:
            raw.request("POST", path, STREAM, {"model": "m"})
            assert raw.head().status == 200
            assert raw.read() == half
            assert not raw.complete
        assert len(at.seen) == 1


BLOCKS = [READY, *[said(n, f"{n}: zwölf Boxkämpfer\u2028jagen\ndata: id: e-99") for n in range(1, 9)], DONE]
HEARTBEAT = b":heartbeat\n"


class Breaking:
    """An origin that breaks off where it is told to, and resumes where it is asked to."""

    def __init__(self) -> None:
        self.cuts: list[int] = []
        self.size = 1

    def __call__(self, seen: Seen) -> Reply:
        """What comes after the cursor, in pieces; up to the next cut, if there is one left."""
        cursor = seen.headers.get("last-event-id", "")
        after = int(cursor.removeprefix("e-")) + 1 if cursor else 0
        body = b"".join([RECOVERED if cursor else b"", *[block + HEARTBEAT for block in BLOCKS[after:]]])
        if not self.cuts:
            return stream(*self._pieces(body))
        return stream(*self._pieces(body[: self.cuts.pop() % len(body)]), then="cut")

    def _pieces(self, body: bytes) -> list[bytes]:
        return [body[at : at + self.size] for at in range(0, len(body), self.size)]


@pytest.fixture(scope="module")
def breaking() -> Iterator[tuple[Breaking, Address]]:
    breaks = Breaking()
    with origin(*[breaks] * 10_000, changes=AT_ONCE) as at:
        yield breaks, at.front


@settings(max_examples=40)
@given(cuts=st.lists(st.integers(0, 1000), max_size=6), size=st.integers(1, 200))
def test_wherever_and_however_often_it_breaks_the_client_gets_each_event_once(
    breaking: tuple[Breaking, Address], cuts: list[int], size: int
) -> None:
    breaks, front = breaking
    # Before its first id a stream cannot be resumed.
    breaks.cuts, breaks.size = [*cuts, len(READY) + 5] if cuts else [], size
    answer = ask(front, "GET", "/events/news", STREAM)
    assert answer.body.replace(HEARTBEAT, b"") == b"".join(BLOCKS)


@pytest.fixture(scope="module", params=["away", "unable"])
def alone(request: pytest.FixtureRequest) -> Iterator[Address]:
    """The Worker before an origin that is gone, or that is a proxy with nobody behind it."""
    replies = [problem(502, "bad_gateway")] * 9 if request.param == "unable" else []
    with ExitStack() as stack:
        at = stack.enter_context(origin(*replies))
        if request.param == "away":
            at.leave()
        yield at.front


def test_an_event_source_is_told_when_to_come_back_where_nobody_answers(alone: Address) -> None:
    answer = ask(alone, "GET", "/events/news", STREAM)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
    assert answer.body.startswith(b"retry: ")
    assert answer.body.endswith(b'\nevent: reconnect\ndata: {"reason":"unavailable"}\n\n')


@pytest.mark.parametrize(("path", "status"), [("/api/chat", 503), ("/v1/messages", 502)])
def test_other_clients_are_told_so_by_a_status(alone: Address, path: str, status: int) -> None:
    answer = ask(alone, "POST", path, STREAM, {"message": "Hi"})
    assert answer.status in {status, 502}
    assert answer.headers["content-type"].endswith("json")
