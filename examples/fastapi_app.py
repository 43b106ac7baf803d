"""Tailrace in a FastAPI application: a resumable answer, and a live channel.

Start it and try:

    tailrace run examples.fastapi_app:app        (or: uvicorn examples.fastapi_app:app)

    curl -N -X POST localhost:8000/chat -H 'content-type: application/json' -d '{"message": "Hello"}'
    curl -N localhost:8000/prices
    curl -X POST localhost:8000/prices/1.07
"""

import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request
from pydantic import BaseModel
from starlette.responses import Response

from tailrace import Tailrace

tail = Tailrace()
app = FastAPI(lifespan=tail.lifespan)  # the lifespan drains the streams when the process is told to leave


class Ask(BaseModel):
    """What somebody asks."""

    message: str


async def answer(ask: Ask) -> AsyncIterator[str]:
    """Stand in for a model: say the question back, a word at a time."""
    for word in f"You said: {ask.message}".split(" "):
        yield word + " "
        await asyncio.sleep(0.05)


@app.post("/chat")
async def chat(ask: Ask, request: Request) -> Response:
    """Answer; a client that drops comes back with its Last-Event-ID and gets the rest of the same answer."""
    return tail.stream(request, lambda: answer(ask))


@app.get("/prices")
async def prices(request: Request) -> Response:
    """Follow the prices from now on, or from where the client was."""
    return tail.subscribe(request, "prices")


@app.post("/prices/{price}")
async def set_price(price: float) -> dict[str, str]:
    """Tell everybody a new price."""
    return {"id": await tail.publish("prices", {"eur": price}, event="tick")}
