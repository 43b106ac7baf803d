"""The endpoints of the Vercel AI SDK's `useChat`, with its default transport: ask, resume, and stop.

A chat's id is the page's own. It stands for the newest answer that its caller has asked for in that chat, so that a
page which was reloaded finds it by nothing else, on whichever instance. Nothing of the chat itself is kept here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tailrace.access.caller import Caller
from tailrace.asgi import NO_CONTENT, Message, Receive, Scope, Send
from tailrace.chat.dialects import AI_SDK
from tailrace.chat.dialects.ai_sdk import retold
from tailrace.chat.dialects.rendering import DialectRenderer, spoken
from tailrace.errors import RunNotFound, StoreUnavailable
from tailrace.facade import Answered, Tailrace
from tailrace.hub import Reading, Tail
from tailrace.runs.meta import RunMeta
from tailrace.web.compat import Compat
from tailrace.web.identity import caller_of
from tailrace.web.options import WebOptions
from tailrace.web.origins import Origins
from tailrace.web.routes import StreamRoute
from tailrace.web.shapes import AI_SDK_CHAT

__all__ = ["AiSdk"]

log = logging.getLogger("tailrace")

_PROTOCOL: Final = (b"x-vercel-ai-ui-message-stream", b"v1")


class AiSdk:
    """The endpoints over `compat`, which asks. Answers are found by their chat for as long as they can be read."""

    def __init__(self, tailrace: Tailrace, compat: Compat, options: WebOptions) -> None:
        self._tailrace = tailrace
        self._runs = tailrace.runs
        self._compat = compat
        self._origins = Origins(options.cors_origins)

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """Where they are found. A chat's id may have slashes."""
        ask = partial(self._tailrace.enter, answer=self.post)
        return (
            Route(AI_SDK_CHAT, ask, methods=["POST"]),
            StreamRoute(self._tailrace, f"{AI_SDK_CHAT}/{{chat:path}}/stream", self.resume, methods=["GET"]),
            Route(f"{AI_SDK_CHAT}/{{chat:path}}/stop", self.stop, methods=["POST"]),
        )

    async def post(self, request: Request) -> Answered:
        """Ask, and answer as a UI message stream; from now on the chat's id stands for this answer."""
        started = await self._compat.start(AI_SDK, request)
        chat = started.asked.body.get("id")
        if chat is not None:
            await self._name(started.run, _alias(started.caller, chat))
        return _UiStream(await self._compat.telling.stream(request, started.run, kept=started.kept))

    async def _name(self, run: str, alias: str) -> None:
        try:
            await self._runs.alias(run, alias, self._tailrace.options.keep_ended, newest=True)
        except StoreUnavailable as error:
            # It is being answered, and paid for: that cannot be had back, only not be resumed.
            log.warning("the answer %s cannot be resumed by its chat: %s", run, error)

    async def resume(self, request: Request) -> Answered:
        """The chat's answer from its beginning, while there is more of it to come; else 204.

        With `ended=true` one that has ended is told, too. That is not for every page that is loaded: one which has the
        answer would be told it again, and run its tools again.
        """
        reading = await self._find(request.path_params["chat"], caller_of(request))
        if reading is None:
            return NO_CONTENT
        if reading.tail.ended and request.query_params.get("ended") != "true":
            reading.close()
            return NO_CONTENT
        return _UiStream(self._tailrace.respond(reading))

    async def _find(self, chat: str, caller: Caller) -> Reading | None:
        run = await self._runs.aliased(_alias(caller, chat))
        if run is None:
            return None
        try:
            return await self._runs.read_as(run, caller.owner, _renderer)
        except RunNotFound:
            return None

    async def stop(self, request: Request) -> Response:
        """Cancel the chat's answer; one that has ended stays as it ended. 204 where there is none."""
        self._origins.check(request.headers)
        caller = caller_of(request)
        run = await self._runs.aliased(_alias(caller, request.path_params["chat"]))
        if run is not None:
            try:
                summary = await self._runs.cancel(run, caller.owner)
                return JSONResponse({"run": run, "status": summary.status})
            except RunNotFound:
                pass  # it was kept for as long as it was to be
        return Response(status_code=204)


def _alias(caller: Caller, chat: str) -> str:
    """Under which name a chat's answer is found: that of its caller, whose chats are nobody else's."""
    return f"chat:{json.dumps([caller.owner, chat])}"


def _renderer(tail: Tail) -> DialectRenderer:
    dialect, head = spoken(tail.epoch, RunMeta.parse(tail.meta).view)
    return DialectRenderer(dialect, retold(head))


class _UiStream:
    """Answers with a stream, and says in its head which protocol that is."""

    def __init__(self, answer: Answered) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], _PROTOCOL]
            await send(message)

        await self._answer(scope, receive, named)
