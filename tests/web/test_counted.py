"""What a request counts as."""

from __future__ import annotations

import pytest

from tailrace.access.limits.account import Asked
from tailrace.web.counted import Counted, counted

STREAM = {"accept": "text/event-stream"}
JSON = {"accept": "application/json"}
BOTH = {"accept": "application/json, text/event-stream"}
CURSOR = {"last-event-id": "a-1"}

REQUEST = Counted(Asked.REQUEST)
CHEAP = Counted(Asked.RESUME)
SUBSCRIBE = Counted(Asked.REQUEST, streaming=True)
ASK = Counted(Asked.REQUEST, streaming=True, starting=True)
WATCH = Counted(Asked.RESUME, streaming=True)
BACK = Counted(Asked.RESUME, streaming=True, returning=True)


@pytest.mark.parametrize(
    ("line", "headers", "as_what"),
    [
        ("POST /api/chat", {}, ASK),
        ("POST /api/chat", CURSOR, BACK),
        ("POST /api/chat", {"last-event-id": ""}, ASK),
        ("POST /api/chat?last_event_id=a-1", {}, BACK),
        ("POST /api/chat?last_event_id=", {}, ASK),
        ("GET /api/chat?message=a", STREAM, ASK),
        ("GET /api/chat?message=a", STREAM | CURSOR, BACK),
        ("GET /api/chat/r", STREAM, WATCH),
        ("GET /api/chat/r", STREAM | CURSOR, BACK),
        ("GET /api/chat/r", JSON, REQUEST),
        ("GET /api/chat/r", JSON | CURSOR, REQUEST),
        ("GET /api/chat/r", BOTH, WATCH),
        ("DELETE /api/chat/r", {}, CHEAP),
        ("HEAD /api/chat", {}, REQUEST),
        ("GET /events/a", {}, SUBSCRIBE),
        ("GET /events?channel=a", {}, SUBSCRIBE),
        ("GET /events/a", CURSOR, BACK),
        ("GET /events/a?last_event_id=a-1", {}, BACK),
        ("GET /events/a", JSON, REQUEST),
        ("POST /events/a", {}, REQUEST),
        ("DELETE /events/a", {}, REQUEST),
        ("POST /v1/chat/completions", {}, ASK),
        # A cursor means nothing there, so it must not be a way around the price of an answer.
        ("POST /v1/chat/completions", CURSOR, ASK),
        ("POST /v1/messages?last_event_id=a-1", CURSOR, ASK),
        ("POST /v1/responses", {}, ASK),
        ("POST /api/ai-sdk/chat", CURSOR, ASK),
        ("GET /api/ai-sdk/chat/c/stream", {}, WATCH),
        ("POST /api/ai-sdk/chat/c/stop", {}, CHEAP),
        ("GET /v1/responses/r?stream=true&starting_after=3", {}, WATCH),
        ("GET /v1/responses/r", {}, REQUEST),
        ("POST /v1/responses/r/cancel", {}, CHEAP),
        ("GET /v1/models", STREAM, REQUEST),
        ("POST /auth/ticket", {}, REQUEST),
        ("GET /", {}, None),
        ("GET /static/app.js", {}, None),
        ("GET /health", {}, None),
        ("GET /metrics", {}, None),
        ("GET /dashboard", {}, None),
    ],
)
def test_it_is_told_by_method_path_and_headers(line: str, headers: dict[str, str], as_what: Counted | None) -> None:
    method, _, target = line.partition(" ")
    path, _, query = target.partition("?")
    scope = {
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    assert counted(scope) == as_what
