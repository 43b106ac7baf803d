"""Channels over HTTP: publish, subscribe, read back, drop (`/events/{channel}`)."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tailrace.facade import Answered, Tailrace, cursor_of
from tailrace.web.accepts import AS_IT_IS, wants_json
from tailrace.web.bodies import PublishBody, parse, read_body
from tailrace.web.idempotency import own_key
from tailrace.web.identity import require
from tailrace.web.options import WebOptions
from tailrace.web.origins import Origins
from tailrace.web.problems import Problem
from tailrace.web.queries import beginning, limit, only
from tailrace.web.retained import retained
from tailrace.web.routes import StreamRoute

__all__ = ["Events"]


class Events:
    """The channel endpoints."""

    def __init__(self, tailrace: Tailrace, options: WebOptions) -> None:
        self._tailrace = tailrace
        self._options = options
        self._origins = Origins(options.cors_origins)

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """Where they are found."""
        return (
            Route("/events/{channel}", self.publish, methods=["POST"]),
            StreamRoute(self._tailrace, "/events/{channel}", self.read, methods=["GET"]),
            Route("/events/{channel}", self.drop, methods=["DELETE"]),
        )

    async def publish(self, request: Request) -> Response:
        """Publish an event; answered when the store has it."""
        self._origins.check(request.headers)
        channel = request.path_params["channel"]
        caller = require(request, "publish", channel)
        body = await read_body(request, self._options.max_body)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "text/plain":
            event = PublishBody(data=_text(body))
        else:
            event = parse(body, PublishBody)
        position = await self._tailrace.channels.publish(
            channel, event.data, event.event, own_key(event.idempotency_key, caller), event.state
        )
        return JSONResponse({"channel": channel, "id": str(position)})

    async def read(self, request: Request) -> Answered:
        """Subscribe, or look at what is retained."""
        channel, query = request.path_params["channel"], request.query_params
        caller, cursor = require(request, "subscribe", channel), cursor_of(request.scope)
        if wants_json(request.headers):
            history = await self._tailrace.channels.history(channel, cursor, limit(query))
            return JSONResponse(retained(channel, history, only(query)), headers=AS_IT_IS)
        reading = await self._tailrace.channels.read(channel, cursor, **beginning(query))
        return self._tailrace.respond(reading, caller.expires)

    async def drop(self, request: Request) -> Response:
        """Delete a channel's history."""
        self._origins.check(request.headers)
        channel = request.path_params["channel"]
        require(request, "publish", channel)
        position = await self._tailrace.channels.drop(channel)
        return JSONResponse({"channel": channel, "id": str(position)})


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Problem(400, "malformed", f"The body is not UTF-8: {error}") from error
