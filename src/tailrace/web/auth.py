"""Tickets for those who cannot send headers, and the session of our own pages (`/auth`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tailrace.access.authority import Authority
from tailrace.access.caller import Caller
from tailrace.access.tickets import Behind
from tailrace.facade import Tailrace
from tailrace.web.accepts import AS_IT_IS
from tailrace.web.bodies import parse, read_body
from tailrace.web.identity import SESSION_COOKIE, caller_of, credential_in, reader_of
from tailrace.web.options import WebOptions
from tailrace.web.origins import Origins
from tailrace.web.problems import Problem

__all__ = ["Auth", "TicketBody"]

_MOST_BYTES: Final = 65_536

Named = Annotated[str, Meta(min_length=1)]


class TicketBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a ticket is to be for: a path with its query, or a run that others may watch."""

    path: Named | None = None
    run: Named | None = None
    share: bool = False

    def __post_init__(self) -> None:
        if (self.path is None) == (self.run is None) or (self.run is not None) != self.share:
            raise ValueError('expected either {"path": "/…"} or {"run": "…", "share": true}')


class Auth:
    """The endpoints over one authority."""

    def __init__(self, tailrace: Tailrace, authority: Authority, options: WebOptions) -> None:
        self._runs, self._hub = tailrace.runs, tailrace.hub
        self._authority = authority
        self._origins = Origins(options.cors_origins)

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """Where they are found."""
        return (
            Route("/auth/ticket", self.ticket, methods=["POST"]),
            Route("/auth/session", self.whoami, methods=["GET"]),
            Route("/auth/session", self.sign_in, methods=["POST"]),
            Route("/auth/session", self.sign_out, methods=["DELETE"]),
        )

    async def ticket(self, request: Request) -> Response:
        """Give the caller a ticket for a path, or one with which others may watch a run of theirs."""
        self._origins.check(request.headers)
        caller = caller_of(request)
        wanted = parse(await read_body(request, _MOST_BYTES), TicketBody)
        behind, tickets = Behind.of(caller), self._authority.tickets
        if wanted.run is not None:
            await self._check_theirs(wanted.run, caller)
            ticket, seconds = tickets.share(wanted.run, behind)
        else:
            try:
                ticket, seconds = tickets.issue(wanted.path or "", behind)
            except ValueError as error:
                raise Problem(422, "invalid_body", f"{error}.") from None
        return JSONResponse({"ticket": ticket, "expires_in": seconds}, headers=AS_IT_IS)

    async def _check_theirs(self, run: str, caller: Caller) -> None:
        """Raises `RunNotFound` where a run is not there, or another's."""
        attached = await self._runs.attach(run, reader_of(caller, run))
        self._hub.close(attached.tail)

    # Our own pages.

    async def whoami(self, request: Request) -> Response:
        """Who is signed in, and what they may do."""
        return JSONResponse(_told(caller_of(request)), headers=AS_IT_IS)

    async def sign_in(self, request: Request) -> Response:
        """Sign a page of ours in, with the key or token that it has been given."""
        self._origins.check(request.headers)
        caller = caller_of(request)
        if self._authority.active and credential_in(request.scope) is None:
            raise Problem(401, "unauthorized", "Signing in takes an API key or a token as Authorization: Bearer ….")
        answer = JSONResponse(_told(caller), headers=AS_IT_IS)
        if self._authority.active:
            session, seconds = self._authority.session(caller)
            _set(answer, request, session, seconds)
        return answer

    async def sign_out(self, request: Request) -> Response:
        """Have the browser forget its session."""
        self._origins.check(request.headers)
        answer = Response(status_code=204)
        _set(answer, request, "", 0)
        return answer


def _set(answer: Response, request: Request, session: str, seconds: int) -> None:
    secure = request.url.scheme == "https"
    answer.set_cookie(SESSION_COOKIE, session, max_age=seconds, httponly=True, samesite="strict", secure=secure)


def _told(caller: Caller) -> dict[str, Any]:
    name = caller.name if caller.owner is not None else None
    return {"name": name, "scopes": caller.grants.scopes, "expires": caller.expires}
