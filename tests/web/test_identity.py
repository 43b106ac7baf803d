"""Who is let in, and to what: keys, tokens, tickets and sessions at the real server's door."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import anthropic
import jwt
import openai
import pytest

from tests.support.identities import SECRET, STREAM, Guarded, bearer, token
from tests.support.issuer import KEYS, Issuer, published
from tests.support.raw import Answer
from tests.support.server import Server


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    with Guarded() as running:
        yield running
        assert "Traceback" not in running.server.said, running.server.said
        for secret in (*running.keys.values(), SECRET, "x" * 40):
            assert secret not in running.server.said


def refusal(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json()["code"]


# Being somebody.


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/api/chat"),
        ("GET", "/api/chat?message=Hi"),
        ("GET", "/api/chat/x"),
        ("DELETE", "/api/chat/x"),
        ("POST", "/v1/chat/completions"),
        ("GET", "/v1/models"),
        ("GET", "/v1/responses/x"),
        ("GET", "/events/news-1"),
        ("POST", "/events/news-1"),
        ("DELETE", "/events/news-1"),
        ("GET", "/events/doctor"),
        ("GET", "/api/chat/doctor"),
        ("POST", "/auth/ticket"),
        ("GET", "/auth/session"),
        ("GET", "/metrics"),
        ("GET", "/nowhere"),
    ],
)
def test_nobody_is_let_in_who_does_not_say_who_they_are(guarded: Guarded, method: str, target: str) -> None:
    answer = guarded.ask(method, target, STREAM)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="tailrace"'
    told = answer.json()
    assert "credential" in (told["error"]["message"] if target.startswith("/v1") else told["detail"])


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/static/chat.css", "/health", "/health/live", "/health/ready"),
        *("/doctor/stream", "/api/chat/doctor/stream", "/events/doctor/stream", "/v1/doctor/stream"),
    ],
)
def test_what_says_nothing_of_anybody_is_anybodys(guarded: Guarded, path: str) -> None:
    assert guarded.ask("GET", path).status in {200, 404}
    assert guarded.ask("GET", path, bearer("nonsense")).status in {200, 404}


def test_a_key_is_taken_from_either_header(guarded: Guarded) -> None:
    key = guarded.keys["web"]
    for headers in (bearer(key), {"authorization": f"bearer  {key} "}, {"x-api-key": key}):
        assert guarded.ask("GET", "/v1/models", headers).status == 200


@pytest.mark.parametrize(
    "presented",
    [
        "tr_nobody",
        "x" * 500,
        "a.b.c",
        "..",
        "Bearer",
        "ü",
        token("a", lasts=-1),
        token("a", iss="x"),
        token("a", aud=["x"]),
    ],
)
def test_a_credential_that_is_not_believed_lets_nobody_in(guarded: Guarded, presented: str) -> None:
    answer = guarded.ask("GET", "/events/news-1", bearer(presented))
    assert refusal(answer) == (401, "unauthorized")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert presented not in answer.body.decode()


@pytest.mark.parametrize("name", ["api_key", "access_token", "token", "key", "ticket", "X-API-Key"])
def test_a_credential_in_a_url_is_refused_whatever_else_is_sent(guarded: Guarded, name: str) -> None:
    key = guarded.keys["web"]
    for headers in ({}, bearer(key)):
        answer = guarded.ask("GET", f"/events/news-1?{name}={key}", headers)
        assert refusal(answer) == (401, "credential_in_url")
        assert key not in answer.body.decode()


def test_a_refusal_below_v1_is_in_the_words_of_its_api(guarded: Guarded) -> None:
    openai = guarded.ask("POST", "/v1/chat/completions", bearer("no"), {}).json()
    assert openai["error"]["code"] == "unauthorized"
    anthropic = guarded.ask("POST", "/v1/messages", {"x-api-key": "no"}, {}).json()
    assert anthropic["error"]["type"] == "authentication_error"
    forbidden = guarded.ask("POST", "/v1/messages", guarded.key("reader"), {})
    assert (forbidden.status, forbidden.json()["error"]["type"]) == (403, "permission_error")


def test_a_page_that_cors_allows_may_read_why_it_is_refused(guarded: Guarded) -> None:
    answer = guarded.ask("GET", "/events/news-1", {"origin": "https://app.example"})
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (401, "https://app.example")
    asked = {"access-control-request-method": "GET", "access-control-request-headers": "authorization,last-event-id"}
    preflight = guarded.ask("OPTIONS", "/events/news-1", {"origin": "https://app.example", **asked})
    assert preflight.status == 200
    assert "access-control-allow-credentials" not in preflight.headers


def test_the_sdks_say_who_they_are_as_they_are_used_to(guarded: Guarded) -> None:
    key, url = guarded.keys["web"], guarded.server.url
    hello: Any = [{"role": "user", "content": "Hi"}]
    with openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
        assert client.chat.completions.create(model="demo", max_tokens=2, messages=hello).choices
    with anthropic.Anthropic(base_url=url, api_key=key, max_retries=0) as claude:
        assert claude.messages.create(model="demo", max_tokens=2, messages=hello).content
    with openai.OpenAI(base_url=f"{url}/v1", api_key="tr_no") as client, pytest.raises(openai.AuthenticationError):
        client.models.list()
    with anthropic.Anthropic(base_url=url, api_key="tr_no") as claude, pytest.raises(anthropic.AuthenticationError):
        claude.models.list()


def test_a_websocket_is_refused_before_it_is_one(guarded: Guarded) -> None:
    handshake = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    for headers in ({}, bearer("tr_no")):
        with guarded.server.connect() as raw:
            raw.request("GET", "/ws", {**handshake, "sec-websocket-key": "x" * 22 + "==", **headers})
            head = raw.head()
        assert head.status == 401
        assert head.headers["www-authenticate"].startswith("Bearer")


# Being allowed to.


@pytest.mark.parametrize(
    ("who", "method", "target", "status"),
    [
        ("web", "GET", "/v1/models", 200),
        ("reader", "GET", "/v1/models", 403),
        ("reader", "POST", "/api/chat", 403),
        ("reader", "GET", "/events/news-1", 200),
        ("reader", "GET", "/events/other", 403),
        ("reader", "POST", "/events/news-1", 403),
        ("reader", "DELETE", "/events/news-1", 403),
        ("writer", "POST", "/events/news-1", 200),
        ("writer", "DELETE", "/events/news-1", 200),
        ("writer", "POST", "/events/other", 403),
        ("writer", "GET", "/events/news-1", 403),
        ("writer", "GET", "/events/writer-inbox", 200),
        ("writer", "GET", "/events/web-inbox", 403),
        ("web", "GET", "/metrics", 403),
        ("scraper", "GET", "/metrics", 200),
        ("scraper", "GET", "/events/news-1", 403),
        ("boss", "POST", "/events/other", 200),
        ("boss", "GET", "/metrics", 200),
    ],
)
def test_a_scope_allows_what_it_says_and_nothing_else(
    guarded: Guarded, who: str, method: str, target: str, status: int
) -> None:
    headers = {**guarded.key(who), "accept": "application/json"}
    answer = guarded.ask(method, target, headers, {"data": 1} if method == "POST" else b"")
    assert answer.status == status, answer


@pytest.mark.parametrize("subject", ["*", "a*", ".*", "a|news", "{sub}", "a\\", "[a-z]"])
def test_a_subject_is_a_text_in_a_pattern_and_never_a_pattern(guarded: Guarded, subject: str) -> None:
    who = {**bearer(token(subject, "subscribe:user-{sub}")), "accept": "application/json"}
    for channel in ("user-alice", "user-", "user-a", "user-ab", "user-x"):
        assert refusal(guarded.ask("GET", f"/events/{channel}", who)) == (403, "forbidden")


def test_each_user_has_a_channel_of_their_own(guarded: Guarded) -> None:
    alice = {**bearer(token("alice", "openid subscribe:user-{sub} subscribe: x:y")), "accept": "application/json"}
    assert guarded.ask("GET", "/events/user-alice", alice).status == 200
    assert guarded.ask("GET", "/events/user-alice2", alice).status == 403
    assert guarded.ask("GET", "/events/user-bob", alice).status == 403


# Runs.


def test_anothers_run_is_one_that_never_was(guarded: Guarded) -> None:
    run, ids = guarded.run(guarded.key("web"))
    nobody, other = "x" * 22, guarded.key("other")
    for method, headers in (("GET", STREAM), ("GET", {"accept": "application/json"}), ("DELETE", {})):
        theirs, nothing = (guarded.ask(method, f"/api/chat/{each}", {**other, **headers}) for each in (run, nobody))
        assert (theirs.status, theirs.body) == (nothing.status, nothing.body) == (404, theirs.body)
    for target in (f"/v1/responses/{run}", f"/v1/responses/resp_{run}?stream=true"):
        theirs, nothing = (guarded.ask("GET", target.replace(run, each), other) for each in (run, nobody))
        assert (theirs.status, theirs.body) == (nothing.status, nothing.body) == (404, theirs.body)
    cancelled = guarded.ask("POST", f"/v1/responses/{run}/cancel", other)
    assert cancelled.status == 404
    assert guarded.ask("GET", f"/api/chat/{run}", {**guarded.key("web"), "last-event-id": ids[1]}).status == 200


def test_a_cursor_of_anothers_run_brings_nothing_of_it_and_starts_nothing(guarded: Guarded) -> None:
    _, ids = guarded.run(guarded.key("web"))
    runs = guarded.ask("GET", "/health").json()["total_tokens"]
    for cursor in (ids[1], f"{'x' * 22}-1"):
        for method, target in (("POST", "/api/chat"), ("GET", "/api/chat?message=Hi")):
            body = {"message": "Hi"} if method == "POST" else b""
            answer = guarded.ask(method, target, {**guarded.key("other"), **STREAM, "last-event-id": cursor}, body)
            assert answer.status == 200
            said = answer.body.decode()
            assert '"reason":"unknown"' in said
            assert "caller_unknown_run" in said
            assert cursor.rpartition("-")[0] not in said
    assert guarded.ask("GET", "/health").json()["total_tokens"] == runs


def test_an_idempotency_key_is_the_callers_own(guarded: Guarded) -> None:
    runs = set()
    for name in ("web", "other"):
        for _ in range(2):
            headers = {**guarded.key(name), "idempotency-key": "the same"}
            with guarded.server.open("POST", "/api/chat", headers, {"message": "Hi", "max_tokens": 1}) as raw:
                runs.add((name, json.loads(raw.event().data)["run"]))
    assert len(runs) == 2
    assert len({run for _, run in runs}) == 2


def test_a_publishers_key_is_its_own_too(guarded: Guarded) -> None:
    event = {"data": 1, "idempotency_key": "the same"}
    ids = [
        guarded.ask("POST", "/events/news-1", guarded.key(name), event).json()["id"] for name in ("writer", "boss") * 2
    ]
    assert len(set(ids)) == 2
    assert ids[:2] == ids[2:]


def test_an_admin_reads_and_cancels_what_is_anothers(guarded: Guarded) -> None:
    run, _ = guarded.run(guarded.key("web"))
    state = guarded.ask("GET", f"/api/chat/{run}", {**guarded.key("boss"), "accept": "application/json"})
    assert (state.status, state.json()["status"]) == (200, "finished")
    assert guarded.ask("DELETE", f"/api/chat/{run}", guarded.key("boss")).status == 200


# Tickets.


def test_a_ticket_opens_its_path_and_no_other(guarded: Guarded) -> None:
    ticket = guarded.ticket(guarded.key("web"), "/events/news-1?event=tick&event=tock&x=a%20b")
    json_ = {"accept": "application/json"}
    for query in ("event=tick&event=tock&x=a+b", "x=a%20b&event=tick&event=tock&last_event_id=x-1"):
        assert guarded.ask("GET", f"/events/news-1?{query}&ticket={ticket}", json_).status == 200
    for other in (
        "/events/news-1",
        "/events/news-2?event=tick&event=tock&x=a%20b",
        "/events/news-1?event=tock&event=tick&x=a%20b",
    ):
        answer = guarded.ask("GET", f"/events/{other}{'&' if '?' in other else '?'}ticket={ticket}", json_)
        assert refusal(answer) == (401, "unauthorized")
        assert ticket not in answer.body.decode()


def test_a_ticket_reads_and_does_nothing_else(guarded: Guarded) -> None:
    ticket = guarded.ticket(guarded.key("boss"), "/events/news-1")
    for method in ("POST", "DELETE"):
        assert refusal(guarded.ask(method, f"/events/news-1?ticket={ticket}", body={"data": 1})) == (
            401,
            "unauthorized",
        )


def test_a_ticket_is_its_callers_whatever_comes_along(guarded: Guarded) -> None:
    target = f"/events/news-1?ticket={guarded.ticket(guarded.key('web'), '/events/news-1')}"
    for who, status in ((guarded.key("web"), 200), (guarded.key("other"), 401), (guarded.key("boss"), 401)):
        assert guarded.ask("GET", target, {**who, "accept": "application/json"}).status == status
    assert guarded.ask("GET", target, bearer("tr_no")).status == 401


def test_a_ticket_allows_no_more_than_its_caller(guarded: Guarded) -> None:
    ticket = guarded.ticket(guarded.key("reader"), "/events/other")
    assert refusal(guarded.ask("GET", f"/events/other?ticket={ticket}")) == (403, "forbidden")


def test_an_event_source_asks_and_comes_back_with_its_ticket(guarded: Guarded) -> None:
    path = "/api/chat?message=Say%20hello"
    target = f"{path}&ticket={guarded.ticket(guarded.key('web'), path)}"
    with guarded.server.open("GET", target, STREAM) as raw:
        first = raw.event()
    run = json.loads(first.data)["run"]
    with guarded.server.open("GET", target, {**STREAM, "last-event-id": first.id}) as raw:
        verdict, following = raw.events(2)
    assert json.loads(verdict.data)["recovered"]
    assert following.id == f"{run}-2"
    assert guarded.ask("GET", f"/api/chat/{run}", {**guarded.key("web"), "accept": "application/json"}).status == 200


@pytest.mark.parametrize("place", [0, 5, -44, -1])
def test_a_ticket_with_any_other_character_is_none(guarded: Guarded, place: int) -> None:
    ticket = guarded.ticket(guarded.key("web"), "/events/news-1")
    other = "A" if ticket[place] != "A" else "B"
    tampered = ticket[:place] + other + ticket[place:][1:]
    assert tampered != ticket
    assert guarded.ask("GET", f"/events/news-1?ticket={tampered}").status == 401


def test_others_watch_with_a_shared_ticket_and_cannot_cancel(guarded: Guarded) -> None:
    run, ids = guarded.run(guarded.key("web"))
    asked = {"run": run, "share": True}
    assert guarded.ask("POST", "/auth/ticket", guarded.key("other"), asked).status == 404
    answer = guarded.ask("POST", "/auth/ticket", guarded.key("web"), asked)
    ticket = answer.json()["ticket"]
    target = f"/api/chat/{run}?ticket={ticket}"
    assert b"[DONE]" in guarded.ask("GET", target, STREAM).body
    assert guarded.ask("GET", f"{target}&snapshot=1", STREAM).status == 200
    assert guarded.ask("GET", target, {**STREAM, "last-event-id": ids[-1]}).status == 204
    assert guarded.ask("DELETE", target).status == 401
    other, _ = guarded.run(guarded.key("web"))
    assert guarded.ask("GET", f"/api/chat/{other}?ticket={ticket}", STREAM).status == 401
    assert guarded.ask("GET", f"/events/news-1?ticket={ticket}", STREAM).status == 401


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"path": "events"},
        {"path": "//x/y"},
        {"path": "/a#b"},
        {"run": "x"},
        {"path": "/a", "run": "x"},
        {"share": True},
    ],
)
def test_a_ticket_is_for_one_thing(guarded: Guarded, body: dict[str, object]) -> None:
    assert guarded.ask("POST", "/auth/ticket", guarded.key("web"), body).status == 422


# The end of a credential.


def test_streams_end_with_the_token_that_opened_them_and_nothing_opens_any_after(guarded: Guarded) -> None:
    who = bearer(token("alice", exp=time.time() + 2.5))
    target = f"/events/news-1?ticket={guarded.ticket(who, '/events/news-1')}"
    ready = None
    with guarded.server.open("GET", "/events/news-1", who) as one, guarded.server.open("GET", target) as other:
        for raw in (one, other):
            ready, goodbye = raw.rest()
            assert raw.complete
            assert (ready.event, goodbye.event, goodbye.id) == ("ready", "reconnect", ready.id)
            assert json.loads(goodbye.data) == {"reason": "expired"}
            assert goodbye.retry is not None
            assert 500 <= goodbye.retry <= 3000
    assert refusal(guarded.ask("GET", "/events/news-1", who)) == (401, "unauthorized")
    for cursor in ({}, {"last-event-id": ready.id if ready is not None else ""}):
        assert refusal(guarded.ask("GET", target, cursor)) == (401, "unauthorized")


# An issuer that publishes its keys.


def test_keys_rotate_while_the_server_runs_and_a_secret_of_theirs_is_none() -> None:
    with Issuer() as issuer:
        settings = f'[auth]\nrequired = true\njwt = {{ algorithm = "RS256", jwks_url = "{issuer.url}" }}\n'
        with Server(settings) as server:

            def status(kid: str, key: object, algorithm: str = "RS256") -> int:
                claims = {"sub": "alice", "scope": "chat", "exp": int(time.time()) + 60}
                presented = jwt.encode(claims, key, algorithm, {"kid": kid})  # type: ignore[arg-type]
                return server.ask("GET", "/v1/models", bearer(presented)).status

            assert status("old", KEYS["old"]) == 200
            assert status("old", KEYS["new"]) == 401
            issuer.body = published("new")
            assert status("new", KEYS["new"]) == 200
            assert status("old", KEYS["old"]) == 401
            numbers = KEYS["new"].public_key().public_numbers().n
            assert status("new", numbers.to_bytes(256, "big"), "HS256") == 401
        issuer.status = 503
        with Server(settings) as server:
            answer = server.ask("GET", "/v1/models", bearer(token("alice")))
            assert answer.status == 401, "a token of another algorithm is none, whatever the keys"
            assert status("new", KEYS["new"]) == 503
            server.wait_said("could not be fetched")
