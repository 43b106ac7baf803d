"""What the measured facts mean: a finding for each thing that was looked at.

Each check is a function of the facts alone, and looks at one thing; those of streams do so below each path. A fault
loses events, delays them or has a client do wrong; what only costs something is a hint.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from tailrace.client.doctor.arriving import arrival
from tailrace.client.doctor.facts import Facts, Streams, Watched
from tailrace.client.doctor.measuring import CURSOR, KEY, Visit
from tailrace.client.doctor.mending import guess, mend
from tailrace.client.doctor.report import Finding, Level, Report

__all__ = ["judge"]

_SLACK: Final = 2.0  # seconds by which a heartbeat may be late
_UNREAD: Final = 20_971_520  # bytes; a proxy that does not buffer adds 4 MB of sockets
_NO_LIMIT: Final = frozenset({502, 503, 504})  # a proxy whose server was too slow, or away: it says nothing of the size

Check = Callable[[Visit, Facts], Finding | None]
StreamCheck = Callable[[Facts, Streams], Finding | None]


def judge(visit: Visit, facts: Facts) -> Report:
    """Make findings of the facts, in the order in which they are best mended."""
    first, *others = facts.streams
    found = {each.check: each for check in _OF_STREAMS if (each := check(facts, first)) is not None}
    for streams in others:
        for check in _OF_STREAMS:
            _add(found, check(facts, streams), streams.path)
    served = [each for check in _OF_SERVER if (each := check(visit, facts)) is not None]
    return Report(facts.url, first.seen.version, _proxy(facts), (*found.values(), *served))


def _add(found: dict[str, Finding], finding: Finding | None, path: str) -> None:
    """Put in what is worse below `path` than before; a fault that is everywhere is told once."""
    before = found.get(finding.check) if finding else None
    if finding and finding.level is Level.FAULT and (before is None or before.level is not Level.FAULT):
        found[finding.check] = replace(finding, said=f"below {path}: {finding.said}")


def _proxy(facts: Facts) -> str | None:
    return guess(facts.streams[0].ticking[-1].headers)


def _fault(facts: Facts, check: str, said: str, **values: object) -> Finding:
    return Finding(check, Level.FAULT, said, mend(check, _proxy(facts), **values))


def _hint(facts: Facts, check: str, said: str, **values: object) -> Finding:
    return Finding(check, Level.HINT, said, mend(check, _proxy(facts), **values))


def _ok(check: str, said: str) -> Finding:
    return Finding(check, Level.OK, said)


# What is looked at for streams below each path.


def _buffering(facts: Facts, streams: Streams) -> Finding | None:
    if not streams.echoed:
        return None  # without its query the probe does not tick
    stream = streams.ticking[-1]
    arrived = arrival(stream)
    if not arrived.count:
        return _fault(facts, "buffering", f"no events arrived: {stream.why or 'the stream ended at once'}")
    if arrived.held:
        said = f"buffering: events are held back, usually for {arrived.typical:.1f} s, one for {arrived.worst:.1f} s"
        return _fault(facts, "buffering", said)
    taken = facts.swallowed or 0
    if taken >= _UNREAD:
        said = f"buffering: {taken / 1_048_576:.0f} MB that nobody read were taken from the server"
        return _fault(facts, "buffering", f"{said}: a client that is slow gets old events, and no word of it")
    said = f"{arrived.count} events arrived one by one, none more than {arrived.worst * 1000:.0f} ms behind"
    return _ok("buffering", said)


def _compression(facts: Facts, streams: Streams) -> Finding:
    coding = streams.compressed.headers.get("content-encoding", "identity")
    if coding == "identity":
        return _ok("compression", "the stream is not compressed")
    said = f"compression: the stream comes as {coding}, in spite of no-transform"
    return _fault(facts, "compression", f"{said}; it costs memory for each stream, and may hold events back")


def _quiet(facts: Facts, streams: Streams) -> Finding | None:
    stream, beat = streams.quiet, streams.seen.heartbeat
    if stream is None or not streams.echoed:
        return None
    if not stream.complete:
        return _cut(facts, stream, beat)
    if stream.longest_silence > beat + max(beat / 2, _SLACK) and not arrival(streams.ticking[-1]).held:
        said = f"heartbeats, due every {beat:g} s, did not come for {stream.longest_silence:.0f} s"
        return Finding("heartbeat", Level.FAULT, f"{said}: small writes are held", mend("buffering", _proxy(facts)))
    told = f"heartbeats every {beat:g} s" if stream.ended > beat else f"less than one heartbeat, {beat:g} s"
    return _ok("idle-timeout", f"a quiet stream lived for {stream.ended:.0f} s ({told})")


def _cut(facts: Facts, stream: Watched, beat: float) -> Finding:
    """Tell whether silence or age ended a quiet stream: in its last seconds there were bytes, or there were none."""
    if len(stream.arrivals) > 1 and stream.silence < 0.8 * beat and stream.ended > beat:
        said = f"timeout: a stream was cut after {stream.ended:.1f} s, though heartbeats had come every {beat:g} s"
        return _fault(facts, "total-timeout", said)
    said = f"timeout: a quiet stream was cut after {stream.silence:.1f} s of silence; heartbeats come every {beat:g} s"
    return _fault(facts, "idle-timeout", said, heartbeat=max(round(stream.silence * 0.4, 1), 0.1))


def _upstream(facts: Facts, streams: Streams) -> Finding:
    http = streams.seen.http
    if http != "1.0":
        return _ok("upstream-http", f"the server is asked in HTTP/{http}")
    said = "the server is asked in HTTP/1.0: a new connection for each request, and no chunks to tell an end from a cut"
    return _fault(facts, "upstream-http", said)


def _client_http(facts: Facts, streams: Streams) -> Finding | None:
    http = streams.ticking[-1].http
    if http != "HTTP/1.0":
        return None
    return _fault(facts, "client-http", f"answers come in {http}, in which an end cannot be told from a cut")


def _content_type(facts: Facts, streams: Streams) -> Finding:
    kind = streams.ticking[-1].headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() == "text/event-stream":
        return _ok("content-type", "the stream says what it is: text/event-stream")
    said = f"Content-Type is {kind or 'missing'}, not text/event-stream: an EventSource refuses it, for good"
    return _fault(facts, "content-type", said, header="Content-Type")


def _cache_control(facts: Facts, streams: Streams) -> Finding:
    said = streams.ticking[-1].headers.get("cache-control", "")
    missing = [word for word in ("no-cache", "no-transform") if word not in said.lower()]
    if not missing:
        return _ok("cache-control", f"Cache-Control arrives: {said}")
    told = f"Cache-Control is {said or 'missing'}, without {' and '.join(missing)}"
    return _fault(facts, "cache-control", f"{told}: what comes after may compress or keep", header="Cache-Control")


def _ours(header: str, why: str) -> StreamCheck:
    """A check of whether a header of Tailrace's own arrives."""

    def check(facts: Facts, streams: Streams) -> Finding:
        name = header.lower()
        if name in streams.ticking[-1].headers:
            return _ok(name, f"{header} arrives")
        return _fault(facts, name, f"{header} is stripped from answers: {why}", header=header)

    return check


