"""Which methods a path serves, and what is said to the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.routing import Match, Route

__all__ = ["StreamRoute", "allowed"]


class StreamRoute(Route):
    """A route to streams. It serves the methods that it names and no HEAD, which Starlette adds to each GET."""

    def __init__(self, path: str, endpoint: Callable[..., Any], methods: Sequence[str]) -> None:
        super().__init__(path, endpoint, methods=methods)
        self.methods = set(methods)


def allowed(request: Request) -> str:
    """The methods of a request's path, for `Allow`. Starlette's own 405 knows those of one route alone."""
    found: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return ", ".join(sorted(found))
