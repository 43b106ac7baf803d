"""Several channels over HTTP (`/events`): published to in one call, followed on one connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from tailrace.asgi import problem
from tailrace.channels import Outcome, Publication
from tailrace.facade import Answered, Tailrace, cursor_of
from tailrace.log import Position
from tailrace.web.accepts import AS_IT_IS, wants_json
from tailrace.web.bodies import PublishManyBody, parse, read_body
from tailrace.web.idempotency import own_key
from tailrace.web.identity import caller_of, require
from tailrace.web.options import WebOptions
from tailrace.web.origins import Origins
from tailrace.web.problems import Problem, told_of
from tailrace.web.queries import beginning, limit, only
from tailrace.web.retained import retained_of_several
from tailrace.web.routes import StreamRoute

__all__ = ["Several"]


class Several:
    """The endpoint of several channels at once."""

    def __init__(self, tailrace: Tailrace, options: WebOptions) -> None:
        self._tailrace = tailrace
        self._options = options
        self._origins = Origins(options.cors_origins)

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """Where it is found."""
        return (
            Route("/events", self.publish, methods=["POST"]),
            StreamRoute(self._tailrace, "/events", self.read, methods=["GET"]),
        )

    async def publish(self, request: Request) -> Answered:
        """Publish events to any channels; answered when it is known of each whether the store has it."""
        self._origins.check(request.headers)
        body = parse(await read_body(request, self._options.max_body), PublishManyBody)
        events = [Publication(each.channel, each.data, each.event, each.state) for each in body.events]
        for channel in dict.fromkeys([event.channel for event in events]):
            require(request, "publish", channel)
        outcomes = await self._tailrace.channels.publish_all(events, own_key(body.idempotency_key, caller_of(request)))
        told = [_told(event, outcome) for event, outcome in zip(events, outcomes, strict=True)]
        failed = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        return _refused(failed, told) if failed else JSONResponse({"events": told})

    async def read(self, request: Request) -> Answered:
        """Subscribe to several channels on one connection, or look at what they retain."""
        query, cursor = request.query_params, cursor_of(request.scope)
        channels = list(dict.fromkeys(query.getlist("channel")))
        if not channels:
            raise Problem(422, "invalid_query", "channel: expected the name of a channel, once for each to follow.")
        callers = [require(request, "subscribe", channel) for channel in channels]
        if wants_json(request.headers):
            histories = await self._tailrace.channels.histories(channels, cursor, limit(query))
            return JSONResponse(retained_of_several(histories, only(query)), headers=AS_IT_IS)
        reading = await self._tailrace.channels.read_several(channels, cursor, **beginning(query))
        return self._tailrace.respond(reading, callers[0].expires)


def _told(event: Publication, outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Position):
        return {"channel": event.channel, "id": str(outcome)}
    told = told_of(outcome)
    return {"channel": event.channel, "error": {"code": told.code, "message": told.detail}}


def _refused(failed: Sequence[Exception], told: Sequence[dict[str, Any]]) -> Answered:
    """Say which events are nowhere. Those with an id are there, and a repeat with the same key leaves them so."""
    detail = f"{len(failed)} of {len(told)} events were not published; `events` says which."
    # 503 before 500 before 422: where waiting mends a part of it, the call is to be repeated.
    worst = max(map(told_of, failed), key=lambda each: (each.status, int(each.headers.get("retry-after", 0))))
    return problem(worst.status, worst.code, detail, headers=worst.headers, more={"events": told})