def _sent(header: str, expected: str, why: str) -> StreamCheck:
    """A check of whether a header of the request arrives as it was sent."""

    def check(facts: Facts, streams: Streams) -> Finding:
        name = header.lower()
        arrived = streams.seen.headers.get(name, "")
        if arrived == expected:
            return _ok(name, f"{header} arrives")
        state = f"arrives as {arrived!r}" if arrived else "is stripped on the way to the server"
        return _fault(facts, name, f"{header} {state}: {why}", header=header, variable=name.replace("-", "_"))

    return check


def _credentials(header: str) -> StreamCheck:
    """A check of whether a header with credentials arrives; what it says is not said back."""

    def check(facts: Facts, streams: Streams) -> Finding | None:
        name = header.lower()
        if not facts.keyed:
            return None
        if name in streams.seen.credentials:
            return _ok(name, f"{header} arrives")
        said = f"{header} is stripped on the way to the server: nobody can say by it who they are"
        return _fault(facts, name, said, header=header, variable=name.replace("-", "_"))

    return check


def _query(facts: Facts, streams: Streams) -> Finding:
    if streams.echoed:
        return _ok("query", "the query arrives")
    return _fault(facts, "query", "the query string is stripped: cursors, filters and tickets in URLs do not arrive")


# What is looked at once.


