"""Subscribing to a channel and publishing to one, as exchanges of a session."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tailrace.client.events import Gap, Message
from tailrace.client.notices import Notice, Resumed
from tailrace.client.requests import Request, stream_headers
from tailrace.client.session import Exchange
from tailrace.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tailrace.sse import Event

__all__ = ["Publication", "Subscription", "channel_url", "verdict"]

# They move the cursor or talk about the connection; neither is anything that was published.
_SILENT = frozenset({"ready", "cursor", "reconnect"})


def channel_url(base: str, channel: str, *, from_earliest: bool = False) -> str:
    """Return the URL of a channel. `channel` may also be a path below `base`, or a URL of its own."""
    url = channel
    if "://" not in channel:
        url = base + channel if channel.startswith("/") else f"{base}/events/{quote(channel, safe='')}"
    if not from_earliest:
        return url
    return f"{url}{'&' if '?' in url else '?'}from=earliest"


def verdict(event: Event) -> Resumed | None:
    """Read a `resume` event, of one channel or of several; None where it is not the server's own."""
    told = _object(event.data)
    if "recovered" not in told:
        return None
    each = list(told["channels"].values()) if isinstance(told.get("channels"), dict) else [told]
    lost = [one for one in each if isinstance(one, dict) and not one.get("recovered")]
    reasons = sorted({str(one.get("reason", "")) for one in lost})
    missed = [count for one in lost if isinstance(count := one.get("missed"), int)]
    known = len(missed) == len(lost)
    return Resumed(bool(told["recovered"]), ", ".join(reasons) or "ok", sum(missed) if known else None)


class Subscription(Exchange[Message]):
    """Follow one URL of events for as long as its server gives any."""

    def __init__(self, url: str, headers: Mapping[str, str], watch: Callable[[Notice], None] | None) -> None:
        super().__init__()
        self._url = url
        self._headers = headers
        self._watch = watch

    def request(self, cursor: str) -> Request:
        """Return a GET that names the cursor."""
        return Request("GET", self._url, {**self._headers, **stream_headers(cursor)})

    def translate(self, event: Event) -> list[Message]:
        """Return what was published, and a Gap for what was lost."""
        name = event.event
        if name in _SILENT:
            return []
        if name == "resume" and (resumed := verdict(event)):
            if self._watch:
                self._watch(resumed)
            return [] if resumed.recovered else [Gap(event.data, name, event.id, resumed.missed, resumed.reason)]
        if name == "gap":
            told = _object(event.data)
            missed = told.get("missed")
            known = missed if isinstance(missed, int) else None
            return [Gap(event.data, name, event.id, known, str(told.get("reason", "")))]
        return [Message(event.data, name, event.id)]


class Publication(Exchange[None]):
    """Publish one event. Its key makes an attempt that is repeated the same event, never a second one."""

    streams = False

    def __init__(self, url: str, headers: Mapping[str, str], data: Any, event: str | None, key: str) -> None:
        super().__init__()
        self.id = ""
        named = {} if event is None else {"event": event}
        body = json.dumps({"data": data, **named, "idempotency_key": key}, ensure_ascii=False, separators=(",", ":"))
        self._request = Request("POST", url, {**headers, "content-type": "application/json"}, body.encode())

    def request(self, cursor: str) -> Request:
        """Return the same POST each time."""
        return self._request

    def complete(self, body: bytes) -> None:
        """Keep the id that the event got."""
        published = _object(body).get("id")
        if isinstance(published, str):
            self.id = published
        else:
            self.error = RequestRefused(200, "not_a_publication", "the answer names no id: is this a Tailrace server?")


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        told = json.loads(text)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
