"""Where WebSockets begin (`/ws`): who may open one is decided before it is one, in plain HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from tailrace.access.limits.account import Asked
from tailrace.access.limits.limiter import Limiter
from tailrace.access.limits.refused import Refused
from tailrace.asgi import Receive, Scope, Send, problem
from tailrace.asgi.sending import SendOutlet
from tailrace.asgi.socket import Outlet
from tailrace.asgi.wire import FRAMES, WireOutlet
from tailrace.facade import Tailrace
from tailrace.web.chat import Chat
from tailrace.web.identity import caller_of
from tailrace.web.limits import account_of, problem_of
from tailrace.web.options import WebOptions
from tailrace.web.origins import Origins
from tailrace.web.problems import Problem
from tailrace.web.websocket.actions import Parts
from tailrace.web.websocket.session import Session

__all__ = ["WebSockets"]


class WebSockets:
    """The endpoint, and the connections that it has open."""

    def __init__(self, tailrace: Tailrace, chat: Chat, options: WebOptions, limiter: Limiter | None = None) -> None:
        self._parts = Parts(tailrace, chat, limiter)
        self._origins = Origins(options.cors_origins)
        self._open: set[Session] = set()
        self._leaving = False
        tailrace.on_leaving.append(self._leave)
        tailrace.counters.gauge("sockets.open", lambda: len(self._open))

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """Where it is found."""
        return (WebSocketRoute("/ws", self), Route("/ws", self.explain, methods=["GET"]))

    async def explain(self, request: Request) -> Response:
        """Tell who asks for it as for a page. Raises `Problem`."""
        detail = "This is a WebSocket; see docs/websocket.md for what is said over it."
        raise Problem(426, "upgrade_required", detail, {"upgrade": "websocket", "connection": "upgrade"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a client in, or answer why not, and serve it to the end."""
        await receive()  # that it wants to connect, which is all it can have said
        try:
            await self._check(scope)
        except Problem as refused:
            said = problem(refused.status, refused.code, refused.detail, headers=refused.headers)
            await said(scope, receive, send)
            return
        await send({"type": "websocket.accept"})
        await self._serve(scope, receive, send)

    async def _check(self, scope: Scope) -> None:
        """Raise `Problem` for whoever may not. A page elsewhere could open one with its visitor's cookie."""
        self._origins.check(Headers(scope=scope))
        caller, limiter = caller_of(scope), self._parts.limiter
        if limiter is not None:
            try:
                await limiter.admit(account_of(limiter, caller), Asked.RESUME)
            except Refused as refused:
                raise problem_of(refused) from refused

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with _outlet(scope, send) as outlet:
            session = Session(self._parts, scope, outlet, send)
            self._open.add(session)
            if self._leaving:
                session.leave()
            try:
                await session.run(receive)
            finally:
                self._open.discard(session)

    def _leave(self) -> None:
        self._leaving = True
        for session in tuple(self._open):
            session.leave()


def _outlet(scope: Scope, send: Send) -> Outlet:
    wire = scope.get("extensions", {}).get(FRAMES)
    return WireOutlet(wire) if wire is not None else SendOutlet(send)
