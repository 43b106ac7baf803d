"""Where a reader stands who comes back, as its request says."""

from __future__ import annotations

from urllib.parse import parse_qs

from tailrace.asgi.sink import Scope

__all__ = ["cursor_of", "query_of"]


def cursor_of(scope: Scope) -> str | None:
    """The cursor that a request brings: the `Last-Event-ID` header, else `last_event_id` in the query.

    An empty one is none: it is what a client has before its first id.
    """
    for name, value in scope["headers"]:
        if name == b"last-event-id" and value:
            return bytes(value).decode(errors="replace")  # UTF-8 by the HTML standard, not latin-1
    values = query_of(scope).get("last_event_id")
    return values[0] or None if values else None


def query_of(scope: Scope) -> dict[str, list[str]]:
    """The query's names, each with its values."""
    return parse_qs(scope["query_string"].decode(errors="replace"), keep_blank_values=True)
