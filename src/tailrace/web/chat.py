"""Native chat: ask, attach, look, cancel (`/api/chat`)."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tailrace.access.caller import Caller
from tailrace.access.limits.limiter import Limiter
from tailrace.chat.ask import Ask
from tailrace.chat.attempts import Attempt
from tailrace.chat.choice import choose
from tailrace.chat.gateway import Gateway
from tailrace.chat.models import Route as ModelRoute
from tailrace.chat.passing import Passed, of_trace
from tailrace.chat.providers.base import Routed
from tailrace.facade import Answered, Tailrace, cursor_of
from tailrace.runs import Summary
from tailrace.web.accepts import AS_IT_IS, wants_json, wants_stream
from tailrace.web.bodies import ChatBody, encode, parse, read_body
from tailrace.web.idempotency import key_of
from tailrace.web.identity import caller_of, reader_of, require
from tailrace.web.metering import metered
from tailrace.web.options import WebOptions
from tailrace.web.origins import Origins
from tailrace.web.problems import Problem
from tailrace.web.prompts import log_prompt
from tailrace.web.routes import StreamRoute
from tailrace.web.tracing import begin

__all__ = ["Chat"]

_GET_FIELDS = frozenset({"message", "model"})


class Chat:
    """The native chat endpoints over one gateway."""

    def __init__(
        self, tailrace: Tailrace, gateway: Gateway, options: WebOptions, limiter: Limiter | None = None
    ) -> None:
        self._tailrace = tailrace
        self._gateway = gateway
        self._options = options
        self._limiter = limiter
        self._origins = Origins(options.cors_origins)

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """Where they are found."""
        return (
            StreamRoute(self._tailrace, "/api/chat", self.post, methods=["POST"]),
            StreamRoute(self._tailrace, "/api/chat", self.get, methods=["GET"]),
            StreamRoute(self._tailrace, "/api/chat/{run}", self.attach, methods=["GET"]),
            Route("/api/chat/{run}", self.delete, methods=["DELETE"]),
        )

    async def post(self, request: Request) -> Answered:
        """Ask; or go on with the run that a cursor names, since fetch-based clients repeat their POST."""
        self._origins.check(request.headers)
        caller, cursor = require(request, "chat"), cursor_of(request.scope)
        body = await read_body(request, self._options.max_body)
        if cursor is not None:
            return await self._resume(cursor, caller)
        key, trace = request.headers.get("idempotency-key"), of_trace(request.scope["headers"])
        return await self._start(parse(body, ChatBody), key, trace, caller)

    async def get(self, request: Request) -> Answered:
        """Ask, as an `EventSource` can."""
        if not wants_stream(request.headers):
            raise Problem(406, "not_acceptable", "This is a stream: send Accept: text/event-stream.")
        self._origins.check_deliberate(request.headers)
        self._origins.check(request.headers)
        caller, cursor = require(request, "chat"), cursor_of(request.scope)
        if cursor is not None:
            return await self._resume(cursor, caller)
        fields = {name: value for name, value in request.query_params.items() if name in _GET_FIELDS}
        key, trace = request.query_params.get("key"), of_trace(request.scope["headers"])
        return await self._start(_convert(fields), key, trace, caller)

    async def _resume(self, cursor: str, caller: Caller) -> Answered:
        run = cursor.rpartition("-")[0]
        reading = await self._tailrace.read_or_refuse(run, caller.owner, cursor)
        return self._tailrace.respond(reading, caller.expires)

    async def _start(self, body: ChatBody, key: str | None, trace: Passed, caller: Caller) -> Answered:
        run = await self.start(body, key, trace, caller)
        return self._tailrace.respond(await self._tailrace.runs.read(run, caller.owner), caller.expires)

    async def start(self, body: ChatBody, key: str | None, trace: Passed, caller: Caller) -> str:
        """Ask: start a run, or find the one that `key` has started; its id. Raises what HTTP answers as a problem."""
        key = key_of(key)
        ask = body.ask()
        if trace:
            ask = msgspec.structs.replace(ask, headers=trace)
        route, who = self._gateway.route(body.model), _who(body, caller)
        attempts: list[Attempt] = []
        span = begin(self._options.tracer, trace, choose(route, who), ask)
        if span is not None:
            ask = msgspec.structs.replace(ask, headers=span.headers)
        words = self._words(body, ask, route, who)
        options = self._tailrace.run_options(**words, attempts=attempts, owner=caller.owner, span=span)
        runs = self._tailrace.runs

        def producer() -> Routed:
            return self._gateway.answer(ask, route, who, attempts)

        charged = metered(self._limiter, caller, producer, options.prompt_bytes)
        if key is None:
            run = (await runs.start(charged, options)).id
        else:
            fingerprint = hashlib.sha256(encode(body)).hexdigest()
            run = await runs.start_once(key, fingerprint, options, charged)
        if self._options.log_prompts:
            log_prompt(run, ask)
        return run

    def _words(self, body: ChatBody, ask: Ask, route: ModelRoute, who: str) -> dict[str, Any]:
        """Return the options of a run that what is asked, and of whom, decides."""
        # What the route says of callers who leave stands above what a caller may ask for.
        most = route.policy.grace(self._options.max_grace)
        grace = most if body.grace is None else body.grace
        target = choose(route, who)
        return {
            "model": target.model,
            "provider": target.provider,
            "grace": grace if most is None or grace is None else min(grace, most),
            "prompt_bytes": len(encode((ask.system, ask.messages, ask.tools))),
        }

    async def attach(self, request: Request) -> Answered:
        """Watch a run, from its start or a cursor; or look at its state."""
        run, caller = request.path_params["run"], caller_of(request)
        runs, reader = self._tailrace.runs, reader_of(caller, run)
        if wants_json(request.headers):
            return JSONResponse(_state(run, await runs.summary(run, reader)), headers=AS_IT_IS)
        snapshot = request.query_params.get("snapshot") == "1"
        reading = await runs.read(run, reader, cursor_of(request.scope), snapshot=snapshot)
        return self._tailrace.respond(reading, caller.expires)

    async def delete(self, request: Request) -> Response:
        """Cancel a run."""
        self._origins.check(request.headers)
        run = request.path_params["run"]
        summary = await self._tailrace.runs.cancel(run, reader_of(caller_of(request), run))
        return JSONResponse({"run": run, "status": summary.status})


def _who(body: ChatBody, caller: Caller) -> str:
    """Who asks, so that the same person is answered by the same arm of a route; else a stranger."""
    metadata = body.metadata or {}
    named = metadata.get("user") or metadata.get("user_id") or caller.owner
    return str(named) if named else secrets.token_hex(8)


def _convert(fields: dict[str, str]) -> ChatBody:
    try:
        return msgspec.convert(fields, ChatBody)
    except msgspec.ValidationError as error:
        raise Problem(422, "invalid_query", f"The query is not as expected: {error}") from error


def _state(run: str, summary: Summary) -> dict[str, Any]:
    return {
        "run": run,
        "status": summary.status,
        "model": summary.model,
        "provider": summary.provider,
        "text": summary.text,
        "thinking": summary.thinking,
        "tools": summary.tools,
        "finish_reason": summary.finish_reason,
        "usage": summary.usage,
        "first_token": summary.first_token,
        "seconds": summary.seconds,
        "attempts": summary.attempts,
        "error": summary.error,
        "created": summary.created,
        "ended": summary.ended,
    }
