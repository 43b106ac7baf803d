"""The answer to a request whose body is not wanted: the connection closes only when its sender has read it.

Closing while bytes are unread resets the connection, and a client that is still sending would find that
instead of the answer. So what comes is read on and thrown away, within bounds.
"""

from __future__ import annotations

import asyncio
import contextlib

from tailrace.asgi import Message, Receive, Scope, Send
from tailrace.facade import Answered

__all__ = ["Lingering"]

_SECONDS = 2.0
_MOST_BYTES = 16_777_216


class Lingering:
    """Answers with `answer`, which must say how long it is and that the connection closes."""

    def __init__(self, answer: Answered) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_on(message: Message) -> None:
            await send({**message, "more_body": True} if message["type"] == "http.response.body" else message)

        await self._answer(scope, receive, send_on)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SECONDS):
                await _discard(receive)
        await send({"type": "http.response.body", "body": b""})


async def _discard(receive: Receive) -> None:
    left = _MOST_BYTES
    while left > 0:
        message = await receive()
        if not message.get("more_body"):  # the last piece, or the client has gone
            return
        left -= len(message["body"])
