"""Who views a channel or a run, over HTTP (`…/viewers`): how many now, or as that changes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import BaseRoute

from tailrace.access.caller import Caller
from tailrace.asgi import HEADERS, NO_CONTENT
from tailrace.facade import Answered, Tailrace
from tailrace.hub import control
from tailrace.sse import HEARTBEAT
from tailrace.web.accepts import AS_IT_IS, wants_stream
from tailrace.web.identity import caller_of, reader_of, require
from tailrace.web.routes import StreamRoute

__all__ = ["Viewing"]

_RETRY: Final = 2000
"""Milliseconds that a client waits before it comes back."""


class Viewing:
    """The endpoints of viewers. Their streams have no ids: each figure is all there is to know."""

    def __init__(self, tailrace: Tailrace) -> None:
        self._tailrace = tailrace
        self._leaving = asyncio.Event()
        tailrace.on_leaving.append(self._leaving.set)

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """Where they are found."""
        return (
            StreamRoute(self._tailrace, "/events/{channel}/viewers", self.of_channel, methods=["GET"]),
            StreamRoute(self._tailrace, "/api/chat/{run}/viewers", self.of_run, methods=["GET"]),
        )

    async def of_channel(self, request: Request) -> Answered:
        """Tell how many view a channel: once, or, to who asks for an event stream, as it changes."""
        channel = request.path_params["channel"]
        caller = require(request, "subscribe", channel)
        if not wants_stream(request.headers):
            viewers = await self._tailrace.presence.viewers(channel)
            who = {"who": viewers.names} if caller.is_admin else {}
            return JSONResponse({"channel": channel, "viewers": viewers.count, **who}, headers=AS_IT_IS)
        return self._stream({"channel": channel}, self._tailrace.presence.counts(channel), caller)

    async def of_run(self, request: Request) -> Answered:
        """Tell how many watch a run, as for a channel. 204 once it has ended: an `EventSource` comes back no more."""
        run, caller, audience = request.path_params["run"], caller_of(request), self._tailrace.audience
        reader = reader_of(caller, run)
        if not wants_stream(request.headers):
            return JSONResponse({"run": run, "viewers": await audience.viewers(run, reader)}, headers=AS_IT_IS)
        if not await audience.goes_on(run, reader):
            return NO_CONTENT
        return self._stream({"run": run}, audience.counts(run, reader), caller)

    def _stream(self, named: Mapping[str, str], counts: AsyncGenerator[int], caller: Caller) -> Answered:
        headers = {name.decode(): value.decode() for name, value in HEADERS}
        headers["tailrace-heartbeat"] = f"{self._tailrace.options.heartbeat:g}"
        return StreamingResponse(self._tell(named, counts, caller), headers=headers)

    async def _tell(
        self, named: Mapping[str, str], counts: AsyncGenerator[int], caller: Caller
    ) -> AsyncGenerator[bytes]:
        leaving = asyncio.ensure_future(self._leaving.wait())
        coming = asyncio.ensure_future(anext(counts, None))
        retry: int | None = _RETRY
        try:
            while True:
                patience = min(self._tailrace.options.heartbeat, self._left(caller))
                await asyncio.wait((coming, leaving), timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                if leaving.done():
                    yield _goodbye("draining")
                    return
                if coming.done():
                    count = await coming
                    if count is None:  # what is counted has ended
                        return
                    yield control("viewers", {**named, "viewers": count}, retry=retry)
                    coming, retry = asyncio.ensure_future(anext(counts, None)), None
                elif self._left(caller) <= 0:
                    yield _goodbye("expired")
                    return
                else:
                    yield HEARTBEAT
        finally:
            coming.cancel()
            leaving.cancel()
            await asyncio.wait((coming, leaving))
            await counts.aclose()

    def _left(self, caller: Caller) -> float:
        """For how many seconds the caller may still read."""
        return float("inf") if caller.expires is None else caller.expires - self._tailrace.hub.clock.time()


def _goodbye(reason: str) -> bytes:
    # Spread, so that those who were let go together do not come back together.
    return control("reconnect", {"reason": reason}, retry=random.randint(500, 3000))  # noqa: S311  # keeps no secret
