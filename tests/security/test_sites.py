"""Pages of other sites, and names that lead here: what a browser is made to ask by somebody else's page is refused.

The servers are as they come: one without any settings, which believes whoever reaches it, and one with credentials.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.support.identities import STREAM, Guarded
from tests.support.raw import ask
from tests.support.server import Server

_OTHERS: Mapping[str, Mapping[str, str]] = {
    "another site": {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
    "a page without an origin": {"origin": "null", "sec-fetch-site": "cross-site"},
    "an old browser": {"origin": "https://evil.example"},
    "a sibling": {"origin": "https://evil.test", "sec-fetch-site": "same-site"},
    "another port": {"origin": "http://test:81"},
    "no origin at all": {"sec-fetch-site": "cross-site"},
    "ours within another's name": {"origin": "http://test.evil.example"},
}
_ASKED = [
    ("POST", "/api/chat", {"message": "hi"}),
    ("GET", "/api/chat?message=hi", b""),
    ("DELETE", f"/api/chat/{'0' * 22}", b""),
    ("POST", "/v1/chat/completions", {"model": "demo", "messages": [{"role": "user", "content": "hi"}]}),
    ("POST", "/v1/responses", {"model": "demo", "input": "hi"}),
    ("POST", f"/v1/responses/{'0' * 22}/cancel", b""),
    ("POST", "/v1/messages", {"model": "demo", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}),
    ("POST", "/events/news", {"data": 1}),
    ("POST", "/events", {"events": [{"channel": "news", "data": 1}]}),
    ("DELETE", "/events/news", b""),
    ("POST", "/auth/ticket", {"path": "/events/news"}),
    ("POST", "/auth/session", b""),
    ("DELETE", "/auth/session", b""),
    ("POST", "/dashboard/cancel", {"run": "x"}),
    ("POST", "/dashboard/drain", {"instance": "x"}),
]


@pytest.mark.parametrize("who", _OTHERS.values(), ids=_OTHERS)
def test_nothing_is_started_or_changed_for_anothers_page(server: Server, who: Mapping[str, str]) -> None:
    """Also not by what needs no preflight: a form's POST, or text."""
    for method, target, body in _ASKED:
        for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
            answer = server.ask(method, target, {**STREAM, **who, "content-type": kind}, body)
            assert answer.status == 403, (method, target, answer)
            assert b"cross_site" in answer.body or b"other sites" in answer.body


@pytest.mark.parametrize("who", _OTHERS.values(), ids=_OTHERS)
def test_no_answer_tells_anothers_page_that_it_may_read_it(server: Server, who: Mapping[str, str]) -> None:
    """Without CORS the browser keeps what it is told to itself."""
    for method, target, body in [*_ASKED, ("GET", "/events/news?limit=1", b""), ("OPTIONS", "/api/chat", b"")]:
        headers = server.ask(method, target, {**who, "accept": "application/json"}, body).headers
        assert not [name for name in headers if name.startswith("access-control")]


def test_what_our_own_page_asks_is_answered(server: Server) -> None:
    for headers in ({"origin": "http://test", "sec-fetch-site": "same-origin"}, {"origin": "http://test"}, {}):
        assert server.ask("POST", "/events/news", headers, {"data": 1}).status == 200


@pytest.mark.parametrize(
    "host",
    [
        *(
            "evil.example",
            "evil.example:80",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost.",
            "[::1",
        ),
        *(
            "localhost@evil.example",
            "evil.example@localhost",
            "localhost/evil.example",
            "1.2.3",
            "127.1",
            "0x7f.1",
            "::1::",
        ),
    ],
)
def test_a_name_that_others_can_have_lead_here_is_not_answered_to(server: Server, host: str) -> None:
    """DNS rebinding: to the browser such a page is of our own origin."""
    for method, target, body in [("GET", "/health", b""), ("GET", "/", b""), *_ASKED]:
        answer = server.ask(method, target, {"host": host, "origin": f"http://{host}"}, body)
        assert answer.status == 400, (target, answer)
        assert b"host" in answer.body


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "a.localhost", "127.0.0.1:80", "[::1]:80", "10.0.0.9", "box"]
)
def test_names_that_nobody_else_has_are_answered_to(server: Server, host: str) -> None:
    assert server.ask("GET", "/health", {"host": host}).status == 200


@pytest.mark.parametrize("who", [*_OTHERS.values()], ids=_OTHERS)
def test_no_websocket_is_opened_for_anothers_page(server: Server, who: Mapping[str, str]) -> None:
    host, port = server.address
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://{host}:{port}/ws", additional_headers=who)
    assert refused.value.response.status_code == 403


def test_a_session_is_worth_nothing_to_anothers_page(guarded: Guarded) -> None:
    """Nor to a program that found it: the browser has to say that a page of ours asks."""
    answer = guarded.ask("POST", "/auth/session", {**guarded.key("boss"), "sec-fetch-site": "same-origin"})
    cookie = {"cookie": answer.headers["set-cookie"].partition(";")[0]}
    assert "httponly" in answer.headers["set-cookie"].lower()
    assert "samesite=strict" in answer.headers["set-cookie"].lower()
    ours = {**cookie, "accept": "application/json", "sec-fetch-site": "same-origin"}
    assert guarded.ask("GET", "/events/news", ours).status == 200
    for site in (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://app.example"},
        {},
    ):
        asked = {**cookie, "accept": "application/json", **site}
        assert guarded.ask("GET", "/events/news", asked).status == 401


def test_cors_is_for_those_who_are_named_and_never_with_cookies(guarded: Guarded) -> None:
    for origin, allowed in (("https://app.example", True), ("https://evil.example", False), ("null", False)):
        preflight = {"origin": origin, "access-control-request-method": "POST"}
        for method, headers in (("OPTIONS", preflight), ("GET", {"origin": origin, **guarded.key("web")})):
            told = guarded.ask(method, "/v1/models", headers).headers
            assert (told.get("access-control-allow-origin") == origin) is allowed
            assert "access-control-allow-credentials" not in told


def test_without_settings_only_this_machine_is_listened_to(server: Server) -> None:
    """An address of this machine that others reach is not the server's."""
    assert server.host == "127.0.0.1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: it only chooses the address that others see
        own = probe.getsockname()[0]
    if own.startswith("127."):
        pytest.skip("this machine has no other address")
    with pytest.raises(ConnectionRefusedError):
        ask((own, server.port), "GET", "/health")
