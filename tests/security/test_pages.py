"""What a browser is told about our answers: pages run their own scripts alone, and nothing else is ever a page."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from tests.support.identities import Guarded
from tests.support.raw import Answer
from tests.support.server import Server

_HTML = {"accept": "text/html"}
_JSON = {"accept": "application/json"}


def _directives(answer: Answer) -> dict[str, str]:
    policy = answer.headers["content-security-policy"]
    return {name: value for name, _, value in (each.strip().partition(" ") for each in policy.split(";"))}


def _pages(server: Server) -> list[Answer]:
    """All pages that there are without credentials, by the document."""
    paths = [
        path
        for path, methods in server.ask("GET", "/openapi.json").json()["paths"].items()
        if methods.get("get", {}).get("tags") == ["pages"] and "{" not in path
    ]
    assert "/" in paths
    return [server.ask("GET", path, _HTML) for path in paths]


def test_every_page_says_that_only_its_own_scripts_run(server: Server) -> None:
    for page in _pages(server):
        if page.status == 404:
            continue  # it is not served with these settings
        policy = _directives(page)
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == "'self'"
        assert policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert policy["form-action"] in {"'none'", "'self'"}
        assert not re.search(r"unsafe|https?:|\*", page.headers["content-security-policy"])
        assert page.headers["referrer-policy"] == "no-referrer"


class _Inline(HTMLParser):
    """Finds scripts, styles and handlers that stand in a page itself, and what it loads from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag == "style" or (tag == "script" and not said.get("src")):
            self.found.append(tag)
        for name, value in attrs:
            elsewhere = name in {"src", "href", "action"} and re.match(r"(?!data:image/)[a-z]+:|//", value or "")
            if name.startswith("on") or name == "style" or elsewhere:
                self.found.append(f"{tag} {name}={value}")


def test_no_page_has_a_script_or_a_style_in_it_or_loads_one_from_elsewhere(server: Server) -> None:
    for page in _pages(server):
        found = _Inline()
        found.feed(page.body.decode())
        assert found.found == []


def test_every_answer_says_that_it_is_what_it_says(server: Server) -> None:
    """Pages, files, JSON, problems, streams, and refusals that no application has seen."""
    for path in ("/", "/static/page.css", "/health", "/nope", "/openapi.json", "/metrics", "/events/x?limit=1"):
        answer = server.ask("GET", path, _JSON)
        assert answer.headers["x-content-type-options"] == "nosniff", path
    with server.connect() as raw:
        raw.request("GET", "/events/x")
        assert raw.head().headers["x-content-type-options"] == "nosniff"
    with server.connect() as raw:
        raw.send(b"no request\r\n\r\n")
        assert raw.head().headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/events/<script>alert(1)</script>", "/v1/models/<script>alert(1)</script>", "/<b>"])
def test_what_is_said_back_of_a_request_is_never_a_page(server: Server, path: str) -> None:
    answer = server.ask("GET", path, _HTML)
    assert answer.status in {404, 422}
    assert answer.headers["content-type"] in {"application/json", "application/problem+json"}


def test_what_is_published_is_never_a_page(server: Server) -> None:
    server.publish("pages", "<script>alert(1)</script>")
    assert server.ask("GET", "/events/pages", _JSON).headers["content-type"] == "application/json"
    with server.open("GET", "/events/pages?from=earliest", {"accept": "text/html, */*"}) as raw:
        assert raw.events(2)[1].data.startswith("<script>")


def test_a_page_that_may_not_be_seen_is_under_the_same_policy(guarded: Guarded) -> None:
    answer = guarded.ask("GET", "/dashboard", _HTML)
    assert answer.status == 401
    if answer.headers["content-type"].startswith("text/html"):
        assert _directives(answer)["script-src"] == "'self'"
