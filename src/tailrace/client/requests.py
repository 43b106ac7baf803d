"""A request as a value, and where a redirect leads it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["REDIRECTS", "Request", "follow", "stream_headers"]

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

# What this client sends by itself. All else came from the caller and may be a credential.
_OWN_HEADERS: Final = frozenset(
    {"accept", "accept-encoding", "cache-control", "content-type", "idempotency-key", "last-event-id"}
)


@dataclass(frozen=True, slots=True)
class Request:
    """What to send: `headers` by lower-case name, `body` None where there is none."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


def stream_headers(cursor: str) -> dict[str, str]:
    """Return the headers that ask for an event stream from `cursor` on; an empty cursor is not sent."""
    # No compression: a compressor between here and there collects events before it lets them go.
    headers = {"accept": "text/event-stream", "accept-encoding": "identity", "cache-control": "no-cache"}
    return headers | {"last-event-id": cursor} if cursor else headers


def follow(request: Request, status: int, location: str) -> Request | None:
    """Return the request that a redirect asks for; None where it leads nowhere that HTTP goes.

    A body is sent again, but for 303: browsers turn 301 and 302 into a GET too, which would ask
    nothing. A caller's headers, credentials among them, stay with the host that they were meant for.
    """
    try:
        url = urljoin(request.url, location)
        here, there = urlsplit(request.url), urlsplit(url)
        same = (here.hostname, here.port) == (there.hostname, there.port) and here.scheme == there.scheme
    except ValueError:
        return None
    if not location or there.scheme not in {"http", "https"} or not there.hostname:
        return None
    upgraded = here.hostname == there.hostname and (here.scheme, there.scheme) == ("http", "https")
    headers = request.headers
    if not (same or upgraded):
        headers = {name: value for name, value in headers.items() if name in _OWN_HEADERS}
    if status == 303:
        return Request("GET", url, {name: value for name, value in headers.items() if name != "content-type"})
    return replace(request, url=url, headers=headers)
