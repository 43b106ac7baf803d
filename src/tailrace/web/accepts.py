"""What a caller wants back: an event stream or JSON."""

from __future__ import annotations

from starlette.datastructures import Headers

__all__ = ["AS_IT_IS", "wants_json", "wants_stream"]

AS_IT_IS = {"cache-control": "no-store"}
"""For JSON about what changes: under the same URL there is a stream, and no cache may answer for either."""


def wants_stream(headers: Headers) -> bool:
    """Whether the caller says that it takes an event stream."""
    return "text/event-stream" in headers.get("accept", "").lower()


def wants_json(headers: Headers) -> bool:
    """Whether the caller asks for JSON, and not for a stream."""
    return "application/json" in headers.get("accept", "").lower() and not wants_stream(headers)
