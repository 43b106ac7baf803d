"""Answers without an end, paced like a model's, on Tailrace's facade: one for each request to `/run`.

BENCH_RATE is the tokens a second of each. `/said` tells how many all of them have said so far.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tailrace import Tailrace

TOKEN = " water"  # a token's length, on average, with its space
PAUSE = 1 / int(os.environ["BENCH_RATE"])

tail = Tailrace()
said = 0


async def answer() -> AsyncIterator[str]:
    global said  # noqa: PLW0603  # one number for the whole process is what is asked for
    while True:
        await asyncio.sleep(PAUSE)
        said += 1
        yield TOKEN


async def run(request: Request) -> Response:
    return tail.stream(request, answer)


async def count(request: Request) -> Response:
    return PlainTextResponse(str(said))


app = Starlette(routes=[Route("/run", run), Route("/said", count)], lifespan=tail.lifespan)
