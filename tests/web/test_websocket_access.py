"""Who may open a WebSocket, what they may do over it, and how much: as over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tailrace.access.keys import hash_of
from tests.support.hosted import until
from tests.support.identities import Guarded, bearer, token
from tests.support.server import Server
from tests.support.websocket import HANDSHAKE, Talk


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    with Guarded() as running:
        yield running
        assert "Traceback" not in running.server.said, running.server.said
        assert "without completing" not in running.server.said, running.server.said


def talk(guarded: Guarded, who: Mapping[str, str]) -> Talk:
    return Talk(guarded.server.address, who)


def shake(guarded: Guarded, headers: Mapping[str, str], target: str = "/ws") -> tuple[int, Mapping[str, str], Any]:
    """A handshake's status and headers, and what is said where it is refused."""
    with guarded.server.connect() as raw:
        raw.request("GET", target, {**HANDSHAKE, **headers})
        head = raw.head()
        return head.status, head.headers, None if head.status == 101 else raw.read()


@pytest.mark.parametrize("headers", [{}, bearer("wrong"), {"x-api-key": "wrong"}, {"cookie": "tailrace_session=x"}])
def test_nobody_opens_one_who_is_not_believed(guarded: Guarded, headers: dict[str, str]) -> None:
    status, told, said = shake(guarded, headers)
    assert status == 401
    assert told["www-authenticate"].startswith("Bearer")
    assert told["content-type"] == "application/problem+json"
    assert json.loads(said)["code"] == "unauthorized"


def test_a_key_or_a_token_opens_one_by_either_header(guarded: Guarded) -> None:
    for headers in (guarded.key("web"), {"x-api-key": guarded.keys["web"]}, bearer(token("alice"))):
        with talk(guarded, headers) as socket:
            assert socket.ask("ping")["type"] == "pong"


def test_a_ticket_opens_one_as_browsers_need_it(guarded: Guarded) -> None:
    ticket = guarded.ticket(guarded.key("reader"), "/ws")
    with Talk(guarded.server.address, path=f"/ws?ticket={ticket}") as socket:
        assert socket.ask("subscribe", {"channel": "news-1"})["type"] == "subscribed"
        assert socket.ask("subscribe", {"channel": "secrets"})["code"] == "forbidden"
    other = guarded.ticket(guarded.key("reader"), "/events/news-1")
    assert shake(guarded, {}, f"/ws?ticket={other}")[0] == 401


def test_a_session_opens_one_for_our_own_pages_alone(guarded: Guarded) -> None:
    cookie = guarded.ask("POST", "/auth/session", guarded.key("web")).headers["set-cookie"].partition(";")[0]
    assert shake(guarded, {"cookie": cookie, "origin": "http://test"})[0] == 101
    assert shake(guarded, {"cookie": cookie, "origin": "http://test", "sec-fetch-site": "same-origin"})[0] == 101
    assert shake(guarded, {"cookie": cookie, "origin": "https://evil.example"})[0] in {401, 403}
    # What CORS allows is to ask with a credential of one's own, not to ride on the user's.
    assert shake(guarded, {"cookie": cookie, "origin": "https://app.example"})[0] == 401


@pytest.mark.parametrize(
    ("who", "type_", "payload"),
    [
        ("reader", "subscribe", {"channel": "other"}),
        ("reader", "publish", {"channel": "news-1", "data": 1}),
        ("writer", "publish", {"channel": "other", "data": 1}),
        ("reader", "chat", {"message": "Hi"}),
    ],
)
def test_what_a_credential_does_not_allow_is_refused(
    guarded: Guarded, who: str, type_: str, payload: dict[str, Any]
) -> None:
    with talk(guarded, guarded.key(who)) as socket:
        said = socket.ask(type_, payload)
        assert (said["type"], said["code"]) == ("error", "forbidden")
        assert "scope" in said["message"]
        assert socket.ask("ping")["type"] == "pong"


def test_a_run_is_its_callers_and_to_others_not_there(guarded: Guarded) -> None:
    with talk(guarded, guarded.key("web")) as owner, talk(guarded, guarded.key("other")) as other:
        run = owner.ask("chat", {"message": "Hi"})["run"]
        unknown = other.ask("attach", {"run": "x" * 22})
        for type_ in ("attach", "cancel"):
            refused = other.ask(type_, {"run": run})
            assert {**refused, "id": 0} == {**unknown, "id": 0}
        with talk(guarded, guarded.key("boss")) as boss:
            assert boss.ask("attach", {"run": run})["type"] == "attached"
        assert owner.ask("cancel", {"run": run})["payload"]["status"] == "cancelled"


