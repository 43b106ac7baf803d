"""What a request counts as, told by its method, path and headers alone, before anything is read or looked up.

Pages, probes and figures are not counted: who is over a limit must still be able to see that. Ending an answer counts
little, since it costs less than not ending it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tailrace.access.limits.account import Asked
from tailrace.asgi import Scope
from tailrace.facade import cursor_of
from tailrace.web.shapes import AI_SDK_CHAT, PATHS

__all__ = ["Counted", "counted", "is_native"]


class Counted(NamedTuple):
    """What is asked for: whether it may be a stream, may start an answer, and comes back with a cursor of a stream."""

    asked: Asked
    streaming: bool = False
    starting: bool = False
    returning: bool = False


_REQUEST: Final = Counted(Asked.REQUEST)
_CHEAP: Final = Counted(Asked.RESUME)
_STREAM: Final = Counted(Asked.REQUEST, streaming=True)
_ANSWER: Final = Counted(Asked.REQUEST, streaming=True, starting=True)
_ATTACH: Final = Counted(Asked.RESUME, streaming=True)
_RETURN: Final = Counted(Asked.RESUME, streaming=True, returning=True)

_ASKING: Final = frozenset({"/api/chat", AI_SDK_CHAT, *PATHS})
"""Where a POST is answered by a model."""
_ENDING: Final = ("/v1/responses/", f"{AI_SDK_CHAT}/")
"""Below which any other POST ends an answer."""
_COUNTED: Final = ("/api/", "/v1/", "/events", "/auth/")


def is_native(path: str) -> bool:
    """Whether a path speaks our own words, and not a dialect's."""
    return not path.startswith("/v1/")


def counted(scope: Scope) -> Counted | None:
    """What a request counts as; None: it does not."""
    path, method = scope["path"], scope["method"]
    if not path.startswith(_COUNTED):
        return None
    if method == "POST":
        return _posted(scope, path)
    if method == "GET":
        return _got(scope, path)
    return _CHEAP if path.startswith("/api/chat/") else _REQUEST


def _posted(scope: Scope, path: str) -> Counted:
    if path == "/api/chat" and _has_cursor(scope):  # it is told what became of its run, and starts none
        return _RETURN
    if path in _ASKING:
        return _ANSWER
    return _CHEAP if path.startswith(_ENDING) else _REQUEST


def _got(scope: Scope, path: str) -> Counted:
    if path.startswith("/v1/"):
        return _ATTACH if path.startswith("/v1/responses/") and b"stream=true" in scope["query_string"] else _REQUEST
    if path.startswith("/auth/") or _wants_json(scope):
        return _REQUEST
    if _has_cursor(scope):
        return _RETURN
    if path == "/api/chat":
        return _ANSWER
    return _ATTACH if path.startswith("/api/") else _STREAM


def _has_cursor(scope: Scope) -> bool:
    """As `facade.cursor_of` looks for one, without reading it."""
    if b"last_event_id=" in scope["query_string"]:
        return cursor_of(scope) is not None
    return any(value for name, value in scope["headers"] if name == b"last-event-id")


def _wants_json(scope: Scope) -> bool:
    """As `accepts.wants_json`, without an object for all the headers."""
    accept = b"".join([value for name, value in scope["headers"] if name == b"accept"]).lower()
    return b"application/json" in accept and b"text/event-stream" not in accept
