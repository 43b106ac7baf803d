"""What a query says of how channels are to be read."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import QueryParams

from tailrace.web.problems import Problem

__all__ = ["beginning", "limit", "only"]

_MOST = 1000


def beginning(query: QueryParams) -> dict[str, Any]:
    """Where a reader without a cursor begins, and which events it is shown, as `Channels.read` takes it."""
    start = query.get("from")
    if start not in {None, "earliest"}:
        raise Problem(422, "invalid_query", "from: expected earliest; without it, only what comes is sent.")
    return {
        "earliest": start is not None,
        "snapshot": query.get("snapshot") == "1",
        "only": only(query),
    }


def only(query: QueryParams) -> frozenset[str]:
    """The types of events to show; none: all. An empty one, as a form sends a field left empty, is no type."""
    return frozenset([name for name in query.getlist("event") if name])


def limit(query: QueryParams) -> int:
    """How many retained events are shown at most."""
    text = query.get("limit")
    if text is None:
        return _MOST
    number = text.lstrip("0")
    if not (number.isascii() and number.isdigit() and len(number) <= 9):
        raise Problem(422, "invalid_query", "limit: expected a whole number, 1 or more.")
    return min(int(number), _MOST)
