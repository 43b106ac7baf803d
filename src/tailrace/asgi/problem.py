"""Answers that are not streams: a problem (RFC 9457), or nothing more to say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

from tailrace.asgi.sink import Receive, Scope, Send

__all__ = ["NO_CONTENT", "Answer", "problem"]


class Answer:
    """A whole answer, as an ASGI application; to the handshake of a WebSocket, it is a refusal."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.body = body
        self.headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
        if status != 204:
            self.headers.append((b"content-length", str(len(body)).encode()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. A server that cannot answer a handshake in HTTP makes a 403 without a word of it."""
        if scope["type"] == "http":
            body = b"" if scope["method"] == "HEAD" else self.body
            await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
            await send({"type": "http.response.body", "body": body})
        elif "websocket.http.response" in scope.get("extensions", {}):
            await send({"type": "websocket.http.response.start", "status": self.status, "headers": self.headers})
            await send({"type": "websocket.http.response.body", "body": self.body})
        else:
            await send({"type": "websocket.close", "code": 1008})


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, object] | None = None,
) -> Answer:
    """Say what is wrong with a request: `code` for programs, `detail` for people, and what `more` there is to tell."""
    text = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "code": code, "detail": detail}
    body = json.dumps({**text, **(more or {})}, ensure_ascii=False).encode(errors="replace")
    return Answer(status, body, {"content-type": "application/problem+json", **(headers or {})})


NO_CONTENT = Answer(204)
"""To a resume that has everything already: it tells a native EventSource to stop."""
