"""What is another caller's: whoever knows its ids, cursors, keys and tickets learns no more than of what never was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from websockets.sync.client import connect

from tailrace.access.caller import Caller, anyone_at
from tailrace.access.grants import EVERYTHING
from tailrace.web.idempotency import own_key
from tests.support.identities import STREAM, Guarded, token
from tests.support.raw import Answer

_JSON = {"accept": "application/json"}
_NOBODYS = "0" * 22
"""An id as they are made, of no run."""


@dataclass(frozen=True, slots=True)
class _Theirs:
    """An answer of the caller `web`: its id, and the ids of its events."""

    run: str
    cursors: list[str]


@pytest.fixture(scope="module")
def theirs(closed: Guarded) -> _Theirs:
    """An answer that has ended."""
    return _Theirs(*closed.run(closed.key("web"), "a secret between us"))


@pytest.fixture(scope="module")
def response(closed: Guarded) -> str:
    """A response of the caller `web`."""
    body = {"model": "demo", "input": "a secret between us", "max_output_tokens": 16}
    answer = closed.ask("POST", "/v1/responses", closed.key("web"), body)
    assert answer.status == 200
    return str(answer.json()["id"])


def _whoever(guarded: Guarded) -> Mapping[str, dict[str, str]]:
    """Callers who have every right but to what is another's."""
    return {"a key": guarded.key("other"), "a subject": {"authorization": f"Bearer {token('key:web')}"}}


def _same(mine: Answer, nobodys: Answer, name: str) -> None:
    """One answer is the other, but for the name that was asked for, the time, and ids drawn for this answer alone."""
    assert mine.status == nobodys.status
    assert set(mine.headers) == set(nobodys.headers)
    assert mine.body.replace(name.encode(), b"") == nobodys.body.replace(_NOBODYS.encode(), b"")


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        ("GET", "/api/chat/{}", _JSON),
        ("GET", "/api/chat/{}", STREAM),
        ("GET", "/api/chat/{}?snapshot=1", STREAM),
        ("GET", "/api/chat/{}?last_event_id={}-2", STREAM),
        ("DELETE", "/api/chat/{}", _JSON),
        ("GET", "/v1/responses/{}", _JSON),
        ("GET", "/v1/responses/resp_{}", _JSON),
        ("GET", "/v1/responses/{}?stream=true&starting_after=0", STREAM),
        ("POST", "/v1/responses/resp_{}/cancel", _JSON),
        ("GET", "/api/ai-sdk/chat/{}/stream", STREAM),
    ],
)
def test_anothers_run_is_answered_like_one_that_never_was(
    guarded: Guarded, theirs: _Theirs, method: str, target: str, headers: Mapping[str, str]
) -> None:
    for who in _whoever(guarded).values():
        asked = [guarded.ask(method, target.format(run, run), {**who, **headers}) for run in (theirs.run, _NOBODYS)]
        assert asked[0].status in {204, 404}
        _same(asked[0], asked[1], theirs.run)


def test_anothers_response_is_answered_like_one_that_never_was(guarded: Guarded, response: str) -> None:
    for who in _whoever(guarded).values():
        for method, target in (("GET", "/v1/responses/{}"), ("POST", "/v1/responses/{}/cancel")):
            mine, nobodys = (guarded.ask(method, target.format(name), who) for name in (response, f"resp_{_NOBODYS}"))
            assert mine.status == 404
            _same(mine, nobodys, response)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_cursor_of_anothers_run_gets_what_an_unknown_one_gets(guarded: Guarded, theirs: _Theirs, method: str) -> None:
    """The verdict, an error and the end; nothing of the answer, and no new one."""
    for who in _whoever(guarded).values():
        told = []
        for cursor in (*theirs.cursors, f"{_NOBODYS}-3"):
            headers = {**who, **STREAM, "last-event-id": cursor}
            target, body = ("/api/chat?message=x", b"") if method == "GET" else ("/api/chat", {"message": "x"})
            with guarded.server.open(method, target, headers, body) as raw:
                told.append([(event.event, json.loads(event.data)) for event in raw.rest() if event.data != "[DONE]"])
        assert all(each == told[-1] for each in told)
        assert [event for event, _ in told[-1]] == ["resume", "error"]


def test_a_run_is_no_channel(guarded: Guarded, theirs: _Theirs) -> None:
    """Its id and its cursors name nothing among channels, whoever asks."""
    for who in (*_whoever(guarded).values(), guarded.key("web")):
        seen = guarded.ask("GET", f"/events/{theirs.run}?last_event_id={theirs.cursors[1]}", {**who, **_JSON}).json()
        assert (seen["events"], seen["resume"]["reason"]) == ([], "unknown")
        cursor = f"{theirs.cursors[1]}.{theirs.cursors[2]}"
        both = guarded.ask("GET", f"/events?channel=a&channel=b&last_event_id={cursor}", {**who, **_JSON})
        assert [each["events"] for each in both.json()["channels"].values()] == [[], []]


