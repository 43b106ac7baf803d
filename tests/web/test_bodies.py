"""Bad input of every kind: a clear problem with its code, and a server that goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.backed import Backed

STREAM = {"accept": "text/event-stream"}
JSON = {"content-type": "application/json"}


def refused(backed: Backed, path: str, body: Any, status: int, code: str, *, kind: str = "application/json") -> None:
    answer = backed.server.ask("POST", path, {"content-type": kind}, body)
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert (answer.status, said["code"]) == (status, code), said
    assert said["status"] == status
    assert said["title"]
    assert said["detail"]
    assert not backed.seen


@pytest.mark.parametrize(("path", "field"), [("/api/chat", b"message"), ("/events/bad", b"data")])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"field":"a"} trailing',
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
        b'{"field":"\xff"}',
        b'{"field":"\\ud800"}',
        b'{"field":"\\udc00 and more of it"}',
        b'{"field":"\n"}',
        b'{"field":NaN}',
        b'{"field":-Infinity}',
        b'{"field":01}',
        b"\0" * 10,
    ],
    ids=lambda body: str(body[:24]),
)
def test_what_is_no_json_is_malformed(backed: Backed, path: str, field: bytes, body: bytes) -> None:
    refused(backed, path, body.replace(b"field", field), 400, "malformed")


@pytest.mark.parametrize("body", [b'{"data":' + b"[" * 20_000 + b"]" * 20_000 + b"}", b'{"data":' + b'{"a":' * 9_000])
def test_json_that_is_nested_too_deeply_is_malformed(backed: Backed, body: bytes) -> None:
    refused(backed, "/events/bad", body, 400, "malformed")
    deep = body.replace(b'"data"', b'"message":"a","metadata"').replace(b":[", b':{"a":[', 1)
    refused(backed, "/api/chat", deep, 400, "malformed")


@pytest.mark.parametrize(
    "body",
    [
        [],
        "text",
        {},
        {"message": ""},
        {"message": None},
        {"message": 5},
        {"message": "a", "messages": []},
        {"messages": []},
        {"messages": "a"},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "wizard", "content": "a"}]},
        {"messages": [{"role": "user", "content": ""}]},
        {"messages": [{"role": "system", "content": "a"}]},
        {"messages": [{"role": "user", "content": 5}]},
        {"message": "a", "unknown": 1},
        {"message": "a", "model": 1},
        {"message": "a", "system": []},
        {"message": "a", "max_tokens": 0},
        {"message": "a", "max_tokens": 1.5},
        {"message": "a", "max_tokens": "9"},
        {"message": "a", "max_tokens": 10**40},
        {"message": "a", "temperature": 5},
        {"message": "a", "temperature": "hot"},
        {"message": "a", "grace": -1},
        {"message": "a", "grace": "long"},
        {"message": "a", "tools": {}},
        {"message": "a", "tools": [1]},
        {"message": "a", "metadata": []},
    ],
    ids=str,
)
def test_a_question_of_another_shape_is_refused(backed: Backed, body: Any) -> None:
    refused(backed, "/api/chat", json.dumps(body).encode(), 422, "invalid_body")


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"9" * 5000])
def test_a_number_that_is_too_large_is_refused(backed: Backed, number: bytes) -> None:
    refused(backed, "/events/bad", b'{"data":' + number + b"}", 422, "invalid_body")
    refused(backed, "/api/chat", b'{"message":"a","grace":' + number + b"}", 422, "invalid_body")


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"data": 1, "unknown": 2},
        {"data": 1, "event": 5},
        {"data": 1, "event": ["a"]},
        {"data": 1, "idempotency_key": ""},
        {"data": 1, "idempotency_key": "k" * 257},
        {"data": 1, "idempotency_key": 5},
    ],
    ids=str,
)
def test_an_event_of_another_shape_is_refused(backed: Backed, body: Any) -> None:
    refused(backed, "/events/bad", json.dumps(body).encode(), 422, "invalid_body")


def test_what_is_nested_nearly_too_deeply_is_answered_one_way_or_the_other(backed: Backed) -> None:
    for depth in range(700, 1000, 7):
        deep = b'{"a":' * depth + b"1" + b"}" * depth
        answer = backed.server.ask("POST", "/events/deep", JSON, b'{"data":' + deep + b"}")
        assert answer.status in {200, 400, 422}, (depth, answer)
        body = b'{"message":"a","tools":[' + deep + b"]}"
        key = {"idempotency-key": f"deep {depth}"}
        assert backed.server.ask("POST", "/api/chat", {**JSON, **key}, body).status in {200, 400, 422}


def test_text_that_is_no_utf8_is_refused(backed: Backed) -> None:
    refused(backed, "/events/bad", b"\xff\xfe", 400, "malformed", kind="text/plain")
    refused(backed, "/events/bad", "é".encode("latin-1"), 400, "malformed", kind="text/plain")


@pytest.mark.parametrize("model", ["nobody", "anthropic", "anthropic/", "nobody/x", "/", "../../x", "\0", "m" * 5000])
def test_an_unknown_model_is_not_found_and_the_known_ones_are_named(backed: Backed, model: str) -> None:
    refused(backed, "/api/chat", {"message": "a", "model": model}, 404, "unknown_model")


@pytest.mark.parametrize("query", ["", "message=", "model=claude", "message"])
def test_a_get_without_a_message_is_refused(backed: Backed, query: str) -> None:
    answer = backed.server.ask("GET", f"/api/chat?{query}", STREAM)
    assert (answer.status, answer.json()["code"]) == (422, "invalid_query")
    assert not backed.seen


def test_a_get_may_bring_any_bytes(backed: Backed) -> None:
    with backed.server.open("GET", "/api/chat?message=%ff%00%ed%a0%80&x=%zz&&=&model=claude", STREAM) as raw:
        raw.rest()
    assert backed.seen[0].body["messages"][0]["content"] == "\ufffd\0\ufffd\ufffd\ufffd"


# Size.


@pytest.mark.parametrize("path", ["/api/chat", "/events/bad"])
def test_a_body_over_the_bound_is_refused_before_it_is_read(backed: Backed, path: str) -> None:
    with backed.server.connect() as raw:
        raw.send(f"POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: 99999999\r\n\r\n".encode())
        head = raw.head()
        assert (head.status, head.headers["connection"]) == (413, "close")
        assert json.loads(raw.read())["code"] == "body_too_large"
        raw.finish()
        assert raw.closed()


@pytest.mark.parametrize("path", ["/api/chat", "/events/bad"])
def test_a_whole_body_over_the_bound_is_refused_so_that_its_sender_can_read_it(backed: Backed, path: str) -> None:
    for _ in range(5):
        refused(backed, path, b'{"data":"' + b"x" * 3_000_000 + b'"}', 413, "body_too_large")


def test_a_chunked_body_over_the_bound_is_refused(backed: Backed) -> None:
    with backed.server.connect() as raw:
        raw.send(b"POST /events/bad HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(5):
            raw.send(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
        assert raw.head().status == 413


def test_a_body_at_the_bound_is_taken(backed: Backed) -> None:
    text = b"x" * 65_536
    assert backed.server.ask("POST", "/events/large", {"content-type": "text/plain"}, text).status == 200
    refused(backed, "/events/large", text + b"x", 413, "body_too_large", kind="text/plain")


def test_a_client_that_leaves_in_the_middle_of_its_body_starts_nothing(backed: Backed) -> None:
    with backed.server.connect() as raw:
        raw.send(b'POST /api/chat HTTP/1.1\r\nhost: test\r\ncontent-length: 100\r\n\r\n{"message":')
    assert backed.server.health()["status"] == "healthy"
    assert not backed.seen


# Paths and methods.


@pytest.mark.parametrize(
    "path", ["/nothing", "/api", "/api/chat/a/b", "/event", "/%00", "/static/../app.py", "/static/%2e%2e%2fapp.py"]
)
def test_a_path_that_is_not_there_is_a_problem_too(backed: Backed, path: str) -> None:
    answer = backed.server.ask("GET", path)
    assert (answer.status, answer.json()["code"]) == (404, "not_found")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/api/chat", "GET, POST"),
        ("DELETE", "/api/chat", "GET, POST"),
        ("POST", "/api/chat/x", "DELETE, GET"),
        ("PATCH", "/events/x", "DELETE, GET, POST"),
        ("POST", "/health", "GET, HEAD"),
        ("TRACE", "/api/chat", "GET, POST"),
    ],
)
def test_a_method_that_a_path_does_not_serve_is_told_those_that_it_does(
    backed: Backed, method: str, path: str, allow: str
) -> None:
    answer = backed.server.ask(method, path)
    assert (answer.status, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == allow
