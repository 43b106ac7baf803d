"""Which methods a path serves, and what is said to the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import wraps

from starlette.requests import Request
from starlette.routing import Match, Route

from tailrace.asgi import reason_of
from tailrace.errors import Overloaded, StoreUnavailable
from tailrace.facade import Answered, Tailrace, cursor_of
from tailrace.web.accepts import wants_json

__all__ = ["StreamRoute", "allowed"]

Endpoint = Callable[[Request], Awaitable[Answered]]


class StreamRoute(Route):
    """A route to streams. It serves the methods that it names and no HEAD, which Starlette adds to each GET.

    A resume that comes while the store is away, or this process is full, is answered with a stream, not with an error.
    """

    def __init__(self, tailrace: Tailrace, path: str, endpoint: Endpoint, methods: Sequence[str]) -> None:
        super().__init__(path, _resumable(tailrace, endpoint), methods=methods)
        self.methods = set(methods)


def _resumable(tailrace: Tailrace, endpoint: Endpoint) -> Endpoint:
    @wraps(endpoint)
    async def answer(request: Request) -> Answered:
        try:
            if tailrace.is_full and wants_json(request.headers):
                return await endpoint(request)
            return await tailrace.enter(request, endpoint)
        except (StoreUnavailable, Overloaded) as error:
            if cursor_of(request.scope) is None or wants_json(request.headers):
                raise
            return tailrace.come_back(*reason_of(error))

    return answer


def allowed(request: Request) -> str:
    """The methods of a request's path, for `Allow`. Starlette's own 405 knows those of one route alone."""
    found: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return ", ".join(sorted(found))
