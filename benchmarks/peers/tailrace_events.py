"""The same channel on Tailrace's facade, run by `tailrace run`; the publisher is `ticker.py`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from ticker import publishing

from tailrace import Tailrace

tail = Tailrace()


async def publish(payload: str) -> None:
    await tail.publish("ticks", payload)


async def events(request: Request) -> Response:
    return tail.subscribe(request, request.path_params["channel"])


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with tail.lifespan(app), publishing(publish):
        yield


app = Starlette(routes=[Route("/events/{channel}", events)], lifespan=lifespan)
