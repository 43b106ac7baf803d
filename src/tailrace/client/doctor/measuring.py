"""Which questions are asked of a server, so that `judging` can tell what lies before it.

First whether it is a Tailrace at all. Then all else at the same time: the quiet stream takes the longest.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import httpx2

from tailrace.client.doctor.arriving import arrival
from tailrace.client.doctor.asking import ask, watch
from tailrace.client.doctor.facts import Facts, Passed, Seen, Streams, Watched
from tailrace.client.doctor.pressing import MEGABYTES, swallowed
from tailrace.client.doctor.refusing import NotExamined, refused
from tailrace.client.requests import REDIRECTS, Request, follow, stream_headers
from tailrace.client.transport import base_url

__all__ = ["CURSOR", "KEY", "Visit", "measure"]

CURSOR: Final = "doctor-1"
KEY: Final = "doctor"
"""What is sent as `Last-Event-ID`, and as `Idempotency-Key` and credentials, to see whether it arrives."""

_STREAM: Final = "/doctor/stream"
_PATHS: Final = ("", "/api/chat", "/events", "/v1")
_TICKS: Final = 8
_EVERY: Final = 0.25  # seconds
_BROWSERS: Final = "gzip, deflate, br, zstd"
_ACROSS: Final = "authorization, content-type, idempotency-key, last-event-id"
_MOST_REDIRECTS: Final = 5
_LARGEST: Final = 8_388_608  # bytes of a body that are sent to see whether it passes
_GREETING: Final = 5.0  # seconds for TLS


@dataclass(frozen=True, slots=True)
class Visit:
    """What is to be examined: the server at `url`, as seen by pages of `origin` too.

    `key` is for a proxy that lets nobody pass without one; Tailrace's probe needs none.

    A stream is watched for `quiet` seconds in which only heartbeats pass, and `flood` megabytes are asked for and not
    read; 0 leaves that out. Raises `ValueError`.
    """

    url: str
    key: str | None = field(default=None, repr=False)
    origin: str | None = None
    quiet: float = 35.0
    flood: int = MEGABYTES

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        base_url(self.url)
        if not 0 <= self.quiet <= 300:
            raise ValueError(f"a stream can be watched for 0 to 300 seconds, not {self.quiet:g}")
        if not 0 <= self.flood <= 32:
            raise ValueError(f"a flood can have 0 to 32 megabytes, not {self.flood}")
        if self.origin is not None and (not urlsplit(self.origin).hostname or self.origin.count("/") != 2):
            raise ValueError(f"expected an origin such as https://app.example.com, got {self.origin!r}")


async def measure(visit: Visit) -> Facts:
    """Ask everything. Raises `NotExamined`."""
    async with httpx2.AsyncClient(timeout=30, follow_redirects=False) as http:
        return await _Questions(http, visit).ask()


class _Questions:
    """One examination. `echo` is what is looked for in the query."""

    def __init__(self, http: httpx2.AsyncClient, visit: Visit) -> None:
        self._http = http
        self._visit = visit
        self._base = base_url(visit.url)
        self._echo = secrets.token_hex(4)
        # The probe asks for no credentials: what is sent as one shows whether one arrives.
        credentials = {"authorization": f"Bearer {visit.key or KEY}", "x-api-key": visit.key or KEY}
        self._headers = stream_headers(CURSOR) | {"idempotency-key": KEY} | credentials

    async def ask(self) -> Facts:
        """Ask everything."""
        seen, redirects = await self._reach()
        large = min(seen.max_body, _LARGEST)
        async with asyncio.TaskGroup() as asking:
            below = [asking.create_task(self._streams(path, seen)) for path in _PATHS]
            swallowed = asking.create_task(self._swallowed())
            body = asking.create_task(ask(self._http, "POST", self._base + "/doctor/body", self._sent, b"z" * large))
            preflight = asking.create_task(self._preflight())
            crossed = asking.create_task(self._crossed())
            alpn = asking.create_task(_agreed(self._base))
        found = [each.result() for each in below]
        if isinstance(found[0], int):
            raise NotExamined(f"{self._base} answered at first, and then {found[0] or 'not any more'}; try again")
        return Facts(
            url=self._base,
            redirects=redirects,
            keyed="authorization" in self._headers,
            streams=[each for each in found if isinstance(each, Streams)],
            elsewhere={path: each for path, each in zip(_PATHS, found, strict=True) if isinstance(each, int)},
            swallowed=swallowed.result(),
            body=body.result(),
            large=large,
            preflight=preflight.result(),
            crossed=crossed.result(),
            alpn=alpn.result(),
        )

    async def _reach(self) -> tuple[Seen, list[str]]:
        """Find the server, over redirects if need be. Raises `NotExamined`."""
        request: Request | None = Request("GET", f"{self._base}{_STREAM}?echo={self._echo}", self._headers)
        redirects: list[str] = []
        while request is not None and len(redirects) <= _MOST_REDIRECTS:
            found = await watch(self._http, request.url, request.headers)
            if found.status not in REDIRECTS:
                self._base, self._headers = _above(request.url, found), dict(request.headers)
                return _seen(request.url, found), redirects
            request = follow(request, found.status, found.headers.get("location", ""))
            if request is not None:
                redirects.append(request.url.partition("?")[0].removesuffix(_STREAM))
        raise NotExamined(f"{self._visit.url} redirects without end, or to nowhere: {', '.join(redirects)}")

    @property
    def _sent(self) -> dict[str, str]:
        """The headers of what is no stream."""
        return {"content-type": "application/octet-stream"} | {
            name: value for name, value in self._headers.items() if name in {"authorization", "x-api-key"}
        }

    async def _watch(
        self, query: str, headers: dict[str, str] | None = None, seconds: float = 0.0, path: str = ""
    ) -> Watched:
        url = f"{self._base}{path}{_STREAM}?{query}&echo={self._echo}"
        return await watch(self._http, url, self._headers | (headers or {}), seconds)

    async def _streams(self, path: str, reached: Seen) -> Streams | int:
        """The streams below a path; or the status that somebody else answered there.

        Of the first one it is known that it is Tailrace's, even if nothing of it arrives: as it was `reached`.
        """
        async with asyncio.TaskGroup() as asking:
            ticking = asking.create_task(self._ticking(path))
            compressed = asking.create_task(self._watch("pad=2000", {"accept-encoding": _BROWSERS}, path=path))
            quiet = asking.create_task(self._quiet(path))
        last = ticking.result()[-1]
        try:
            seen = _seen(self._base, last)
        except NotExamined:
            if path or last.status != 200:
                return last.status
            seen = reached
        return Streams(
            path=path,
            seen=seen,
            echoed=seen.echo == self._echo,
            ticking=ticking.result(),
            compressed=compressed.result(),
            quiet=quiet.result(),
        )

    async def _ticking(self, path: str) -> list[Watched]:
        """Events one by one; once more where they came late, since either end may have been busy."""
        watched: list[Watched] = []
        while len(watched) < 2 and (not watched or arrival(watched[-1]).held):
            watched.append(await self._watch(f"ticks={_TICKS}&every={_EVERY}", seconds=_TICKS * _EVERY, path=path))
        return watched

    async def _quiet(self, path: str) -> Watched | None:
        seconds = self._visit.quiet
        return await self._watch(f"quiet={seconds:g}", seconds=seconds, path=path) if seconds else None

    async def _swallowed(self) -> int | None:
        """What is taken from the server while nobody reads; later than the events, which it would be in the way of."""
        flood = self._visit.flood
        if not flood:
            return None
        await asyncio.sleep(_TICKS * _EVERY)
        return await swallowed(self._http, f"{self._base}{_STREAM}?flood={flood}", self._headers)

    async def _preflight(self) -> Passed | None:
        if self._visit.origin is None:
            return None
        asked = {"access-control-request-method": "POST", "access-control-request-headers": _ACROSS}
        return await ask(self._http, "OPTIONS", self._base + "/api/chat", {"origin": self._visit.origin, **asked})

    async def _crossed(self) -> Watched | None:
        return await self._watch("ticks=0", {"origin": self._visit.origin}) if self._visit.origin else None


def _above(url: str, found: Watched) -> str:
    """The server's URL, of that of its probe. Raises `NotExamined` where a redirect led to another page."""
    base, path, _ = url.partition(_STREAM)
    if not path:
        raise NotExamined(f"it redirects to {url}, which answers {found.status}: a page to sign in on?")
    return base


def _seen(url: str, found: Watched) -> Seen:
    """What the server saw of a request. Raises `NotExamined` where it is no Tailrace."""
    try:
        _, first = next(each for each in found.events if each[1].event == "probe")
        return Seen.parse(json.loads(first.data))
    except (StopIteration, KeyError, TypeError, ValueError):
        raise refused(url.partition(_STREAM)[0], found) from None


async def _agreed(url: str) -> str | None:
    """The protocol that TLS agrees on where HTTP/2 is offered, as browsers do; None without TLS, or where it fails."""
    parts = urlsplit(url)
    if parts.scheme != "https":
        return None
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    try:
        async with asyncio.timeout(_GREETING):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or 443, ssl=context)
    except OSError:  # a TimeoutError too
        return None
    agreed = writer.get_extra_info("ssl_object").selected_alpn_protocol()
    writer.transport.abort()
    return str(agreed or "http/1.1")
