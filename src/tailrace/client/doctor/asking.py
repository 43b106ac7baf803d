"""One request of the doctor, and what came of it. Which requests, and what they mean, is left to others here.

A connection that breaks is an answer like any other: nothing is repeated, and nothing is raised for it.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx2

from tailrace.client.doctor.facts import Passed, Watched
from tailrace.client.transport import BODY_LIMIT, HOPELESS, TRANSIENT, describe
from tailrace.errors import EventTooLarge
from tailrace.sse import Decoder, Event

__all__ = ["BROKEN", "PATIENCE", "ask", "watch"]

PATIENCE: Final = 15.0
"""Seconds for what should be answered at once."""

BROKEN: Final = (*TRANSIENT, *HOPELESS, TimeoutError, EventTooLarge)
"""What may become of a request."""


async def watch(http: httpx2.AsyncClient, url: str, headers: Mapping[str, str], seconds: float = 0.0) -> Watched:
    """Read a stream to its end, which should come after `seconds`, and note when what arrived."""
    watching = _Watching()
    try:
        async with (
            asyncio.timeout(seconds + PATIENCE),
            http.stream("GET", url, headers=headers, timeout=seconds + PATIENCE) as response,
        ):
            watching.head(response)
            async for chunk in response.aiter_raw():
                watching.piece(chunk)
    except BROKEN as error:
        watching.why = _reason(error)
    return watching.over()


async def ask(http: httpx2.AsyncClient, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Passed:
    """Ask, and read the beginning of the answer. Where the connection broke, the status is 0."""
    said = bytearray()
    try:
        async with (
            asyncio.timeout(PATIENCE + 30),
            http.stream(method, url, headers=headers, content=body or None) as response,
        ):
            async for chunk in response.aiter_bytes():
                said += chunk
                if len(said) > BODY_LIMIT:
                    break
    except BROKEN:
        return Passed(0, {}, {})
    return Passed(response.status_code, response.headers, _told(bytes(said)))


class _Watching:
    """Notes what a stream brings."""

    def __init__(self) -> None:
        self._now = asyncio.get_running_loop().time
        self._began = self._now()
        self._status, self._http = 0, ""
        self._headers: Mapping[str, str] = {}
        self._decoder = Decoder()
        self._plain: Callable[[bytes], bytes] = bytes
        self._events: list[tuple[float, Event]] = []
        self._arrivals: list[float] = []
        self.why = ""

    def head(self, response: httpx2.Response) -> None:
        self._status, self._http, self._headers = response.status_code, response.http_version, response.headers
        # Somebody who compresses what must not be may do it unasked. Other ways are not in the standard library.
        if self._headers.get("content-encoding") in {"gzip", "deflate"}:
            self._plain = zlib.decompressobj(47).decompress

    def piece(self, chunk: bytes) -> None:
        at = self._now() - self._began
        self._arrivals.append(at)
        try:
            plain = self._plain(chunk)
        except zlib.error:
            return
        self._events += [(at, event) for event in self._decoder.receive(plain)]

    def over(self) -> Watched:
        return Watched(
            status=self._status,
            http=self._http,
            headers=self._headers,
            events=self._events,
            arrivals=self._arrivals,
            complete=bool(self._events) and self._events[-1][1].event == "end",
            ended=self._now() - self._began,
            why=self.why,
        )


def _told(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _reason(error: Exception) -> str:
    return "nothing came any more" if isinstance(error, TimeoutError) else describe(error)
