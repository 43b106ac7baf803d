"""The operations page (`/dashboard`): what goes on in all processes, as it happens, and two things to do about it.

Where credentials are required it takes an admin's, and whoever has none is shown how to sign in. What is shown, and
done, is `operations`' matter.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tailrace.access.caller import Caller
from tailrace.chat.gateway import Gateway
from tailrace.facade import Answered, Tailrace, cursor_of
from tailrace.web.accepts import AS_IT_IS
from tailrace.web.assets import Folder
from tailrace.web.bodies import parse, read_body
from tailrace.web.identity import require
from tailrace.web.operations import Orders, Reporter
from tailrace.web.origins import Origins
from tailrace.web.problems import Problem

__all__ = ["Dashboard"]

_MOST_BYTES: Final = 4096
_REFUSED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_PAGES: Final = Folder("dashboard")

Named = Annotated[str, Meta(min_length=1, max_length=128)]


class _Cancel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    run: Named


class _Drain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    instance: Named


class Dashboard:
    """The page of one application, and what it asks."""

    def __init__(self, tailrace: Tailrace, gateway: Gateway) -> None:
        self._tailrace = tailrace
        instance = tailrace.runs.instance
        name = instance.name if instance is not None else secrets.token_hex(8)
        self._orders = Orders(tailrace, Reporter(tailrace, gateway, name), name)
        # Not those that CORS allows: this is nobody's page but ours.
        self._origins = Origins(())

    def start(self) -> None:
        """Begin to listen to the other processes, in the running event loop."""
        self._orders.exchange.start()

    async def close(self) -> None:
        """Say no more."""
        await self._orders.exchange.close()

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """Where it is found."""
        events = Route("/dashboard/events", self.events, methods=["GET"])
        events.methods = {"GET"}  # Starlette adds HEAD, which no stream has
        return (
            Route("/dashboard", self.page, methods=["GET"]),
            events,
            Route("/dashboard/cancel", self.cancel, methods=["POST"]),
            Route("/dashboard/drain", self.drain, methods=["POST"]),
            Route("/static/dashboard/{name}", self.static, methods=["GET"]),
        )

    async def page(self, request: Request) -> Response:
        """The page; to a browser whose user may not see it, the form to sign in."""
        try:
            require(request, "admin")
        except Problem as problem:
            if problem.status not in _REFUSED or "text/html" not in request.headers.get("accept", ""):
                raise
            return _PAGES.file("sign-in.html", problem.status, problem.headers)
        return _PAGES.file("dashboard.html")

    async def static(self, request: Request) -> Response:
        """What the page consists of."""
        return _PAGES.file(request.path_params["name"])

    async def events(self, request: Request) -> Answered:
        """The figures of all processes, as they come. No bound refuses it: who is full has to be looked at."""
        caller = self._admin(request)
        return self._tailrace.respond(self._orders.exchange.read(cursor_of(request.scope)), caller.expires)

    async def cancel(self, request: Request) -> Response:
        """Cancel an answer. 202 where another process was asked to."""
        caller = self._admin(request)
        run = parse(await read_body(request, _MOST_BYTES), _Cancel).run
        status = await self._orders.cancel(run, caller)
        told = {"run": run, "status": status or "asked"}
        return JSONResponse(told, 200 if status is not None else 202, headers=AS_IT_IS)

    async def drain(self, request: Request) -> Response:
        """Have a process leave, as SIGTERM does; answered before it has."""
        caller = self._admin(request)
        instance = parse(await read_body(request, _MOST_BYTES), _Drain).instance
        if not await self._orders.drain(instance, caller):
            raise Problem(404, "not_found", "No instance of that name has reported lately.")
        return JSONResponse({"instance": instance, "status": "asked"}, 202, headers=AS_IT_IS)

    def _admin(self, request: Request) -> Caller:
        self._origins.check(request.headers)
        return require(request, "admin")