def test_a_key_that_another_has_used_starts_a_run_of_ones_own(guarded: Guarded) -> None:
    runs = set()
    for who in ("web", "other"):
        headers = {**guarded.key(who), "idempotency-key": "the-same"}
        body = {"message": f"I am {who}", "max_tokens": 1}
        with guarded.server.open("POST", "/api/chat", headers, body) as raw:
            runs.add(raw.event().id)
    assert len(runs) == 2


def test_a_publishers_key_that_another_has_used_publishes_all_the_same(guarded: Guarded) -> None:
    body = {"data": 1, "idempotency_key": "the-same"}
    callers = (guarded.key("writer"), {"authorization": f"Bearer {token('w2', 'publish:news-*')}"})
    answers = [guarded.ask("POST", "/events/news-keys", who, body) for who in (*callers, *callers)]
    ids = [answer.json()["id"] for answer in answers]
    assert (len(set(ids)), ids[:2]) == (2, ids[2:])


def test_whoever_says_not_who_they_are_cannot_make_up_anothers_key() -> None:
    """What they have published under it would be taken for what the other is about to publish."""
    alice = Caller(owner="sub:alice", name="sub:alice", address="::1", grants=EVERYTHING)
    assert own_key("1", alice) not in {
        own_key(key, anyone_at("::1")) for key in ("1", "sub:alice\n1", "\nsub:alice\n1")
    }


def test_nobody_shares_what_is_not_theirs(guarded: Guarded, theirs: _Theirs) -> None:
    for who in _whoever(guarded).values():
        for run in (theirs.run, _NOBODYS):
            assert guarded.ask("POST", "/auth/ticket", who, {"run": run, "share": True}).status == 404


def test_a_ticket_opens_its_own_path_and_no_other(guarded: Guarded, theirs: _Theirs) -> None:
    """Neither by another spelling of the path, nor by more, fewer or other fields of its query."""
    ticket = guarded.ticket(guarded.key("web"), "/events/news?event=a")
    assert guarded.ask("GET", f"/events/news?event=a&ticket={ticket}", _JSON).status == 200
    for target in (
        "/events/news?ticket={}",
        "/events/news?event=b&ticket={}",
        "/events/news?event=a&event=b&ticket={}",
        "/events/news?event=a&from=earliest&ticket={}",
        "/events/newsx?event=a&ticket={}",
        "/events?channel=news&event=a&ticket={}",
        f"/api/chat/{theirs.run}?ticket={{}}",
        "/events/news?event=a&ticket={}x",
        "/events/news?event=a&ticket=x{}",
        "/events/news?event=a&ticket={}&ticket=x",
    ):
        assert guarded.ask("GET", target.format(ticket), _JSON).status == 401, target
    for method in ("POST", "DELETE"):
        assert guarded.ask(method, f"/events/news?event=a&ticket={ticket}", {}, {"data": 1}).status == 401


def test_a_ticket_is_no_credential(guarded: Guarded) -> None:
    """Nor is a session, nor a ticket a session: each is signed for its own purpose."""
    ticket = guarded.ticket(guarded.key("web"), "/events/news")
    session = guarded.ask("POST", "/auth/session", {**guarded.key("web"), "sec-fetch-site": "same-origin"})
    cookie = session.headers["set-cookie"].partition(";")[0].partition("=")[2]
    own = {**_JSON, "sec-fetch-site": "same-origin"}
    assert guarded.ask("GET", "/events/news", {**own, "cookie": f"tailrace_session={cookie}"}).status == 200
    for headers, query in (
        ({"authorization": f"Bearer {ticket}"}, ""),
        ({"authorization": f"Bearer {cookie}"}, ""),
        ({"cookie": f"tailrace_session={ticket}"}, ""),
        ({}, f"?ticket={cookie}"),
    ):
        assert guarded.ask("GET", f"/events/news{query}", {**own, **headers}).status == 401


def test_over_a_websocket_anothers_run_is_answered_like_one_that_never_was(guarded: Guarded, theirs: _Theirs) -> None:
    host, port = guarded.server.address
    for who in _whoever(guarded).values():
        with connect(f"ws://{host}:{port}/ws", additional_headers=who) as socket:
            for kind in ("attach", "cancel"):
                told = []
                for run in (theirs.run, _NOBODYS):
                    payload = {"run": run, "last_event_id": f"{run}-1"} if kind == "attach" else {"run": run}
                    socket.send(json.dumps({"type": kind, "id": 1, "payload": payload}))
                    told.append(json.loads(socket.recv(10)))
                assert told[0]["type"] == "error"
                assert told[0] == told[1]
