"""The names that the server answers to: a page elsewhere can have its own name lead here (DNS rebinding)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request

from tailrace.asgi import Receive, Scope, Send, problem
from tailrace.facade import Answered
from tailrace.web.problems import Problem, answer

__all__ = ["Hosts", "Names", "is_local_name"]

# Balancers and supervisors ask each instance, by its address or no name at all. The answer is worth nothing to others.
_PROBES: Final = frozenset({"/health/live", "/health/ready"})


class Hosts:
    """Refuses requests for hosts that `answers_to` does not know; it is asked with a name in lower case."""

    def __init__(self, app: Answered, answers_to: Callable[[str], bool]) -> None:
        self._app = app
        self._answers_to = answers_to

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in {"http", "websocket"} or scope["path"] in _PROBES or self._answers_to(_host(scope)):
            await self._app(scope, receive, send)
            return
        detail = "This server does not answer to that host name; allowed_hosts in its settings adds one."
        if scope["type"] == "websocket":
            await problem(400, "unknown_host", detail)(scope, receive, send)
        else:
            refusal = await answer(Request(scope, receive), Problem(400, "unknown_host", detail))
            await refusal(scope, receive, send)


class Names:
    """A list of names; `*.example.com` is every name below that one, `*` any at all."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(name.lower() for name in names if not name.startswith("*."))
        self._below = tuple(name[1:].lower() for name in names if name.startswith("*."))

    def __call__(self, host: str) -> bool:
        """Whether a name is in it."""
        return "*" in self._names or host in self._names or host.endswith(self._below)


@lru_cache(maxsize=64)  # a server has few names, and each request says one
def is_local_name(host: str) -> bool:
    """Whether nobody else can have a name lead here: it is an address, or no name of the public DNS.

    Public names have a dot. Those below `localhost` never leave the machine (RFC 6761).
    """
    if host.endswith(".localhost") or not set(host) & set(".:"):
        return True
    try:
        return bool(ip_address(host.strip("[]")))
    except ValueError:
        return False


def _host(scope: Scope) -> str:
    """The `Host` header without its port; an IPv6 address keeps its brackets."""
    host = Headers(scope=scope).get("host", "").lower()
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
