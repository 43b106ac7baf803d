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
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute
from starlette.routing import Route as HttpRoute

from tailrace.chat.attempts import Attempt
from tailrace.chat.choice import choose
from tailrace.chat.dialects import Dialect
from tailrace.chat.dialects import Request as Asked
from tailrace.chat.dialects.rendering import pack
from tailrace.chat.gateway import Gateway
from tailrace.chat.models import Route
from tailrace.chat.providers.base import Routed
from tailrace.facade import Answered, Tailrace
from tailrace.runs import RunOptions
from tailrace.web.aliases import Aliases
from tailrace.web.bodies import encode, parse, read_body
from tailrace.web.idempotency import key_of
from tailrace.web.options import WebOptions
from tailrace.web.origins import Origins
from tailrace.web.responses import Responses
from tailrace.web.shapes import PATHS
from tailrace.web.telling import Telling

__all__ = ["Compat"]


class Compat:
    """The endpoints that start an answer, one for each dialect."""

    def __init__(self, tailrace: Tailrace, gateway: Gateway, options: WebOptions) -> None:
        self._tailrace = tailrace
        self._gateway = gateway
        self._options = options
        self._origins = Origins(options.cors_origins)
        self._aliases = Aliases(tailrace)
        self._telling = Telling(tailrace, self._aliases, options.open_after)
        self._responses = Responses(tailrace, options, self._telling, self._aliases)

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """Where they are found, those of answers that are fetched later included."""
        asking = [HttpRoute(path, partial(self.post, dialect), methods=["POST"]) for path, dialect in PATHS.items()]
        return [*asking, *self._responses.routes]

    def close(self) -> None:
        """Give up what goes on beside requests."""
        self._aliases.close()

    async def post(self, dialect: Dialect, request: Request) -> Answered:
        """Ask, and answer as a stream, as a whole, or at once where the answer is to be fetched later."""
        self._origins.check(request.headers)
        body = await read_body(request, self._options.max_body)
        asked = dialect.read(parse(body, object))
        key = key_of(request.headers.get("idempotency-key"))
        run = await self._start(dialect, asked, key, body)
        if asked.background and not asked.stream:
            return await self._responses.begun(run)
        if asked.stream:
            return await self._telling.stream(request, run, kept=key is not None)
        whole = await self._telling.whole(request, run, kept=key is not None)
        return JSONResponse(whole, headers={"tailrace-run": run})

    async def _start(self, dialect: Dialect, asked: Asked, key: str | None, body: bytes) -> str:
        """Start the run that answers, or find the one that its key has started."""
        gateway, runs = self._gateway, self._tailrace.runs
        route = gateway.sayable(asked, gateway.route(asked.model))
        relay = replace(asked, body=_without_background(asked.body)) if asked.background else asked
        who = asked.user or secrets.token_hex(8)
        attempts: list[Attempt] = []
        options = self._run_options(dialect, asked, route, who, attempts)

        def producer() -> Routed:
            return gateway.answer(asked.ask, route, who, attempts, relay=relay)

        if key is None:
            run = (await runs.start(producer, options)).id
        else:
            fingerprint = hashlib.sha256(dialect.name.encode() + b"\n" + body).hexdigest()
            run = await runs.start_once(key, fingerprint, options, producer)
        # A key's run that was started before is followed already, maybe by another instance.
        if options.framed and dialect.name == "openai-responses" and run in runs.live:
            self._aliases.follow(run)
        return run

    def _run_options(
        self, dialect: Dialect, asked: Asked, route: Route, who: str, attempts: list[Attempt]
    ) -> RunOptions:
        target = choose(route, who)
        said = asked.body if asked.ask is None else (asked.ask.system, asked.ask.messages, asked.ask.tools)
        return self._tailrace.run_options(
            model=target.model,
            provider=target.provider,
            grace=None if asked.background else route.policy.grace(self._options.max_grace),
            prompt_bytes=len(encode(said)),
            attempts=attempts,
            view=pack(dialect.name, dialect.head(asked, "", int(time.time()))),
            framed=self._gateway.relays(asked, route),
        )


def _without_background(body: dict[str, Any]) -> dict[str, Any]:
    """Return the caller's words as the provider is to hear them: that the run goes on by itself is our doing."""
    return {name: said for name, said in body.items() if name != "background"}
