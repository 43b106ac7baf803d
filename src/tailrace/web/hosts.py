"""The names that the server answers to: a page elsewhere can have its own name lead here (DNS rebinding)."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers

from tailrace.asgi import Receive, Scope, Send, problem
from tailrace.facade import Answered

__all__ = ["Hosts"]


class Hosts:
    """Refuses requests for other hosts than `names`; `*.example.com` is every name below that one, `*` any at all."""

    def __init__(self, app: Answered, names: Sequence[str]) -> None:
        self._app = app
        self._names = frozenset(name.lower() for name in names if not name.startswith("*."))
        self._below = tuple(name[1:].lower() for name in names if name.startswith("*."))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in {"http", "websocket"} or self._answers_to(_host(scope)):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await problem(400, "unknown_host", "This server does not answer to that host name.")(scope, receive, send)

    def _answers_to(self, host: str) -> bool:
        return "*" in self._names or host in self._names or host.endswith(self._below)


def _host(scope: Scope) -> str:
    """The `Host` header without its port; an IPv6 address keeps its brackets."""
    host = Headers(scope=scope).get("host", "").lower()
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
