"""Who sent a request: its credential is looked at before anything else, and whoever needs one and has none is refused.

Routes ask `caller_of` and `require`. Where nothing is configured that could be presented, this middleware is not in
place, and everybody is whoever is at their address.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request

from tailrace.access.authority import Authority
from tailrace.access.caller import Caller, anyone_at
from tailrace.access.grants import Action
from tailrace.access.refusals import CannotTell, CredentialRefused
from tailrace.asgi import READER, Receive, Scope, Send, problem
from tailrace.errors import StoreUnavailable
from tailrace.facade import Answered, Tailrace, cursor_of
from tailrace.runs.rights import ALL_RUNS, Reader
from tailrace.web.lateness import has_opened
from tailrace.web.origins import is_same_origin
from tailrace.web.probe import STREAMS
from tailrace.web.problems import Problem, answer

__all__ = ["SESSION_COOKIE", "Identity", "caller_of", "credential_in", "reader_of", "require", "whoever"]

SESSION_COOKIE: Final = "tailrace_session"

_CALLER: Final = "tailrace.caller"
_REALM: Final = 'Bearer realm="tailrace"'

_OPEN: Final = ("/doctor", "/health", "/static")
_OPEN_PATHS: Final = frozenset({"/", "/favicon.ico", "/openapi.json", *STREAMS})
"""What is anybody's: it says nothing of anybody, and starts nothing."""

_ASKING_PATHS: Final = frozenset({"/auth/session", "/dashboard"})
"""What says itself who may have it: a browser is to be shown how to sign in, and may always sign out."""

_CREDENTIALS: Final = frozenset(
    {"access_token", "api-key", "api_key", "apikey", "authorization", "bearer", "jwt", "token", "x-api-key"}
)
"""What others call a credential in a URL."""


def caller_of(request: HTTPConnection | Scope) -> Caller:
    """Who sent a request. Raises `Problem` 401 where that has to be said, and was not."""
    scope = request.scope if isinstance(request, HTTPConnection) else request
    caller: Caller | Problem | None = scope.get(_CALLER)
    if isinstance(caller, Problem):
        raise caller
    if caller is None:
        caller = scope[_CALLER] = anyone_at(_address(scope))
        scope[READER] = caller.name
    return caller


def whoever(scope: Scope) -> Caller:
    """Who sent a request, for what counts callers: whoever has not said who they are is whoever is at their address."""
    return anyone_at(_address(scope)) if isinstance(scope.get(_CALLER), Problem) else caller_of(scope)


def require(request: HTTPConnection | Scope, action: Action, name: str = "") -> Caller:
    """Return the caller, who may do this; `name` is the channel. Raises `Problem` 401 or 403 where they may not."""
    caller = caller_of(request)
    if not caller.grants.may(action, name):
        needed = f"{action}:{name}" if name else action
        raise Problem(403, "forbidden", f"Your credential does not allow this: it needs the scope {needed}.")
    return caller


def reader_of(caller: Caller, run: str) -> Reader:
    """As whom a caller asks for a run: as its owner, or as one to whom this or any run is open."""
    return ALL_RUNS if caller.is_admin or caller.watches == run else caller.owner


def credential_in(scope: Scope) -> str | None:
    """The key or token that a request brings in its headers, if any."""
    bearer = key = b""
    for name, value in scope["headers"]:
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            bearer = bearer or value[7:].strip()
        elif name == b"x-api-key":
            key = key or value.strip()
    return (bearer or key).decode("latin-1") or None


