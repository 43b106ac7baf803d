"""The session of our own pages, and what `/auth` says where nothing is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import pytest

from tests.support.identities import Guarded, bearer, token
from tests.support.raw import Answer
from tests.support.server import Server

OURS = {"sec-fetch-site": "same-origin"}


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    with Guarded() as running:
        yield running


def sign_in(guarded: Guarded, headers: Mapping[str, str]) -> Answer:
    return guarded.ask("POST", "/auth/session", {**OURS, **headers})


def cookie(answer: Answer) -> dict[str, str]:
    return {"cookie": f"other=1; {answer.headers['set-cookie'].partition(';')[0]}"}


def test_a_page_signs_in_and_is_the_caller_from_then_on(guarded: Guarded) -> None:
    answer = sign_in(guarded, guarded.key("web"))
    assert (answer.status, answer.json()["name"], answer.json()["scopes"]) == (200, "key:web", ["chat", "subscribe:*"])
    flags = {flag.strip().lower() for flag in answer.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/", "max-age=43200"} <= flags
    assert "secure" not in flags
    signed_in = {**OURS, **cookie(answer)}
    assert guarded.ask("GET", "/auth/session", signed_in).json()["name"] == "key:web"
    with guarded.server.open("POST", "/api/chat", signed_in, {"message": "Hi", "max_tokens": 1}) as raw:
        run = json.loads(raw.rest()[0].data)["run"]
    assert guarded.ask("GET", f"/api/chat/{run}", {**guarded.key("web"), "accept": "application/json"}).status == 200
    assert guarded.ask("GET", f"/api/chat/{run}", {**guarded.key("other"), "accept": "application/json"}).status == 404


def test_over_https_a_session_stays_there(guarded: Guarded) -> None:
    answer = sign_in(guarded, {**guarded.key("web"), "x-forwarded-proto": "https"})
    assert "secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize(
    "site",
    [
        {},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "https://app.example", "sec-fetch-site": "cross-site"},
    ],
)
def test_a_session_is_for_pages_of_ours_alone(guarded: Guarded, site: dict[str, str]) -> None:
    signed_in = cookie(sign_in(guarded, guarded.key("boss")))
    for method, target in (("GET", "/events/news"), ("DELETE", "/events/news"), ("POST", "/auth/ticket")):
        assert guarded.ask(method, target, {**signed_in, **site}).status == 401


def test_an_old_browser_names_the_page_instead(guarded: Guarded) -> None:
    signed_in = cookie(sign_in(guarded, guarded.key("web")))
    headers = {**signed_in, "host": "localhost:1", "origin": "http://localhost:1"}
    assert guarded.ask("GET", "/v1/models", headers).status == 200
    assert guarded.ask("GET", "/v1/models", {**headers, "origin": "http://localhost:2"}).status == 401


@pytest.mark.parametrize("value", ["", "x", "a.b", "tr_x", '"', "x; x"])
def test_a_session_that_is_none_is_like_none_and_can_be_signed_out(guarded: Guarded, value: str) -> None:
    headers = {**OURS, "cookie": f"tailrace_session={value}"}
    assert guarded.ask("GET", "/auth/session", headers).status == 401
    assert guarded.ask("GET", "/v1/models", {**headers, **guarded.key("web")}).status == 200
    answer = guarded.ask("DELETE", "/auth/session", headers)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["set-cookie"].startswith('tailrace_session=""; ')
    assert "max-age=0" in answer.headers["set-cookie"].lower()


def test_a_session_is_not_renewed_by_itself_and_ends_with_its_token(guarded: Guarded) -> None:
    answer = sign_in(guarded, bearer(token("alice", lasts=100)))
    assert sign_in(guarded, cookie(answer)).status == 401
    age = next(flag for flag in answer.headers["set-cookie"].split("; ") if flag.lower().startswith("max-age"))
    assert 90 <= int(age.partition("=")[2]) <= 100


def test_signing_in_is_refused_to_pages_of_others_and_to_nobody(guarded: Guarded) -> None:
    answer = guarded.ask("POST", "/auth/session", {**guarded.key("web"), "sec-fetch-site": "cross-site"})
    assert answer.status == 403
    assert "set-cookie" not in answer.headers
    assert sign_in(guarded, {}).status == 401


def test_a_ticket_of_a_page_that_is_signed_in_is_its_callers(guarded: Guarded) -> None:
    signed_in = {**OURS, **cookie(sign_in(guarded, guarded.key("reader")))}
    for path, status in (("/events/news-1", 200), ("/events/other", 403)):
        ticket = guarded.ticket(signed_in, path)
        assert guarded.ask("GET", f"{path}?ticket={ticket}", {"accept": "application/json"}).status == status


# Where nothing is asked for.


def test_without_settings_everybody_is_let_in_whatever_they_present() -> None:
    with Server() as server:
        for headers in ({}, bearer("sk-anything"), {"x-api-key": "y"}):
            assert server.ask("GET", "/v1/models", headers).status == 200
            assert server.ask("GET", "/events/news?token=x", {**headers, "accept": "application/json"}).status == 200
        told = server.ask("GET", "/auth/session").json()
        assert (told["name"], told["scopes"]) == (None, ["admin"])
        ticket = server.ask("POST", "/auth/ticket", body={"path": "/events/news"}).json()["ticket"]
        target = f"/events/news?ticket={ticket}"
        assert server.ask("GET", target, {"accept": "application/json"}).status == 200
        assert server.ask("POST", "/auth/session", OURS).headers.get("set-cookie") is None
        assert "only this machine is listened to" in server.said


def test_who_need_not_say_who_they_are_says_it_truly_or_not_at_all() -> None:
    with Guarded(required=False) as guarded:
        assert guarded.ask("GET", "/v1/models").status == 200
        assert guarded.ask("GET", "/v1/models", bearer("tr_x")).status == 401
        assert guarded.ask("GET", "/v1/models", guarded.key("reader")).status == 403
        run, _ = guarded.run(guarded.key("web"))
        nobodys, _ = guarded.run({})
        for each, status in ((run, 404), (nobodys, 200)):
            assert guarded.ask("GET", f"/api/chat/{each}", {"accept": "application/json"}).status == status
            assert guarded.ask("DELETE", f"/api/chat/{each}").status == status
