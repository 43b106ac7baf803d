"""Waiting for something on behalf of a client, for as long as the client waits too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.requests import ClientDisconnect

from tailrace.asgi import Receive

__all__ = ["while_there"]

Result = TypeVar("Result")


async def while_there(receive: Receive, work: Awaitable[Result]) -> Result:
    """The result of `work`, which is cancelled when the client leaves. Raises `ClientDisconnect` then.

    The request's body must have been read: all that `receive` may still bring is the news of that.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
