"""What `tailrace doctor` measures against: a stream whose events say when they left, and a body that is counted.

A stream is sent here as streams of runs and channels are, headers and heartbeats too, but without a log: it is kept
nowhere, and what is found is not the store's. Whoever may reach the server may use it, so it is bounded, and says
nothing but what the request itself brought. Judging what arrives is the client's part.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from tailrace import __version__
from tailrace.asgi import HEADERS
from tailrace.facade import Answered, Tailrace
from tailrace.sse import HEARTBEAT, Event, encode
from tailrace.web.bodies import read_body
from tailrace.web.options import WebOptions
from tailrace.web.problems import Problem
from tailrace.web.routes import StreamRoute

__all__ = ["STREAMS", "Probe"]

STREAMS: Final = tuple(f"{path}/doctor/stream" for path in ("", "/api/chat", "/events", "/v1"))
"""Proxies are set up by path: where streams are, a probe is too."""

_AT_ONCE: Final = 256
_ECHOED: Final = 200  # characters of what a request brought that are said back
_BLOCK: Final = 16_384  # bytes
_PAD: Final = "z" * _BLOCK
_STEP: Final = 1.0  # seconds; so soon a probe notices that the server leaves
_CREDENTIALS: Final = ("authorization", "x-api-key")
_RETURNED: Final = ("accept", "host", "idempotency-key", "last-event-id")


@dataclass(frozen=True, slots=True)
class _Course:
    """How a stream goes: `ticks` events `every` so many seconds, `flood` MB at once, `quiet` seconds of heartbeats."""

    ticks: int
    every: float
    flood: int
    quiet: float

    @classmethod
    def asked(cls, query: Mapping[str, str]) -> _Course:
        """Read it from a query. Raises `Problem` 422 where it would go on for too long."""
        return cls(
            ticks=int(_number(query, "ticks", 0, 100)),
            every=_number(query, "every", 0.25, 2),
            flood=int(_number(query, "flood", 0, 32)),
            quiet=_number(query, "quiet", 0, 300),
        )


def _number(query: Mapping[str, str], name: str, default: float, most: float) -> float:
    try:
        number = float(query.get(name, default))
    except ValueError:
        number = -1
    if not (isfinite(number) and 0 <= number <= most):
        raise Problem(422, "invalid_query", f"{name}: expected a number from 0 to {most:g}.")
    return number


class Probe:
    """The endpoints of the doctor."""

    def __init__(self, tailrace: Tailrace, options: WebOptions) -> None:
        self._tailrace = tailrace
        self._options = options
        self._open = 0

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """Where they are found."""
        return (
            *[StreamRoute(self._tailrace, path, self.stream, methods=["GET"]) for path in STREAMS],
            Route("/doctor/body", self.body, methods=["POST"]),
        )

    async def stream(self, request: Request) -> Answered:
        """Say what came of the request; then what the query asks for; then that this is the end."""
        course = _Course.asked(request.query_params)
        self._check_room()
        heartbeat = b"%g" % self._tailrace.options.heartbeat
        answer = StreamingResponse(self._events(course, self._seen(request)))
        answer.raw_headers = [*HEADERS, (b"tailrace-heartbeat", heartbeat), (b"tailrace-run", b"doctor")]
        return answer

    async def body(self, request: Request) -> Response:
        """Say how long a body was that arrived."""
        self._check_room()
        with self._seat():
            return JSONResponse({"bytes": len(await read_body(request, self._options.max_body))})

    def _seen(self, request: Request) -> dict[str, object]:
        headers = {name: request.headers.get(name, "")[:_ECHOED] for name in _RETURNED}
        return {
            "tailrace": __version__,
            "http": request.scope["http_version"],
            "headers": headers,
            "credentials": [name for name in _CREDENTIALS if name in request.headers],
            "echo": request.query_params.get("echo", "")[:_ECHOED],
            "heartbeat": self._tailrace.options.heartbeat,
            "max_body": self._options.max_body,
            # Who compresses may do it from some length on.
            "pad": "z" * int(_number(request.query_params, "pad", 0, 4096)),
        }

    async def _events(self, course: _Course, seen: dict[str, object]) -> AsyncIterator[bytes]:
        with self._seat():
            began = time.monotonic()
            yield _block("probe", seen)
            for number in range(course.ticks):
                if number:
                    await asyncio.sleep(course.every)
                yield _block("tick", {"at": round(time.monotonic() - began, 4)})
            async for block in self._flood(course.flood, began):
                yield block
            async for heartbeat in self._quiet(course.quiet):
                yield heartbeat
            yield _block("end", {"at": round(time.monotonic() - began, 4)})

    async def _flood(self, megabytes: int, began: float) -> AsyncIterator[bytes]:
        """So many blocks, as fast as they are taken, but never in the way of others: a proxy may take all at once."""
        for _ in range(megabytes * 1_048_576 // _BLOCK):
            yield _block("block", {"at": round(time.monotonic() - began, 4), "pad": _PAD})
            await asyncio.sleep(0)

    async def _quiet(self, seconds: float) -> AsyncIterator[bytes]:
        """Heartbeats, as often as on any quiet stream. A server that leaves waits for no probe."""
        beat = self._tailrace.options.heartbeat
        now = time.monotonic()
        end, due = now + seconds, now + beat
        while now < end and not self._tailrace.draining:
            await asyncio.sleep(min(_STEP, end - now, due - now))
            now = time.monotonic()
            if due <= now < end:
                due = now + beat
                yield HEARTBEAT

    def _check_room(self) -> None:
        if self._open >= _AT_ONCE:
            detail = f"{_AT_ONCE} streams are being examined already; try again in a minute."
            raise Problem(503, "doctor_busy", detail, {"retry-after": "60"})

    @contextlib.contextmanager
    def _seat(self) -> Iterator[None]:
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1


def _block(event: str, data: dict[str, object]) -> bytes:
    return encode(Event(json.dumps(data, separators=(",", ":")), event))
