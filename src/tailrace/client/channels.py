"""Subscribing to a channel and publishing to one, as exchanges of a session."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from tailrace.client.events import Gap, Message
from tailrace.client.notices import Notice, Resumed
from tailrace.client.requests import Request, stream_headers
from tailrace.client.session import Exchange
from tailrace.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tailrace.sse import Event

__all__ = ["Publication", "Publications", "Subscription", "channel_url", "stream_url", "verdict"]

# They move the cursor or talk about the connection; neither is anything that was published.
_SILENT: Final = frozenset({"ready", "cursor", "reconnect"})

_NAMED: Final = re.compile("[?&]channel=")


def channel_url(base: str, channel: str) -> str:
    """Return the URL of a channel. `channel` may also be a path below `base`, or a URL of its own."""
    if "://" in channel:
        return channel
    return base + channel if channel.startswith("/") else f"{base}/events/{quote(channel, safe='')}"


def stream_url(
    base: str,
    channels: str | Sequence[str],
    *,
    from_earliest: bool = False,
    snapshot: bool = False,
    events: Iterable[str] = (),
) -> str:
    """Return the URL of a stream of events: of one channel, as `channel_url` has it, or of several by name."""
    query = [("event", name) for name in events]
    if from_earliest:
        query.append(("from", "earliest"))
    if snapshot:
        query.append(("snapshot", "1"))
    if isinstance(channels, str):
        url = channel_url(base, channels)
    else:
        url = f"{base}/events"
        query = [*[("channel", name) for name in channels], *query]
    if not query:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"


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

    def __init__(self, url: str, watch: Callable[[Notice], None] | None = None) -> None:
        super().__init__()
        self._url = url
        self._of_several = _NAMED.search(url) is not None
        self._watch = watch

    def request(self, cursor: str) -> Request:
        """Return a GET that names the cursor."""
        return Request("GET", self._url, stream_headers(cursor))

    def translate(self, event: Event) -> list[Message]:
        """Return what was published, and a Gap for what was lost."""
        name = event.event
        if name in _SILENT:
            return []
        if name == "resume" and (resumed := verdict(event)):
            if self._watch:
                self._watch(resumed)
            if resumed.recovered:
                return []
            return [Gap(event.data, name, event.id, missed=resumed.missed, reason=resumed.reason)]
        if name == "gap":
            return [_gap(event)]
        return [_of_one(event) if self._of_several else Message(event.data, name, event.id)]


def _gap(event: Event) -> Gap:
    told = _object(event.data)
    missed, channel = told.get("missed"), told.get("channel")
    return Gap(
        event.data,
        event.event,
        event.id,
        channel if isinstance(channel, str) else "",
        missed if isinstance(missed, int) else None,
        str(told.get("reason", "")),
    )


def _of_one(event: Event) -> Message:
    """What was published to one of several channels, as it would be read there by itself."""
    told = _object(event.data)
    channel, data = told.get("channel"), told.get("data")
    if not isinstance(channel, str):
        return Message(event.data, event.event, event.id)
    return Message(data if isinstance(data, str) else _compact(data), event.event, event.id, channel)


class Publication(Exchange[None]):
    """Publish one event. Its key makes an attempt that is repeated the same event, never a second one."""

    streams = False

    def __init__(self, url: str, data: Any, options: Mapping[str, str | None], key: str) -> None:
        """Publish `data`; `options` are the other fields, of which those that are None are left out."""
        super().__init__()
        self.id = ""
        self._request = _post(url, {"data": data, **{name: told for name, told in options.items() if told}}, key)

    def request(self, cursor: str) -> Request:
        """Return the same POST each time."""
        return self._request

    def complete(self, body: bytes) -> None:
        """Keep the id that the event got."""
        published = _object(body).get("id")
        if isinstance(published, str):
            self.id = published
        else:
            self.error = _no_publication()


class Publications(Exchange[None]):
    """Publish several events in one call, each of which is `{channel, data}` and what else it has."""

    streams = False

    def __init__(self, base: str, events: Sequence[Mapping[str, Any]], key: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self._count = len(events)
        self._request = _post(f"{base}/events", {"events": [*events]}, key)

    def request(self, cursor: str) -> Request:
        """Return the same POST each time."""
        return self._request

    def complete(self, body: bytes) -> None:
        """Keep the ids that the events got."""
        published = _object(body).get("events")
        try:
            self.ids = [str(each["id"]) for each in published or ()]
        except (TypeError, LookupError):
            self.ids = []
        if len(self.ids) != self._count:
            self.error = _no_publication()


def _post(url: str, fields: Mapping[str, Any], key: str) -> Request:
    body = _compact({**fields, "idempotency_key": key})
    return Request("POST", url, {"content-type": "application/json"}, body.encode())


def _no_publication() -> RequestRefused:
    return RequestRefused(200, "not_a_publication", "the answer names no id: is this a Tailrace server?")


def _compact(told: Any) -> str:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        told = json.loads(text)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
