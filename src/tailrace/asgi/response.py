"""A stream as an application's own answer, which is looked up when it is sent.

Where Starlette is installed it is a `Response` of Starlette's (FastAPI takes nothing else), else a plain ASGI
application. What is looked up, and what becomes of a failure, is for whoever makes one to say.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from tailrace.asgi.problem import problem
from tailrace.asgi.sink import Message, Receive, Scope, Send

try:
    from starlette.responses import Response as _Response
except ImportError:
    _Response = object  # type: ignore[assignment,misc]  # an answer is then a plain ASGI application

__all__ = ["Answered", "StreamResponse"]

Answered = Callable[[Scope, Receive, Send], Awaitable[None]]


class StreamResponse(_Response):
    """An answer that is looked up when it is sent: a stream, a 204, or a problem.

    Headers and cookies that an application sets on it are sent along. Its `background` task runs when the
    answer is on its way: on the direct lane that is when the connection was handed over.
    """

    def __init__(self, look_up: Callable[[Scope], Awaitable[Answered]]) -> None:
        if _Response is not object:
            super().__init__(media_type="text/event-stream")
            del self.headers["content-length"]
        self._look_up = look_up

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. HEAD gets no stream, and starts nothing."""
        if scope["method"] == "HEAD":
            answer: Answered = problem(405, "method_not_allowed", "This is a stream; HEAD has none.")
        else:
            answer = await self._look_up(scope)
        await answer(scope, receive, _adding(getattr(self, "raw_headers", ()), send))
        background = getattr(self, "background", None)
        if background is not None:
            await background()


def _adding(headers: Iterable[tuple[bytes, bytes]], send: Send) -> Send:
    """Add an application's own headers to whatever is answered; what a stream is, they do not say."""
    own = [(name, value) for name, value in headers if name not in {b"content-type", b"content-length"}]
    if not own:
        return send

    async def added(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *own]
        await send(message)

    return added