def test_the_end_of_a_credential_is_told_and_ends_the_connection(guarded: Guarded) -> None:
    before = guarded.server.health()["active_streams"]
    with talk(guarded, bearer(token("alice", exp=time.time() + 2))) as socket:
        socket.ask("subscribe", {"channel": "news-1"})
        code, reason, said = socket.closed()
    assert (code, reason) == (4401, "expired")
    assert [each["event"] for each in said] == ["ready", "reconnect"]
    goodbye = said[-1]
    assert goodbye == {"type": "event", "event": "reconnect", "data": {"reason": "expired"}, "retry": goodbye["retry"]}
    assert 500 <= goodbye["retry"] <= 3000
    until(lambda: guarded.server.health()["active_streams"] == before)


# Limits.


@pytest.fixture(scope="module")
def limited() -> Iterator[tuple[Server, dict[str, str]]]:
    bounds: dict[str, dict[str, int]] = {
        "requests": {"requests_per_minute": 3},
        "messages": {"requests_per_minute": 1},
        "streams": {"concurrent_streams": 2},
        "tokens": {"tokens_per_minute": 1},
    }
    secrets = {name: f"tr_{name}{'x' * 40}" for name in bounds}
    keys = ", ".join(
        f'{{ name = "{name}", hash = "{hash_of(secrets[name])}", scopes = ["admin"], '
        f"limits = {{ {next(iter(each))} = {next(iter(each.values()))} }} }}"
        for name, each in bounds.items()
    )
    with Server(f"[auth]\nkeys = [{keys}]\n") as server:
        yield server, secrets
        assert "Traceback" not in server.said


def as_(limited: tuple[Server, dict[str, str]], name: str) -> Talk:
    server, secrets = limited
    return Talk(server.address, bearer(secrets[name]))


def test_messages_count_as_the_requests_that_they_stand_for(limited: tuple[Server, dict[str, str]]) -> None:
    with as_(limited, "requests") as talk:
        for number in range(3):
            assert talk.ask("publish", {"channel": "c", "data": number})["type"] == "published"
        refused = talk.ask("publish", {"channel": "c", "data": 3})
        assert (refused["code"], refused["retry_after"]) == ("rate_limited", 20)
        assert talk.ask("ping")["type"] == "pong"


def test_messages_that_cost_little_are_bounded_too_and_so_are_handshakes(
    limited: tuple[Server, dict[str, str]],
) -> None:
    with as_(limited, "messages") as talk:
        answers = [talk.ask(type_) for type_ in ("ping", "nonsense", "subscribe") * 4]
    codes = [answer.get("code", answer["type"]) for answer in answers]
    # The handshake was the tenth.
    assert codes == ["pong", "unknown_type", "invalid_payload"] * 3 + ["rate_limited"] * 3
    server, secrets = limited
    answer = server.ask("GET", "/ws", {**HANDSHAKE, **bearer(secrets["messages"])})
    assert (answer.status, json.loads(answer.body)["code"]) == (429, "rate_limited")
    assert int(answer.headers["retry-after"]) > 0


def test_streams_count_until_they_are_over(limited: tuple[Server, dict[str, str]]) -> None:
    with as_(limited, "streams") as talk, as_(limited, "streams") as other:
        talk.ask("subscribe", {"channel": "a"})
        other.ask("subscribe", {"channel": "a"})
        assert talk.ask("subscribe", {"channel": "b"})["code"] == "too_many_streams"
        assert talk.ask("chat", {"message": "Hi"})["code"] == "too_many_streams"
        other.ask("unsubscribe", {"channel": "a"})
        assert talk.ask("chat", {"message": "Hi", "max_tokens": 2})["type"] == "started"
        talk.events("done")
        assert talk.ask("subscribe", {"channel": "b"})["type"] == "subscribed"
        talk.ask("subscribe", {"channel": "not a name"})
    with as_(limited, "streams") as talk:
        until(lambda: talk.ask("subscribe", {"channel": "a"})["type"] == "subscribed")


def test_an_answer_is_charged_to_whoever_asked_for_it(limited: tuple[Server, dict[str, str]]) -> None:
    with as_(limited, "tokens") as talk:
        talk.ask("chat", {"message": "Hi"})
        error = [each for each in talk.events("done") if each["event"] == "error"]
        assert error[0]["data"]["error"]["type"] == "policy_token_budget"
        assert talk.ask("chat", {"message": "Hi"})["code"] == "token_budget"
