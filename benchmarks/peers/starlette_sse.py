"""A channel as users of sse-starlette write it: a queue for each subscriber, filled by the publisher.

Run by uvicorn with uvloop and httptools; the publisher is `ticker.py`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from ticker import publishing

queues: set[asyncio.Queue[ServerSentEvent]] = set()
numbers = itertools.count()


async def publish(payload: str) -> None:
    event = ServerSentEvent(payload, id=f"starlette-{next(numbers)}")
    for queue in queues:
        queue.put_nowait(event)


async def events(request: Request) -> EventSourceResponse:
    queue: asyncio.Queue[ServerSentEvent] = asyncio.Queue()
    queues.add(queue)
    return EventSourceResponse(_drained(queue))


async def _drained(queue: asyncio.Queue[ServerSentEvent]) -> AsyncIterator[ServerSentEvent]:
    try:
        while True:
            yield await queue.get()
    finally:
        queues.discard(queue)


app = Starlette(routes=[Route("/events/{channel}", events)], lifespan=lambda _: publishing(publish))
