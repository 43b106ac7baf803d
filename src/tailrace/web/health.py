"""How the server is: for people and dashboards, for a supervisor (live) and for a balancer (ready).

Where several processes serve the port, what is said for people is said for all of them; whether one lives, or
may be sent work, is its own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tailrace.access.limits.limiter import Limiter
from tailrace.asgi import Message, Receive, Scope, Send
from tailrace.facade import Answered, Tailrace
from tailrace.web.peers import Peers

__all__ = ["Health", "RequestCounter", "resident_bytes", "status_of", "together", "totals"]

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

_QUESTION: Final = "health"
_SUMMED: Final = (
    "active_streams",
    "active_runs",
    "subscribers",
    "total_requests",
    "failed_requests",
    "total_tokens",
    "memory_mb",
)
_TOTALS: Final = ("total_requests", "failed_requests", "total_tokens")
"""Those of them that never fall."""
_SINCE: Final = ("degraded_since", "limits_degraded_since")


class Health:
    """The health endpoints."""

    def __init__(self, tailrace: Tailrace, peers: Peers | None = None, limiter: Limiter | None = None) -> None:
        self._tailrace = tailrace
        self._limiter = limiter
        self._peers = peers
        self._started = time.monotonic()
        if peers is not None:
            peers.answer(_QUESTION, self._figures, totals)

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """Where they are found."""
        return (
            Route("/health", self.health, methods=["GET"]),
            Route("/health/live", self.live, methods=["GET"]),
            Route("/health/ready", self.ready, methods=["GET"]),
        )

    async def health(self, request: Request) -> Response:
        """What is going on here, in all processes."""
        if self._peers is None:
            return JSONResponse(self._figures())
        answers = await self._peers.ask(_QUESTION)
        counted = {"answered": len(answers.said), "of": answers.asked}
        return JSONResponse({**together(answers.said, answers.left), "workers": counted})

    def _figures(self) -> dict[str, Any]:
        """What is going on in this process."""
        tailrace = self._tailrace
        subscriptions, counted = tailrace.hub.subscriptions, tailrace.counters
        return {
            "status": status_of(tailrace),
            "active_streams": len(subscriptions),
            "active_runs": len(tailrace.runs.live),
            "subscribers": sum([subscription.lasting for subscription in subscriptions]),
            "total_requests": int(counted["requests"]),
            "failed_requests": int(counted["requests.failed"] + counted.sum("runs.ended", "failed")),
            "total_tokens": int(counted.sum("tokens", "output")),
            "uptime_seconds": round(time.monotonic() - self._started, 3),
            "memory_mb": round(resident_bytes() / 1_048_576, 1),
            "store": tailrace.hub.store.kind,
            "degraded_since": tailrace.hub.store.failing_since,
            "limits_degraded_since": None if self._limiter is None else self._limiter.degraded_since,
            "pid": os.getpid(),
        }

    async def live(self, request: Request) -> Response:
        """The process answers."""
        return JSONResponse({"status": "live"})

    async def ready(self, request: Request) -> Response:
        """Whether new work may be sent here; not while this process leaves."""
        if self._tailrace.draining:
            return JSONResponse({"status": "draining"}, 503)
        return JSONResponse({"status": "ready"})


def totals(left: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What is left of processes that are gone: what they had counted."""
    return {name: sum(one[name] for one in left) for name in _TOTALS}


def together(each: Sequence[Mapping[str, Any]], left: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """One answer from those of all processes, the asked one's first: sums, and the uptime of the oldest.

    What is counted is counted of those too that have `left`, so that it never falls. The service is degraded if any
    process is, and since the first was; it leaves when all do, since one that does is being replaced.
    """
    statuses = [one["status"] for one in each]
    staying = [status for status in statuses if status != "draining"]
    status = "draining" if not staying else "degraded" if "degraded" in staying else "healthy"
    sums = {name: round(sum(one[name] for one in each), 1) for name in _SUMMED}
    sums |= {name: sums[name] + total for name, total in totals(left).items()}
    since = {name: min((at for one in each if (at := one.get(name)) is not None), default=None) for name in _SINCE}
    oldest = max(one["uptime_seconds"] for one in each)
    return {**each[0], **sums, **since, "status": status, "uptime_seconds": oldest}


def status_of(tailrace: Tailrace) -> str:
    """How a process is, in a word: `draining`, `degraded` (its store is) or `healthy`."""
    if tailrace.draining:
        return "draining"
    return "healthy" if tailrace.hub.store.failing_since is None else "degraded"


def resident_bytes() -> int:
    """Bytes of memory that this process has."""
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
