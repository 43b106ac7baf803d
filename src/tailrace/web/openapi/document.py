"""The document as a whole, and where it is found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tailrace import __version__
from tailrace.web.openapi.foreign import FOREIGN
from tailrace.web.openapi.native import NATIVE
from tailrace.web.openapi.parts import Operation, refusals
from tailrace.web.openapi.schemas import schemas

__all__ = ["OPERATIONS", "OpenApi", "document"]

OPERATIONS: Final[Sequence[Operation]] = (*NATIVE, *FOREIGN)
"""All that there may be."""

_TEXT: Final = (
    "Streams of model answers and events over Server-Sent Events, which survive lost connections: an event's id, sent "
    "back as `Last-Event-ID`, goes on behind it. Beside HTTP there is a WebSocket at `/ws`."
)
_HEADERS: Final = {
    "Tailrace-Run": ("The run's id, under which it can be watched, resumed and cancelled.", {"type": "string"}),
    "Tailrace-Heartbeat": ("Seconds after which a quiet stream says that it lives.", {"type": "string"}),
    "Retry-After": ("Seconds after which to ask again.", {"type": "string"}),
}
_SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or a JSON Web Token."},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same."},
    "ticket": {"type": "apiKey", "in": "query", "name": "ticket", "description": "For GET: from POST /auth/ticket."},
    "session": {"type": "apiKey", "in": "cookie", "name": "tailrace_session", "description": "For our own pages."},
}


class OpenApi:
    """The endpoint. The document says what the application serves that it is asked of."""

    def __init__(self) -> None:
        self._told: bytes | None = None

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """Where it is found."""
        return (Route("/openapi.json", self.show, methods=["GET"]),)

    async def show(self, request: Request) -> Response:
        """The document."""
        if self._told is None:
            self._told = msgspec.json.encode(document(request.app.routes))
        return Response(self._told, media_type="application/json", headers={"cache-control": "no-cache"})


def document(routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """What is said of the operations that these routes serve."""
    served = {
        (route.path_format, method.lower())
        for route in routes
        if isinstance(route, Route)
        for method in route.methods or ()
    }
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        if (operation.path, operation.method) in served:
            paths.setdefault(operation.path, {})[operation.method] = operation.told()
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tailrace", "version": __version__, "description": _TEXT},
        # Nobody has to say who they are unless the settings say so.
        "security": [{}, *[{name: []} for name in _SCHEMES]],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "responses": refusals(),
            "securitySchemes": _SCHEMES,
            "headers": {name: {"description": text, "schema": schema} for name, (text, schema) in _HEADERS.items()},
        },
    }
