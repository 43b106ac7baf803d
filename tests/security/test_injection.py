"""Line ends in whatever a caller or a provider says: none of it becomes a header, an event or a line of the log."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from tailrace.sse import Decoder
from tests.support.raw import Raw
from tests.support.scripted import Reply, ScriptedServer, stream
from tests.support.server import Server

_EVIL = (
    "a\r\nevent: done\r\ndata: [DONE]\r\n\r\n",
    "a\n\nevent: error\ndata: {}\n\n",
    "a\rid: 0-0\r\r",
    "a\u2028b\u2029c\x85d\0e",
    "\x1b[2J\x07",
    "</script><script>alert(1)</script>",
)
_KNOWN = {"start", "message", "thinking", "tool", "finish", "error", "done", "restart"}


def _chunk(evil: str, **more: Any) -> bytes:
    told = {"id": evil, "object": evil, "created": 0, "model": evil, "system_fingerprint": evil, **more}
    return b"data: " + json.dumps(told, ensure_ascii=False).encode() + b"\n\n"


def _openai(evil: str) -> tuple[bytes, ...]:
    call = {"index": 0, "id": evil, "type": "function", "function": {"name": evil, "arguments": evil}}
    delta = {"role": "assistant", "content": evil, "reasoning_content": evil, "tool_calls": [call]}
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    ended = {"index": 0, "delta": {}, "finish_reason": evil}
    return _chunk(evil, choices=[choice]), _chunk(evil, choices=[ended]), b"data: [DONE]\n\n"


def _failing(evil: str) -> Reply:
    error = {"message": evil, "type": evil, "code": evil, "param": evil}
    return Reply(400, {"content-type": "application/json"}, json.dumps({"error": error}).encode())


def _settings(url: str) -> str:
    return f'[chat]\ndefault_model = "up/x"\n[providers.up]\nkind = "openai"\nbase_url = "{url}"\n'


_ASKED = {
    "/api/chat": {"message": "hi"},
    "/v1/chat/completions": {"model": "up/x", "stream": True, "messages": [{"role": "user", "content": "hi"}]},
    "/v1/responses": {"model": "up/x", "stream": True, "input": "hi"},
    "/v1/messages": {
        "model": "up/x",
        "stream": True,
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}],
    },
}


def _whole(raw: Raw, path: str, body: object) -> tuple[dict[str, str], bytes]:
    raw.request("POST", path, {}, body)
    return raw.head().headers, raw.read()


def test_what_a_provider_says_stays_within_its_fields() -> None:
    """Its ids, names, reasons and errors, in every dialect, as they come and as they are told again later."""
    said = [(evil, path, broken) for evil in _EVIL for path in _ASKED for broken in (False, True)]
    replies = [_failing(evil) if broken else stream(*_openai(evil)) for evil, _, broken in said]
    with ScriptedServer(*replies) as up, Server(_settings(up.url)) as server:
        for _, path, broken in said:
            with server.connect() as raw:
                headers, body = _whole(raw, path, _ASKED[path])
            assert "set-cookie" not in headers
            if headers["content-type"].startswith("text/event-stream"):
                _check_stream(body, native=path == "/api/chat")
            else:
                assert broken
                json.loads(body)
            state = server.ask("GET", f"/api/chat/{headers['tailrace-run']}", {"accept": "application/json"})
            assert state.json()["run"] == headers["tailrace-run"]
        lines = server.said.splitlines()
    assert all(json.loads(line)["message"] for line in lines)


def _check_stream(body: bytes, *, native: bool) -> None:
    """Every event is one of those that there are, and what it holds is JSON; the last one is the end."""
    events = Decoder().receive(body)
    for event in events:
        assert event.data == "[DONE]" or json.loads(event.data) is not None
        assert not native or event.event in _KNOWN
        assert "evil" not in (event.id or "")
    ends = [event for event in events if event.data == "[DONE]"]
    assert len(ends) <= 1
    assert not ends or events[-1] is ends[0]


@pytest.mark.parametrize("evil", _EVIL, ids=ascii)
def test_what_a_publisher_says_stays_within_its_event(server: Server, evil: str) -> None:
    with server.open("GET", "/events/injected") as raw:
        assert raw.event().event == "ready"
        server.publish("injected", evil)
        server.publish("injected", {evil: evil})
        text, value = raw.events(2)
    lines = evil.replace("\r\n", "\n").replace("\r", "\n")
    assert (text.event, text.data) == ("message", lines)
    assert json.loads(value.data) == {evil: evil}
    refused = server.ask("POST", "/events/injected", {}, {"data": 1, "event": f"{evil}\n"})
    assert refused.status == 422


@pytest.mark.parametrize("evil", _EVIL, ids=ascii)
def test_what_a_caller_says_is_in_no_header_of_the_answer(server: Server, evil: str) -> None:
    """Models, keys and cursors, in bodies and queries."""
    query = quote(evil)
    asked = [
        ("POST", "/api/chat", {"message": "hi", "model": evil}),
        ("POST", "/v1/chat/completions", {"model": evil, "messages": [{"role": "user", "content": "hi"}]}),
        ("POST", "/v1/messages", {"model": evil, "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}),
        ("GET", f"/v1/models/{query}", b""),
        ("GET", f"/api/chat?last_event_id={query}", b""),
        ("GET", f"/events/injected?limit={query}", b""),
        ("POST", f"/auth/ticket?{query}", {"path": evil}),
        ("GET", f"/{query}", b""),
    ]
    for method, target, body in asked:
        with server.connect() as raw:
            raw.request(method, target, {"accept": "application/json, text/event-stream"}, body)
            head = raw.head()
        known = {"connection", "content-length", "content-type", "date", "x-content-type-options", "cache-control"}
        streamed = {"transfer-encoding", "tailrace-heartbeat", "tailrace-run", "x-accel-buffering"}
        assert set(head.headers) <= known | streamed, target


def test_a_cursor_is_not_said_back(server: Server) -> None:
    with server.open("GET", f"/events/injected?last_event_id={quote('evil' + _EVIL[0])}") as raw:
        resume = raw.event()
    assert resume.event == "resume"
    assert "evil" not in f"{resume.data}{resume.id}"
