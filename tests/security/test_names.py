"""Names in paths: a channel, a run, a file or a model is what its name says, and nothing is reached by another way."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.raw import Answer
from tests.support.server import Server

_JSON = {"accept": "application/json"}
_NAME = re.compile(r"[A-Za-z0-9._~:-]{1,128}")

_TRICKS = (
    *("..", ".", "%2e%2e", "%2e", "%2E%2e", "%252e%252e", "..%2f..%2fhealth", "a%2fb", "a%5cb", "a%00", "%00", "%0a"),
    *(
        "a%0d%0aSet-Cookie:%20x=1",
        "%ff",
        "%c3%a9",
        "%c0%ae%c0%ae",
        "%ef%bc%8e%ef%bc%8e",
        "%F0%9F%98%80",
        "%20a",
        "a%20",
    ),
    *("a;b=c", "a,b", "a*", "{a}", "%7b%7d", "a%3f", "a%23", "a%25", "a" * 129, "a" * 60_000, "%e2%80%ae", "%41%cc%81"),
)


def _look(server: Server, path: str) -> Answer:
    return server.ask("GET", path, _JSON)


@pytest.mark.parametrize("name", _TRICKS, ids=lambda name: name[:24])
def test_what_is_no_channels_name_is_refused_wherever_one_is_asked_for(server: Server, name: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        answer = server.ask(method, f"/events/{name}", _JSON, {"data": 1} if method == "POST" else b"")
        assert answer.status in {404, 422}, (method, answer)
    assert _look(server, f"/events?channel={name}").status in {404, 422} or name == "a;b=c"
    assert server.ask("POST", "/events", {}, {"events": [{"channel": name, "data": 1}]}).status == 422


@pytest.mark.parametrize(
    "path",
    ["/events/../health", "/events/x/../../metrics", "//health", "/health/", "/Health", "/./health", "/api//chat/x"],
)
def test_a_path_is_taken_as_it_is_and_leads_nowhere_else(server: Server, path: str) -> None:
    """Nothing is resolved or tidied up, so no rule of a proxy's about a path can be gone round."""
    assert _look(server, path).status == 404


@pytest.mark.parametrize(
    "name", [*_TRICKS, "app.py", "../app.py", "index.html%00.css", "__init__.py"], ids=lambda n: n[:24]
)
def test_no_file_but_a_pages_is_ever_sent(server: Server, name: str) -> None:
    for folder in ("/static", "/static/dashboard"):
        assert _look(server, f"{folder}/{name}").status == 404


@pytest.mark.parametrize("name", _TRICKS, ids=lambda name: name[:24])
def test_a_runs_or_responses_name_that_is_none_is_unknown(server: Server, name: str) -> None:
    for path in ("/api/chat/{}", "/v1/responses/{}", "/v1/responses/resp_{}"):
        assert _look(server, path.format(name)).status == 404
    assert server.ask("DELETE", f"/api/chat/{name}").status == 404


@given(name=st.text(min_size=1, max_size=12))
@settings(max_examples=150)
def test_a_name_in_a_query_is_a_channels_exactly_where_the_rule_says_so(opened: Server, name: str) -> None:
    encoded = "".join(f"%{byte:02x}" for byte in name.encode(errors="replace"))
    good = _NAME.fullmatch(name) is not None and name not in {".", ".."}
    assert (_look(opened, f"/events?channel={encoded}").status == 200) is good


def test_encoded_or_not_it_is_the_same_channel(server: Server) -> None:
    identity = server.publish("tricks-a.b", 1)
    answer = _look(server, "/events/%74ricks%2da%2Eb").json()
    assert (answer["channel"], answer["id"]) == ("tricks-a.b", identity)
