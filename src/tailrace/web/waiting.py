"""Waiting for something on behalf of a client, for as long as the client waits too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar, cast

from starlette.requests import ClientDisconnect

from tailrace.asgi import Receive

__all__ = ["while_there"]

Result = TypeVar("Result")


async def while_there(receive: Receive, work: Awaitable[Result]) -> Result:
    """The result of `work`, which is cancelled when the client leaves. Raises `ClientDisconnect` then.

    The request's body must have been read: all that `receive` may still bring is the news of that.
    """
    waiting = cast("asyncio.Task[object]", asyncio.current_task())
    left = False

    def on_left(leaving: asyncio.Task[None]) -> None:
        nonlocal left
        if not leaving.cancelled():
            left = True
            waiting.cancel()

    # The work is done in the task that is here already; a second one, and a wait for both, cost as much as a request.
    leaving = asyncio.ensure_future(_gone(receive))
    leaving.add_done_callback(on_left)
    try:
        return await work
    except asyncio.CancelledError:
        if left and waiting.uncancel() == 0:
            raise ClientDisconnect from None
        raise  # it was this task that was cancelled
    finally:
        leaving.remove_done_callback(on_left)
        leaving.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
