"""How the server is found: over redirects, with what credentials, and what is said where it is not."""

from __future__ import annotations

import json

import pytest

from tailrace.client.doctor import NotExamined, Visit, examine
from tests.support.scripted import Reply, ScriptedServer, Seen, problem, stream

pytestmark = pytest.mark.anyio

SEEN = {"tailrace": "1.0", "http": "1.1", "headers": {}, "credentials": [], "heartbeat": 15, "max_body": 10}


def probe(seen: Seen) -> Reply:
    """What a Tailrace answers; a body is not counted."""
    echo = seen.target.rpartition("echo=")[2]
    return stream(f"event: probe\ndata: {json.dumps({**SEEN, 'echo': echo})}\n\n".encode())


def redirect(url: str) -> Reply:
    return Reply(308, {"location": url})


async def refusal(*replies: Reply) -> str:
    with ScriptedServer(*replies) as server, pytest.raises(NotExamined) as refused:
        await examine(Visit(server.url, quiet=0, flood=0))
    return str(refused.value)


async def test_a_redirect_is_followed_and_what_it_leads_to_is_examined_without_our_key() -> None:
    with ScriptedServer(*[probe] * 20) as there, ScriptedServer(redirect(f"{there.url}/x/doctor/stream?a=b")) as here:
        report = await examine(Visit(here.url, key="secret", quiet=0, flood=0))
        assert report.url == f"{there.url}/x"
    assert here.seen[0].headers["authorization"] == "Bearer secret"
    assert not [each for each in there.seen if each.headers.keys() & {"authorization", "x-api-key"}]
    assert next(each.check for each in report.findings if each.level == "hint") == "redirect"


async def test_the_url_may_have_a_path_of_its_own() -> None:
    with ScriptedServer(*[probe] * 20) as server:
        await examine(Visit(f"{server.url}/tail/", quiet=0, flood=0))
    asked = {each.target.partition("?")[0] for each in server.seen}
    assert asked == {
        "/tail/doctor/stream",
        "/tail/doctor/body",
        "/tail/api/chat/doctor/stream",
        "/tail/events/doctor/stream",
        "/tail/v1/doctor/stream",
    }


async def test_a_server_that_is_gone_in_the_middle_is_not_examined() -> None:
    with ScriptedServer(probe) as server, pytest.raises(NotExamined) as refused:
        await examine(Visit(server.url, quiet=0, flood=0))
    assert "answered at first, and then 418" in str(refused.value)


async def test_paths_that_lead_to_another_server_are_named() -> None:
    def elsewhere(seen: Seen) -> Reply:
        return problem(404, "not_found") if seen.target.startswith("/v1/") else probe(seen)

    with ScriptedServer(*[elsewhere] * 20) as server:
        report = await examine(Visit(server.url, quiet=0, flood=0))
    assert [each.said for each in report.findings if each.check == "paths"] == [
        "what is below /v1 (404) does not come from this server"
    ]


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (problem(404, "not_found", server="nginx/1.22.1"), "is no Tailrace: the nginx/1.22.1 there answers 404 with"),
        (stream(b"data: hello\n\n"), "is no Tailrace: what is there answers 200 with text/event-stream"),
        (stream(b"event: probe\ndata: {}\n\n"), "is no Tailrace"),
        (stream(b"event: probe\ndata: nonsense\n\n"), "is no Tailrace"),
        (problem(401, "no"), "asks for credentials"),
        (problem(400, "unknown_host"), "allowed_hosts"),
        (problem(503, "doctor_busy"), "too many examinations at once"),
        (problem(500, "no"), "is no Tailrace, or nothing reaches it"),
        (Reply(0, then="reset"), "did not answer: "),
        (redirect("/login"), "a page to sign in on?"),
        (redirect(""), "redirects without end, or to nowhere"),
        (redirect("ftp://x/"), "redirects without end, or to nowhere"),
    ],
)
async def test_where_it_is_no_tailrace_it_is_said_what_it_was(reply: Reply, told: str) -> None:
    assert told in await refusal(reply, problem(404, "not_found"))


async def test_redirects_in_a_circle_end() -> None:
    assert "redirects without end" in await refusal(*[redirect("/doctor/stream")] * 9)
