"""Who is over a limit is told here, before anything is read or started; who is let in is told what is left.

It stands within `identity`, since it counts by caller. A stream has its place until it is over, which on the direct
lane is later than the end of its request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Final

from starlette.requests import Request

from tailrace.access.caller import Caller
from tailrace.access.limits.account import Account
from tailrace.access.limits.addresses import network_of
from tailrace.access.limits.limiter import Limiter
from tailrace.access.limits.refused import Reason, Refused
from tailrace.asgi import PLACE, Message, Receive, Scope, Send
from tailrace.facade import Answered, Tailrace
from tailrace.web.counted import Counted, counted, is_native
from tailrace.web.identity import whoever
from tailrace.web.problems import Problem, answer
from tailrace.web.quota_fields import fields_of

__all__ = ["Limited", "account_of", "problem_of"]

_CODES: Final[Mapping[Reason, tuple[int, str]]] = {
    Reason.REQUESTS: (429, "rate_limited"),
    Reason.STREAMS: (429, "too_many_streams"),
    Reason.TOKENS: (429, "token_budget"),
    Reason.STORE: (503, "limits_unavailable"),
}
_TOLD: Final[Mapping[Reason, str]] = {
    Reason.REQUESTS: "limited",
    Reason.STREAMS: "limited",
    Reason.TOKENS: "limited",
    Reason.STORE: "unavailable",
}
"""The reasons in a stream that only says when to come back."""
_WORTH_WAITING: Final = 60.0
"""Seconds that the SDKs wait at most; told a longer time they ask again sooner, which is of no use."""


def account_of(limiter: Limiter, caller: Caller) -> Account:
    """What is counted of a caller."""
    name = caller.name if caller.owner is not None else f"ip:{network_of(caller.address)}"
    return limiter.account(name, caller.limits)


def problem_of(refused: Refused) -> Problem:
    """What a caller who is over a limit is told."""
    status, code = _CODES[refused.reason]
    return Problem(status, code, refused.detail, {"retry-after": str(ceil(refused.retry_after))})


class Limited:
    """Counts requests and streams around an application."""

    def __init__(self, app: Answered, limiter: Limiter, tailrace: Tailrace) -> None:
        self._app = app
        self._limiter = limiter
        self._tailrace = tailrace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request in, or answer it. What comes over a WebSocket is the session's to ask for."""
        what = counted(scope) if scope["type"] == "http" else None
        account = None if what is None else account_of(self._limiter, whoever(scope))
        if what is None or account is None or not account.bounded:
            await self._app(scope, receive, send)
        else:
            await self._count(what, account, scope, receive, send)

    async def _count(self, what: Counted, account: Account, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            admitted = await self._limiter.admit(account, what.asked, streaming=what.streaming, starting=what.starting)
        except Refused as refused:
            refusal = await self._refusal(what, account, refused, scope)
            await refusal(scope, receive, send)
            return
        if admitted.standing is not None:
            send = _telling(fields_of(account, what.asked, admitted.standing), send)
        place = admitted.place
        if place is None:
            await self._app(scope, receive, send)
            return
        scope[PLACE] = place
        try:
            await self._app(scope, receive, send)
        finally:
            place.leave()

    async def _refusal(self, what: Counted, account: Account, refused: Refused, scope: Scope) -> Answered:
        if what.returning:
            # An EventSource gives up for good on any status but 200; told this, it comes back with its cursor.
            return self._tailrace.come_back(_TOLD[refused.reason], refused.retry_after)
        told = problem_of(refused)
        headers = dict(told.headers or {})
        if not is_native(scope["path"]):
            headers["retry-after-ms"] = str(ceil(refused.retry_after * 1000))
            if refused.retry_after > _WORTH_WAITING:
                headers["x-should-retry"] = "false"
        if refused.standing is not None:
            fields = fields_of(account, what.asked, refused.standing)
            headers |= {name.decode(): value.decode() for name, value in fields}
        return await answer(Request(scope), Problem(told.status, told.code, told.detail, headers))


def _telling(fields: Sequence[tuple[bytes, bytes]], send: Send) -> Send:
    if not fields:
        return send

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *fields]
        await send(message)

    return told