class Identity:
    """Finds out who sent each request, and answers 401 where that is needed and cannot be said."""

    def __init__(self, app: Answered, authority: Authority, tailrace: Tailrace) -> None:
        self._app = app
        self._authority = authority
        self._tailrace = tailrace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with its caller; or refuse it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        try:
            caller = None if _is_open(path) else await self._identify(scope)
        except Problem as refused:
            await _refuse(refused, scope, receive, send)
            return
        except StoreUnavailable:
            await self._tailrace.come_back()(scope, receive, send)
            return
        if caller is None and self._authority.required:
            needed = _unauthorized("This needs a credential: an API key or a token as Authorization: Bearer …")
            if not (_is_open(path) or path in _ASKING_PATHS):
                await _refuse(needed, scope, receive, send)
                return
            scope[_CALLER] = needed
        else:
            scope[_CALLER] = caller = caller or anyone_at(_address(scope))
            scope[READER] = caller.name
        await self._app(scope, receive, send)

    async def _identify(self, scope: Scope) -> Caller | None:
        """Who presents something, if anybody does. Raises `Problem`, `StoreUnavailable`."""
        raw = scope["query_string"]
        query = dict(parse_qsl(raw.decode(errors="replace"))) if raw else {}
        self._refuse_in_url(query)
        presented, address, holder = credential_in(scope), _address(scope), None
        try:
            if presented is not None:
                holder = await self._authority.by_credential(presented, address)
            if "ticket" in query:
                return await self._by_ticket(query["ticket"], scope, address, holder)
        except CredentialRefused as refused:
            raise _unauthorized(f"{_sentence(str(refused))}.", presented=True) from None
        except CannotTell as unknown:
            wait = {"retry-after": f"{unknown.retry_after:.0f}"}
            raise Problem(503, "identity_unavailable", f"{_sentence(str(unknown))}.", wait) from None
        return holder or self._signed_in(Headers(scope=scope), address)

    def _refuse_in_url(self, query: Mapping[str, str]) -> None:
        in_url = [name for name in query if name.lower() in _CREDENTIALS]
        in_url += [name for name in ("key", "ticket") if name in query and self._authority.is_key(query[name])]
        if in_url:
            detail = (
                f"A credential has no place in a URL, which is kept in logs and histories ({in_url[0]}). Send it as "
                "Authorization: Bearer …; where no header can be sent, ask POST /auth/ticket for a ticket."
            )
            raise Problem(401, "credential_in_url", detail, {"www-authenticate": _REALM})

    async def _by_ticket(self, text: str, scope: Scope, address: str, holder: Caller | None) -> Caller:
        """Who comes with a ticket; `holder` is whose credential came along, if one did."""
        if scope.get("method", "GET") not in {"GET", "HEAD"}:
            raise CredentialRefused("a ticket is good for GET alone")
        path, query = scope["path"], scope["query_string"].decode(errors="replace")
        caller, opens = self._authority.by_ticket(text, path, query, address)
        if holder is not None and caller.watches is None and holder.owner != caller.owner:
            raise CredentialRefused("the ticket is another caller's")
        if not opens:
            cursor = cursor_of(scope)
            if cursor is None or not await has_opened(self._tailrace, caller, path, query, cursor):
                raise CredentialRefused("the ticket has expired; ask POST /auth/ticket for another")
        return caller

    def _signed_in(self, headers: Headers, address: str) -> Caller | None:
        """Who is signed in on a page of ours. A session that is over is none: only signing in anew replaces it."""
        session = _cookie(headers.get("cookie", ""), SESSION_COOKIE)
        if session is None or not is_same_origin(headers):
            return None
        try:
            return self._authority.by_session(session, address)
        except CredentialRefused:
            return None


def _cookie(header: str, name: str) -> str | None:
    """A cookie of ours, which is never quoted.

    Python's own reader takes 22 s of the event loop for 60 KB of backslashes in quotes (CVE-2024-7592).
    """
    for cookie in header.split(";"):
        named, _, value = cookie.strip().partition("=")
        if named == name:
            return value
    return None


def _is_open(path: str) -> bool:
    return path in _OPEN_PATHS or path in _OPEN or path.startswith(tuple(f"{each}/" for each in _OPEN))


def _unauthorized(detail: str, *, presented: bool = False) -> Problem:
    challenge = f'{_REALM}, error="invalid_token"' if presented else _REALM
    return Problem(401, "unauthorized", detail, {"www-authenticate": challenge})


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


async def _refuse(refused: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    said: Answered
    if scope["type"] == "http":  # in the shape of what was asked for
        said = await answer(Request(scope, receive), refused)
    else:
        said = problem(refused.status, refused.code, refused.detail, headers=refused.headers)
    await said(scope, receive, send)


def _address(scope: Mapping[str, Any]) -> str:
    """The address of the caller, as far as `trusted_proxies` vouch for it; a Unix socket has none."""
    client = scope.get("client")
    return client[0] if client else "local"
