"""What both shells know about httpx2: how to send a request, and which of its errors another attempt may mend."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import httpx2

if TYPE_CHECKING:
    from tailrace.client.patience import Patience
    from tailrace.client.requests import Request

__all__ = [
    "BODY_LIMIT",
    "HOPELESS",
    "TRANSIENT",
    "UNLIMITED",
    "AsyncHeaders",
    "Headers",
    "base_url",
    "describe",
    "plain_headers",
    "prepare",
    "timeouts",
]

BODY_LIMIT: Final = 65_536
"""Bytes of a refusal, or of another plain answer, that are read: ours are a few hundred."""

TRANSIENT: Final = (
    httpx2.NetworkError,
    httpx2.TimeoutException,
    httpx2.RemoteProtocolError,
    httpx2.ProxyError,
    httpx2.DecodingError,
)
"""The connection failed, or the peer did: the next attempt may find another."""

Headers = Mapping[str, str] | Callable[[], Mapping[str, str]]
"""What goes with each request, or who is asked for it before each attempt: the place for a fresh token."""

AsyncHeaders = Headers | Callable[[], Awaitable[Mapping[str, str]]]

UNLIMITED: Final = httpx2.Limits(max_connections=None, max_keepalive_connections=20)
"""Every subscription holds a connection; the usual bound of 100 would let the 101st wait for ever."""

HOPELESS: Final = (httpx2.TransportError, httpx2.InvalidURL)
"""The request itself cannot be sent. Looked at after TRANSIENT, which is a part of it."""


def base_url(url: str) -> str:
    """Return a server's URL as paths are added to it. Raises ValueError where it is none of HTTP."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as problem:
        raise ValueError(f"{url!r} is no URL: {problem}") from None
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ValueError(f"expected a URL such as http://127.0.0.1:8000, got {url!r}")
    return url.rstrip("/")


def plain_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Return a caller's headers as the session needs them, names in lower case."""
    return {name.lower(): value for name, value in (headers or {}).items()}


def timeouts(patience: Patience, read: float) -> dict[str, float]:
    """Return the timeouts of one request as httpx2 hands them to the connection.

    The connection looks `read` up again when the body begins, so that what the head announced can
    still be put in.
    """
    return {"connect": patience.connect, "read": read, "write": patience.answer, "pool": patience.connect}


def prepare(http: httpx2.Client | httpx2.AsyncClient, request: Request, limits: dict[str, float]) -> httpx2.Request:
    """Return the request as httpx2 sends it."""
    # An id is UTF-8 on the wire, in `Last-Event-ID` as in the stream; httpx2 would write ASCII.
    headers = [(name.encode(), value.encode()) for name, value in request.headers.items()]
    extensions: dict[str, Any] = {"timeout": limits}
    return http.build_request(request.method, request.url, headers=headers, content=request.body, extensions=extensions)


def describe(error: Exception) -> str:
    """Return what went wrong with a connection, in words for a person."""
    if not isinstance(error, httpx2.HTTPError):
        return f"there are no headers for the attempt: {str(error) or type(error).__name__}"
    if isinstance(error, httpx2.ConnectTimeout):
        return "the server did not accept the connection in time"
    if isinstance(error, httpx2.ReadTimeout):
        return "the server fell silent"
    if isinstance(error, httpx2.ConnectError):
        return f"{_origin(error)} cannot be reached: {str(error) or 'no connection'}"
    if isinstance(error, (httpx2.RemoteProtocolError, httpx2.ReadError)):
        return "the connection broke"
    return str(error) or type(error).__name__


def _origin(error: httpx2.RequestError) -> str:
    try:
        url = error.request.url
    except RuntimeError:  # httpx2's way to say that none is known
        return "the server"
    return f"{url.scheme}://{url.netloc.decode()}"
