"""Facts as a good proxy gives them, for tests that change one of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from tailrace.client.doctor.facts import Facts, Passed, Seen, Streams, Watched
from tailrace.client.doctor.judging import judge
from tailrace.client.doctor.measuring import CURSOR, KEY, Visit
from tailrace.client.doctor.report import Finding
from tailrace.sse import Event

__all__ = ["FACTS", "HEADERS", "STREAMS", "VISIT", "found", "ticking"]

VISIT = Visit("https://chat.example", origin="https://app.example")
HEADERS = {
    "content-type": "text/event-stream",
    "cache-control": "no-cache, no-transform",
    "tailrace-heartbeat": "15",
    "tailrace-run": "doctor",
    "access-control-allow-origin": "https://app.example",
}


def ticking(delays: Sequence[float], last: float = 0.0) -> Watched:
    """A stream whose events, a quarter of a second apart, were under way for so long each, and its end for `last`."""
    sent = [0.25 * number for number in range(len(delays))]
    events = [(at + delay, Event(json.dumps({"at": at}), "tick")) for at, delay in zip(sent, delays, strict=True)]
    ended = (sent[-1] if sent else 0.0) + last
    events.append((ended, Event(json.dumps({"at": ended - last}), "end")))
    return Watched(200, "HTTP/1.1", HEADERS, events, [at for at, _ in events], complete=True, ended=ended)


_SENT = {"last-event-id": CURSOR, "idempotency-key": KEY, "accept": "text/event-stream", "host": "chat.example"}
_QUIET = Watched(200, "HTTP/1.1", HEADERS, [], [0.1, 15.1, 30.1, 35.1], complete=True, ended=35.1)
STREAMS = Streams(
    path="",
    seen=Seen("1.0", "1.1", _SENT, frozenset({"authorization", "x-api-key"}), "", 15.0, 1_048_576),
    echoed=True,
    ticking=[ticking([0.1] * 8, 0.1)],
    compressed=ticking([0.1]),
    quiet=_QUIET,
)
FACTS = Facts(
    url="https://chat.example",
    redirects=(),
    keyed=True,
    streams=[STREAMS, replace(STREAMS, path="/events")],
    elsewhere={},
    swallowed=5_000_000,
    body=Passed(200, {}, {"bytes": 1_048_576}),
    large=1_048_576,
    preflight=Passed(200, {"access-control-allow-headers": "content-type, last-event-id"}, {}),
    crossed=ticking([]),
    alpn="h2",
)
_OF_STREAMS = {each.name for each in fields(Streams)}


def found(visit: Visit = VISIT, *, below: str | None = None, **changes: Any) -> dict[str, Finding]:
    """What is found where these facts are others: those of streams below the path `below`, or each."""
    changed = {name: changes.pop(name) for name in _OF_STREAMS & changes.keys()}
    streams = [replace(each, **changed) if below in {None, each.path} else each for each in FACTS.streams]
    findings = judge(visit, replace(FACTS, streams=streams, **changes)).findings
    assert len({each.check for each in findings}) == len(findings)
    return {each.check: each for each in findings}
