"""Channels over HTTP: publish, subscribe, read back, drop (`/events/{channel}`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tailrace.channels import History
from tailrace.facade import Answered, Tailrace, cursor_of
from tailrace.web.accepts import AS_IT_IS, wants_json
from tailrace.web.bodies import PublishBody, parse, read_body
from tailrace.web.options import WebOptions
from tailrace.web.origins import Origins
from tailrace.web.problems import Problem
from tailrace.web.routes import StreamRoute

__all__ = ["Events"]

_MOST = 1000


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
        body = await read_body(request, self._options.max_body)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "text/plain":
            event = PublishBody(data=_text(body))
        else:
            event = parse(body, PublishBody)
        position = await self._tailrace.channels.publish(channel, event.data, event.event, event.idempotency_key)
        return JSONResponse({"channel": channel, "id": str(position)})

    async def read(self, request: Request) -> Answered:
        """Subscribe, or look at what is retained."""
        channel, query = request.path_params["channel"], request.query_params
        cursor = cursor_of(request.scope)
        if wants_json(request.headers):
            history = await self._tailrace.channels.history(channel, cursor, _limit(query.get("limit")))
            return JSONResponse(_retained(channel, history), headers=AS_IT_IS)
        reading = await self._tailrace.channels.read(
            channel, cursor, earliest=_earliest(query.get("from")), only=query.getlist("event")
        )
        return self._tailrace.respond(reading)

    async def drop(self, request: Request) -> Response:
        """Delete a channel's history."""
        self._origins.check(request.headers)
        channel = request.path_params["channel"]
        position = await self._tailrace.channels.drop(channel)
        return JSONResponse({"channel": channel, "id": str(position)})


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Problem(400, "malformed", f"The body is not UTF-8: {error}") from error


def _earliest(text: str | None) -> bool:
    if text not in {None, "earliest"}:
        raise Problem(422, "invalid_query", "from: expected earliest; without it, only what comes is sent.")
    return text is not None


def _limit(text: str | None) -> int:
    if text is None:
        return _MOST
    number = text.lstrip("0")
    if not (number.isascii() and number.isdigit() and len(number) <= 9):
        raise Problem(422, "invalid_query", "limit: expected a whole number, 1 or more.")
    return min(int(number), _MOST)


def _retained(channel: str, history: History) -> dict[str, Any]:
    """The events, the id to go on from, and what became of the cursor, where one was sent."""
    epoch, verdict = history.position.epoch, history.verdict
    retained: dict[str, Any] = {
        "channel": channel,
        "id": str(history.position),
        "events": [
            {"id": f"{epoch}-{record.offset}", "event": record.event or "message", "data": record.data, "at": record.at}
            for record in history.records
        ],
    }
    if verdict is not None:
        retained["resume"] = {"recovered": verdict.recovered, "reason": verdict.reason, "missed": verdict.missed}
    return retained
