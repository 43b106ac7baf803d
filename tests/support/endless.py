"""An application whose answers never end by themselves, to be told to leave: `uvicorn tests.support.endless:app`.

The environment's `DRAIN_TIMEOUT` says how many seconds it takes to leave, 1 where it says nothing.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tailrace import Options, Tailrace

__all__ = ["app"]

tail = Tailrace(options=Options(drain_timeout=float(os.environ.get("DRAIN_TIMEOUT", "1"))))


async def _answer() -> AsyncIterator[str]:
    yield "and so on "
    await asyncio.Event().wait()


async def _chat(request: Request) -> Response:
    return tail.stream(request, _answer)


async def _prices(request: Request) -> Response:
    return tail.subscribe(request, "prices")


async def _flood(request: Request) -> Response:
    for _ in range(8):
        await tail.publish("prices", "x" * 1_000_000)
        await asyncio.sleep(0.01)
    return Response("flooded")


app = Starlette(
    routes=[
        Route("/chat", _chat, methods=["POST"]),
        Route("/prices", _prices),
        Route("/flood", _flood, methods=["POST"]),
    ],
    lifespan=tail.lifespan,
)