def _redirect(visit: Visit, facts: Facts) -> Finding | None:
    if not facts.redirects:
        return None
    said = f"{visit.url} redirects to {facts.url}, for each request anew; a POST may lose its body on the way"
    return _hint(facts, "redirect", said, url=facts.url)


def _paths(visit: Visit, facts: Facts) -> Finding | None:
    if not facts.elsewhere:
        return None
    others = ", ".join([f"{path} ({status or 'no answer'})" for path, status in facts.elsewhere.items()])
    return _hint(facts, "paths", f"what is below {others} does not come from this server")


def _host(visit: Visit, facts: Facts) -> Finding | None:
    asked, arrived = _authority(facts.url), facts.streams[0].seen.headers.get("host", "").lower()
    if arrived.partition(":")[0] == asked.partition(":")[0]:
        return _ok("host", "Host arrives")
    said = f"Host arrives as {arrived!r} instead of {asked!r}: pages in old browsers count as another site's"
    return _hint(facts, "host", f"{said}, and allowed_hosts fits nobody", header="Host", variable="host")


def _authority(url: str) -> str:
    return url.partition("://")[2].partition("/")[0].lower()


def _body(visit: Visit, facts: Facts) -> Finding:
    status, size = facts.body.status, f"{facts.large:,} bytes"
    if status == 200 and facts.body.told.get("bytes") == facts.large:
        return _ok("body-limit", f"a body of {size} arrives")
    if status in _NO_LIMIT:
        return Finding(
            "body-limit", Level.HINT, f"a body of {size} was answered {status}: whether it passes is not known"
        )
    told = "the connection broke" if status == 0 else f"it was answered {status}"
    said = f"a request of {size}, which the server takes, does not get through: {told}"
    return _fault(facts, "body-limit", said, megabytes=max(1, -(-facts.large // 1_048_576)))


def _http2(visit: Visit, facts: Facts) -> Finding:
    if facts.alpn == "h2":
        return _ok("http2", "HTTP/2 is offered: a browser may open as many streams as it likes")
    why = "without TLS" if facts.alpn is None else "HTTP/2 is not offered"
    said = f"HTTP/1.1 only ({why}): a browser opens six streams to one server, over all of its tabs, and then waits"
    return _hint(facts, "http2", said)


def _cors(visit: Visit, facts: Facts) -> Finding | None:
    preflight, crossed, origin = facts.preflight, facts.crossed, visit.origin
    if origin is None or preflight is None or crossed is None:
        return None
    missing = []
    if crossed.headers.get("access-control-allow-origin") not in {"*", origin}:
        missing.append("may not read what it gets (Access-Control-Allow-Origin)")
    allowed = preflight.headers.get("access-control-allow-headers", "").lower()
    if not 200 <= preflight.status < 300:
        missing.append(f"may not POST (the preflight is answered {preflight.status})")
    elif "last-event-id" not in allowed and "*" not in allowed:
        missing.append("may not resume (Access-Control-Allow-Headers lacks Last-Event-ID)")
    if not missing:
        return _ok("cors", f"pages of {origin} may ask, read and resume")
    return _fault(facts, "cors", f"CORS: a page of {origin} {'; it '.join(missing)}", origin=origin)


_OF_STREAMS: Final[tuple[StreamCheck, ...]] = (
    _buffering,
    _compression,
    _quiet,
    _upstream,
    _client_http,
    _content_type,
    _cache_control,
    _ours("Tailrace-Heartbeat", "clients do not learn how long silence may last"),
    _ours("Tailrace-Run", "who asked by POST does not learn which run to come back to"),
    _sent("Last-Event-ID", CURSOR, "a client that comes back begins anew, and an EventSource asks, and pays, twice"),
    _sent("Idempotency-Key", KEY, "a question that is repeated is answered, and paid, twice"),
    _sent("Accept", "text/event-stream", "a question asked by EventSource is refused (406)"),
    _credentials("Authorization"),
    _credentials("X-API-Key"),
    _query,
)
_OF_SERVER: Final[tuple[Check, ...]] = (_redirect, _paths, _host, _body, _http2, _cors)
