"""The session core by itself: every order of failures, without a socket and without time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.client.channels import Publication, Subscription
from tailrace.client.events import ChatEvent, Message, Start, Text
from tailrace.client.notices import Notice, Reconnecting
from tailrace.client.patience import Patience
from tailrace.client.questions import Question
from tailrace.client.requests import Request
from tailrace.client.session import Session, State
from tailrace.errors import EventTooLarge, RequestRefused, RunError, Unreachable
from tailrace.sse import MAX_EVENT_BYTES, Event, encode

STREAM = {"content-type": "text/event-stream; charset=utf-8"}
RESUMED = encode(Event('{"recovered":true,"reason":"ok","missed":0}', "resume"))
LEAVE = encode(Event('{"reason":"draining"}', "reconnect", retry=50))

Fault = tuple[str, int]
faults = st.lists(
    st.tuples(st.sampled_from(["refused", "503", "429", "silent", "cut", "end", "leave"]), st.integers(0, 400)),
    max_size=12,
)
sizes = st.lists(st.integers(1, 60), min_size=1, max_size=8)


def subscription(**options: Any) -> Session[Message]:
    notices: list[Notice] = []
    return Session(Subscription("http://x/events/a", notices.append), random=lambda: 0.0, **options)


def question(**options: Any) -> tuple[Question, Session[ChatEvent]]:
    asked = Question("http://x", body=b"{}", key="k")
    return asked, Session(asked, random=lambda: 0.0, **options)


def opened(session: Session[Any], **headers: str) -> Session[Any]:
    session.next_request()
    assert session.answered(200, {**STREAM, **headers}) is State.OPEN
    return session


def chunks(body: bytes, sizes: list[int]) -> list[bytes]:
    pieces, turn = [], 0
    while body:
        size = sizes[turn % len(sizes)]
        pieces.append(body[:size])
        body, turn = body[size:], turn + 1
    return pieces


def one_connection(
    session: Session[Any], body: bytes, fault: Fault, sizes: list[int], headers: dict[str, str]
) -> list[Any]:
    """Play what one connection brings under a fault; return the events."""
    kind, at = fault
    if kind == "refused":
        session.lost("refused")
    elif kind in {"503", "429"}:
        session.answered(int(kind), {})
        session.complete(b"")
    else:
        session.answered(200, {**STREAM, **headers})
        if kind in {"cut", "silent"}:
            body = body[:at]
        elif kind == "leave":
            blocks = body.split(b"\n\n")
            body = b"\n\n".join([*blocks[: at % len(blocks)], b""]) + LEAVE
        got: list[Any] = []
        for chunk in chunks(body, sizes):
            got += session.receive(chunk)
            if session.state is not State.OPEN:
                return got
        session.lost("gone")
        return got
    return []


class TestAnyOrderOfFailures:
    @given(st.lists(st.text(), max_size=15), faults, sizes)
    @settings(deadline=None)
    def test_a_subscription_gets_each_event_once_and_in_order(
        self, log: list[str], faults: list[Fault], sizes: list[int]
    ) -> None:
        session = subscription()
        got: list[Message] = []
        whole = [encode(Event(data, id=f"e-{number}")) for number, data in enumerate(log, 1)]
        for fault in [*faults, ("end", 0)]:
            cursor = session.next_request().headers.get("last-event-id", "")
            after = int(cursor.partition("-")[2] or 0)
            ready = RESUMED if cursor else encode(Event("{}", "ready", "e-0", retry=10))
            got += one_connection(session, ready + b"".join(whole[after:]), fault, sizes, {})
        assert [each.data for each in got] == [data.replace("\r\n", "\n").replace("\r", "\n") for data in log]
        assert session.state is State.READY

    @given(st.lists(st.text(min_size=1), max_size=12), faults, sizes, st.booleans(), st.booleans())
    @settings(deadline=None)
    def test_a_question_starts_one_run_and_its_answer_is_whole(
        self, pieces: list[str], faults: list[Fault], sizes: list[int], named: bool, forgets: bool
    ) -> None:
        asked, session = question()
        log = [Event('{"run":"r1","model":"m"}', "start", "r1-0", retry=10)]
        log += [Event(json.dumps({"text": text}), id=f"r1-{number}") for number, text in enumerate(pieces, 1)]
        log += [Event("[DONE]", "done", f"r1-{len(pieces) + 1}")]
        got: list[ChatEvent] = []
        known = False
        for fault in [*faults, ("end", 0)]:
            if session.state is State.CLOSED:
                break
            request = session.next_request()
            assert (request.method, request.headers.get("idempotency-key")) == (
                ("GET", None) if known else ("POST", "k")
            )
            body = _tell(log, request, forgets=forgets)
            got += one_connection(session, body, fault, sizes, {"tailrace-run": "r1"} if named else {})
            known = bool(asked.run)
        assert session.state is State.CLOSED
        assert session.error is None
        assert got == [Start("r1", "m"), *map(Text, pieces)]

    @given(st.binary(max_size=300), st.integers(1, 50))
    @settings(deadline=None)
    def test_whatever_a_server_sends_a_session_ends_in_a_state_and_never_raises(self, body: bytes, size: int) -> None:
        for session in (opened(subscription()), opened(question()[1])):
            for chunk in chunks(body, [size]):
                if session.state is State.OPEN:
                    session.receive(chunk)
            session.lost("gone")
            assert session.state in {State.READY, State.CLOSED}


def _tell(log: list[Event], request: Request, *, forgets: bool) -> bytes:
    """Answer as a server does; one that `forgets` no cursor, recognises none and tells the run from its start."""
    cursor = request.headers.get("last-event-id", "")
    if not cursor:
        return b"".join(map(encode, log))
    if forgets:
        verdict = Event('{"recovered":false,"reason":"unknown","missed":null}', "resume", "r1-0")
        return encode(verdict) + b"".join(map(encode, log))
    return RESUMED + b"".join(encode(event) for event in log[int(cursor.partition("-")[2]) + 1 :])


class TestDelays:
    def test_failures_in_a_row_double_the_delay_up_to_the_longest(self) -> None:
        session = subscription(patience=Patience(first=1, longest=5))
        waited = []
        for _ in range(5):
            session.next_request()
            session.lost("refused")
            waited.append(session.delay)
        assert waited == [1, 2, 4, 5, 5]

    def test_an_event_makes_the_next_failure_the_first_again(self) -> None:
        session = subscription()
        for _ in range(4):
            session.next_request()
            session.lost("refused")
        opened(session).receive(b"data: a\n\n")
        session.lost("gone")
        assert session.delay == 1

    def test_a_connection_without_an_event_does_not(self) -> None:
        session = subscription()
        for expected in (1, 2, 4):
            opened(session).receive(b":heartbeat\n")
            session.lost("gone")
            assert session.delay == expected

    def test_retry_is_never_undercut(self) -> None:
        session = opened(subscription())
        session.receive(b"retry: 60000\ndata: a\n\n")
        session.lost("gone")
        assert session.delay == 60

    def test_an_open_stream_may_be_silent_for_two_and_a_half_heartbeats(self) -> None:
        assert opened(subscription(), **{"tailrace-heartbeat": "4"}).read_timeout == 10
        for nonsense in ("", "x", "-1", "0", "nan", "inf"):
            assert opened(subscription(), **{"tailrace-heartbeat": nonsense}).read_timeout == Patience().silence

    def test_a_notice_tells_each_wait_and_why(self) -> None:
        notices: list[Notice] = []
        session = subscription(watch=notices.append)
        session.next_request()
        session.lost("refused")
        assert notices == [Reconnecting(1.0, "refused")]


class TestEnds:
    def test_the_last_attempt_is_the_last(self) -> None:
        session = subscription(attempts=1)
        session.next_request()
        session.lost("refused")
        assert session.state is State.CLOSED
        assert isinstance(session.error, Unreachable)

    def test_an_event_over_the_bound_is_final(self) -> None:
        session = opened(subscription())
        for _ in range(MAX_EVENT_BYTES // 2**20 + 1):
            if session.state is State.OPEN:
                session.receive(b"data: " + b"x" * 2**20 + b"\n")
        assert isinstance(session.error, EventTooLarge)

    @pytest.mark.parametrize("status", [201, 205, 304, 400, 401, 404, 406, 409, 422])
    def test_a_stream_that_is_answered_otherwise_is_refused(self, status: int) -> None:
        session = subscription()
        session.next_request()
        assert session.answered(status, {}) is State.BODY
        session.complete(b'{"code":"c","detail":"d"}')
        assert isinstance(session.error, RequestRefused)
        assert (session.error.status, session.error.code, session.error.detail) == (status, "c", "d")

    def test_what_is_gone_when_it_is_to_be_resumed_is_told_as_lost(self) -> None:
        session = opened(subscription())
        session.receive(encode(Event("x", id="e-1")))
        session.lost("gone")
        session.next_request()
        session.answered(404, {})
        session.complete(b'{"code":"not_found","detail":"There is no such run."}')
        assert isinstance(session.error, RequestRefused)
        assert session.error.code == "not_found"
        assert "not there any more" in session.error.detail

    @pytest.mark.parametrize("location", ["", "ftp://x/", "http://[", "mailto:a@b"])
    def test_a_redirect_to_nowhere_is_refused(self, location: str) -> None:
        session = subscription()
        session.next_request()
        assert session.answered(302, {"location": location}) is State.CLOSED
        assert isinstance(session.error, RequestRefused)

    def test_an_error_ends_an_answer_even_if_the_connection_goes_with_it(self) -> None:
        asked, session = question()
        opened(session)
        failure = {"error": {"type": "caller_cancelled", "message": "by another viewer", "retryable": False}}
        session.receive(encode(Event(json.dumps(failure), "error", "r1-3")))
        session.lost("gone")
        assert session.state is State.CLOSED
        assert isinstance(session.error, RunError)
        assert asked.ended

    def test_nothing_that_follows_the_end_is_delivered(self) -> None:
        _, session = question()
        opened(session)
        assert session.receive(b'event: done\ndata: [DONE]\n\ndata: {"text":"more"}\n\n') == []
        assert session.state is State.CLOSED

    def test_an_event_of_a_later_release_is_passed_over(self) -> None:
        _, session = question()
        assert opened(session).receive(b'event: mood\ndata: good\n\ndata: {"text":"a"}\n\n') == [Text("a")]

    @pytest.mark.parametrize("told", ["{}", '{"text":1}', "[]", "1", "hello"])
    def test_a_piece_that_is_none_is_an_error(self, told: str) -> None:
        _, session = question()
        assert opened(session).receive(f"data: {told}\n\n".encode()) == []
        assert isinstance(session.error, RequestRefused)

    def test_a_run_without_ids_is_told_again_and_not_said_twice(self) -> None:
        _, session = question()
        first, second = b'data: {"text":"a"}\n\n', b'data: {"text":"b"}\n\n'
        assert opened(session, **{"tailrace-run": "r1"}).receive(first) == [Text("a")]
        session.lost("gone")
        assert opened(session).receive(first + second) == [Text("b")]

    def test_after_a_redirect_and_a_refusal_the_next_attempt_starts_at_the_users_url(self) -> None:
        session = subscription()
        session.next_request()
        session.answered(302, {"location": "/elsewhere"})
        assert session.next_request().url == "http://x/elsewhere"
        session.answered(503, {})
        session.complete(b"")
        assert session.next_request().url == "http://x/events/a"

    @pytest.mark.parametrize("status", [200, 201])
    def test_a_publication_is_done_with_its_answer(self, status: int) -> None:
        publication = Publication("http://x/events/a", "hi", {}, "k")
        session: Session[None] = Session(publication)
        session.next_request()
        session.answered(status, {})
        session.complete(b'{"id":"e-1"}')
        assert (publication.id, session.state, session.error) == ("e-1", State.CLOSED, None)


class TestChannelEvents:
    @pytest.mark.parametrize("name", ["ready", "cursor", "reconnect"])
    def test_what_only_moves_the_cursor_is_not_delivered(self, name: str) -> None:
        session = opened(subscription())
        assert session.receive(encode(Event("{}", name, "e-4"))) == []
        assert session.cursor == "e-4"

    @pytest.mark.parametrize(
        ("told", "missed"),
        [('{"missed":2,"reason":"trimmed"}', 2), ('{"missed":null,"reason":"epoch"}', None), ("not json", None)],
    )
    def test_a_gap_while_connected_is_delivered(self, told: str, missed: int | None) -> None:
        gap = opened(subscription()).receive(encode(Event(told, "gap", "e-4")))[0]
        assert (gap.missed, gap.id, gap.event) == (missed, "e-4", "gap")

    def test_the_verdict_on_several_channels_adds_up(self) -> None:
        told = {
            "recovered": False,
            "channels": {
                "a": {"recovered": True, "reason": "ok", "missed": 0},
                "b": {"recovered": False, "reason": "trimmed", "missed": 2},
                "c": {"recovered": False, "reason": "trimmed", "missed": 3},
            },
        }
        gap = opened(subscription()).receive(encode(Event(json.dumps(told), "resume", "e-4")))[0]
        assert (gap.missed, gap.reason) == (5, "trimmed")

    def test_an_event_that_happens_to_be_called_resume_is_delivered(self) -> None:
        assert opened(subscription()).receive(b"event: resume\ndata: go on\n\n") == [Message("go on", "resume")]


def test_a_message_reads_itself_as_json() -> None:
    read: Callable[[], Any] = Message('{"a":[1]}').json
    assert read() == {"a": [1]}
    with pytest.raises(ValueError, match="Expecting"):
        Message("a").json()
