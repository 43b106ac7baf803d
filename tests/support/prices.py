"""A small application of somebody else's, with Tailrace in it: a channel, and a run that says what a test tells it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tailrace import Options, Tailrace

__all__ = ["Prices"]


class Prices:
    """`GET /prices` is a channel, `POST /chat` a run fed by `say`, `GET /plain` and `POST /echo` are no streams.

    `/plain?bytes=9` answers with that many bytes.
    """

    def __init__(self, options: Options | None = None, middleware: Sequence[Middleware] = ()) -> None:
        self.tail = Tailrace(options=options)
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self.app = Starlette(
            routes=[
                Route("/prices", self._prices),
                Route("/chat", self._chat, methods=["POST"]),
                Route("/plain", self._plain),
                Route("/echo", self._echo, methods=["POST"]),
            ],
            middleware=middleware,
            lifespan=self.tail.lifespan,
        )

    async def publish(self, *data: str) -> None:
        """Publish to the channel."""
        for each in data:
            await self.tail.publish("prices", each)

    async def say(self, *words: str | None) -> None:
        """Have the run say something; None ends it."""
        for word in words:
            self._lines.put_nowait(word)

    async def subscribers(self) -> int:
        """How many streams there are, of either kind."""
        return len(self.tail.hub.subscriptions)

    async def left(self) -> dict[str, int]:
        """What is still there of streams: all zeros once they are gone."""
        hub = self.tail.hub
        return {"subscriptions": len(hub.subscriptions), "waiting": len(hub.wheel), "tails": len(hub._tails)}

    async def _prices(self, request: Request) -> Any:
        return self.tail.subscribe(request, "prices")

    async def _chat(self, request: Request) -> Any:
        return self.tail.stream(request, self._answer)

    async def _plain(self, request: Request) -> Response:
        size = request.query_params.get("bytes")
        return JSONResponse({"plain": True}) if size is None else Response(b"z" * int(size))

    async def _echo(self, request: Request) -> JSONResponse:
        return JSONResponse({"bytes": len(await request.body())})

    async def _answer(self) -> AsyncIterator[str]:
        while (word := await self._lines.get()) is not None:
            yield word
