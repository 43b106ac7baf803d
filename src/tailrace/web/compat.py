"""Asking in the dialects of others (`POST` below `/v1`): official SDKs work when only their base URL is changed.

A request becomes a run here, like any other: it can be watched, resumed and cancelled natively as well. What a
dialect is lies in `chat.dialects`; how the run is told in it, and with which HTTP status, in `telling`.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from msgspec.structs import replace as replace_in_struct
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute
from starlette.routing import Route as HttpRoute

from tailrace.access.caller import Caller
from tailrace.access.limits.limiter import Limiter
from tailrace.chat.attempts import Attempt
from tailrace.chat.choice import choose
from tailrace.chat.dialects import Dialect, Spoken
from tailrace.chat.dialects import Request as Asked
from tailrace.chat.dialects.rendering import pack
from tailrace.chat.gateway import Gateway
from tailrace.chat.models import Route
from tailrace.chat.passing import Raw, of_dialect, of_trace
from tailrace.chat.providers.base import Routed
from tailrace.facade import Answered, Tailrace
from tailrace.web.aliases import Aliases
from tailrace.web.bodies import encode, parse, read_body
from tailrace.web.idempotency import key_of
from tailrace.web.identity import require
from tailrace.web.metering import metered
from tailrace.web.options import WebOptions
from tailrace.web.origins import Origins
from tailrace.web.prompts import log_prompt
from tailrace.web.responses import Responses
from tailrace.web.shapes import PATHS
from tailrace.web.telling import Telling
from tailrace.web.tracing import begin, retraced

__all__ = ["Compat", "Started"]


class Started(NamedTuple):
    """A run that answers a request, what was asked, and by whom; `kept` as in `Failed`."""

    run: str
    asked: Asked
    caller: Caller
    kept: bool


class Compat:
    """The endpoints that start an answer, one for each dialect."""

    def __init__(
        self, tailrace: Tailrace, gateway: Gateway, options: WebOptions, limiter: Limiter | None = None
    ) -> None:
        self._tailrace = tailrace
        self._gateway = gateway
        self._options = options
        self._limiter = limiter
        self._origins = Origins(options.cors_origins)
        self._aliases = Aliases(tailrace)
        self.telling = Telling(tailrace, self._aliases, options.open_after)
        self._responses = Responses(tailrace, options, self.telling, self._aliases)

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """Where they are found, those of answers that are fetched later included."""
        enter = self._tailrace.enter
        asking = [
            HttpRoute(path, partial(enter, answer=partial(self.post, dialect)), methods=["POST"])
            for path, dialect in PATHS.items()
        ]
        return [*asking, *self._responses.routes]

    def close(self) -> None:
        """Give up what goes on beside requests."""
        self._aliases.close()

    async def post(self, dialect: Dialect, request: Request) -> Answered:
        """Ask, and answer as a stream, as a whole, or at once where the answer is to be fetched later."""
        run, asked, caller, kept = await self.start(dialect, request)
        if asked.background and not asked.stream:
            return await self._responses.begun(run, caller)
        if asked.stream:
            return await self.telling.stream(request, run, kept=kept)
        whole = await self.telling.whole(request, run, kept=kept)
        return JSONResponse(whole, headers={"tailrace-run": run})

    async def start(self, dialect: Spoken, request: Request) -> Started:
        """Start the run that answers a request in a dialect, or find the one that its key has started."""
        self._origins.check(request.headers)
        caller = require(request, "chat")
        body = await read_body(request, self._options.max_body)
        asked = _passing(dialect.read(parse(body, object)), request.scope["headers"])
        previous = asked.body.get("previous_response_id")
        if isinstance(previous, str):
            await self._responses.check_previous(previous, caller)
        key = key_of(request.headers.get("idempotency-key"))
        return Started(await self._start(dialect, asked, key, body, caller), asked, caller, kept=key is not None)

    async def _start(self, dialect: Spoken, asked: Asked, key: str | None, body: bytes, caller: Caller) -> str:
        """Start the run that answers, or find the one that its key has started."""
        gateway, runs = self._gateway, self._tailrace.runs
        route = gateway.sayable(asked, gateway.route(asked.model))
        who = asked.user or caller.owner or secrets.token_hex(8)
        span = begin(self._options.tracer, asked.headers, choose(route, who), asked.ask)
        asked = retraced(asked, span)
        relay = replace(asked, body=_without_background(asked.body)) if asked.background else asked
        attempts: list[Attempt] = []
        words = self._words(dialect, asked, route, who)
        options = self._tailrace.run_options(**words, attempts=attempts, owner=caller.owner, span=span)

        def producer() -> Routed:
            return gateway.answer(asked.ask, route, who, attempts, relay=relay)

        charged = metered(self._limiter, caller, producer, options.prompt_bytes)
        if key is None:
            run = (await runs.start(charged, options)).id
        else:
            fingerprint = hashlib.sha256(dialect.name.encode() + b"\n" + body).hexdigest()
            run = await runs.start_once(key, fingerprint, options, charged)
        if self._options.log_prompts:
            log_prompt(run, asked.ask, asked.body)
        # A key's run that was started before is followed already, maybe by another instance.
        if options.framed and dialect.name == "openai-responses" and run in runs.live:
            self._aliases.follow(run)
        return run

    def _words(self, dialect: Spoken, asked: Asked, route: Route, who: str) -> dict[str, Any]:
        """Return the options of a run that what is asked, and of whom, decides."""
        target = choose(route, who)
        said = asked.body if asked.ask is None else (asked.ask.system, asked.ask.messages, asked.ask.tools)
        return {
            "model": target.model,
            "provider": target.provider,
            "grace": None if asked.background else route.policy.grace(self._options.max_grace),
            "prompt_bytes": len(encode(said)),
            "view": pack(dialect.name, dialect.head(asked, "", int(time.time()))),
            "framed": self._gateway.relays(asked, route),
        }


def _passing(asked: Asked, headers: Raw) -> Asked:
    """Return what is asked with the headers that go along: the dialect's own, and the trace to whoever answers."""
    trace, own = of_trace(headers), of_dialect(asked.kind, headers)
    if not (trace or own):
        return asked
    ask = asked.ask and replace_in_struct(asked.ask, headers=trace)
    return replace(asked, ask=ask, headers=(*own, *trace))


def _without_background(body: dict[str, Any]) -> dict[str, Any]:
    """Return the caller's words as the provider is to hear them: that the run goes on by itself is our doing."""
    return {name: said for name, said in body.items() if name != "background"}
