"""How the process is: for people and dashboards, for a supervisor (live) and for a balancer (ready)."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tailrace.asgi import Message, Receive, Scope, Send
from tailrace.facade import Answered, Tailrace

__all__ = ["Health", "RequestCounter"]

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Health:
    """The health endpoints."""

    def __init__(self, tailrace: Tailrace) -> None:
        self._tailrace = tailrace
        self._started = time.monotonic()

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """Where they are found."""
        return (
            Route("/health", self.health, methods=["GET"]),
            Route("/health/live", self.live, methods=["GET"]),
            Route("/health/ready", self.ready, methods=["GET"]),
        )

    async def health(self, request: Request) -> Response:
        """What is going on here."""
        tailrace = self._tailrace
        subscriptions, counted = tailrace.hub.subscriptions, tailrace.counters
        return JSONResponse(
            {
                "status": self._status(),
                "active_streams": len(subscriptions),
                "active_runs": len(tailrace.runs.live),
                "subscribers": sum([subscription.lasting for subscription in subscriptions]),
                "total_requests": int(counted["requests"]),
                "failed_requests": int(counted["requests.failed"] + counted["runs.failed"]),
                "total_tokens": int(counted["tokens"]),
                "uptime_seconds": round(time.monotonic() - self._started, 3),
                "memory_mb": round(_resident_bytes() / 1_048_576, 1),
                "store": tailrace.hub.store.kind,
            }
        )

    def _status(self) -> str:
        if self._tailrace.draining:
            return "draining"
        return "healthy" if self._tailrace.hub.store.failing_since is None else "degraded"

    async def live(self, request: Request) -> Response:
        """The process answers."""
        return JSONResponse({"status": "live"})

    async def ready(self, request: Request) -> Response:
        """Whether new work may be sent here; not while this process leaves."""
        if self._tailrace.draining:
            return JSONResponse({"status": "draining"}, 503)
        return JSONResponse({"status": "ready"})


def _resident_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
    except OSError:
        import resource  # noqa: PLC0415  # only where there is no /proc, and then it is the peak

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class RequestCounter:
    """Counts requests, and those that failed here, around an application."""

    def __init__(self, app: Answered, tailrace: Tailrace) -> None:
        self._app = app
        self._counters = tailrace.counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        counters = self._counters
        counters.add("requests")
        if scope["path"].startswith("/health"):
            await self._app(scope, receive, send)  # a balancer's probe that is told 503 has not failed
            return

        def counted(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start" and message["status"] >= 500:
                counters.add("requests.failed")
            return send(message)

        await self._app(scope, receive, counted)
