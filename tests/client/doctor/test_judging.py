"""What the facts mean: one fact changed, one finding changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tailrace.client.doctor import Finding, Level, Visit
from tailrace.client.doctor.facts import Passed, Watched
from tests.client.doctor.made import HEADERS, STREAMS, VISIT, found, ticking


def bad(findings: dict[str, Finding]) -> dict[str, Level]:
    return {check: each.level for check, each in findings.items() if each.level is not Level.OK}


def quiet(arrivals: list[float], ended: float, *, complete: bool = False) -> Watched:
    return Watched(200, "HTTP/1.1", HEADERS, [], arrivals, complete=complete, ended=ended)


def headed(**headers: str) -> list[Watched]:
    return [replace(STREAMS.ticking[0], headers={**HEADERS, **{n.replace("_", "-"): v for n, v in headers.items()}})]


def test_where_all_is_well_nothing_is_found() -> None:
    assert bad(found()) == {}


@pytest.mark.parametrize(
    ("changes", "check", "told"),
    [
        ({"ticking": [ticking([0.2] * 8)]}, "buffering", "usually for 0.2 s"),
        ({"ticking": [ticking([])]}, "buffering", "no events arrived"),
        ({"swallowed": 25_000_000}, "buffering", "24 MB that nobody read"),
        ({"quiet": quiet([0.1], 10.2)}, "idle-timeout", "cut after 10.1 s of silence; heartbeats come every 15 s"),
        ({"quiet": quiet([], 10.0)}, "idle-timeout", "cut after 10.0 s of silence"),
        ({"quiet": quiet([0.1, 15.1], 29.0)}, "idle-timeout", "cut after 13.9 s of silence"),
        ({"quiet": quiet([0.1, 15.1], 20.0)}, "total-timeout", "cut after 20.0 s, though heartbeats had come"),
        ({"quiet": quiet([0.1, 35.0], 35.0, complete=True)}, "heartbeat", "did not come for 35 s"),
        ({"compressed": headed(content_encoding="br")[0]}, "compression", "comes as br"),
        ({"ticking": headed(cache_control="no-cache")}, "cache-control", "without no-transform"),
        ({"ticking": headed(content_type="text/plain")}, "content-type", "an EventSource refuses it"),
        ({"body": Passed(413, {}, {})}, "body-limit", "1,048,576 bytes, which the server takes"),
        ({"body": Passed(0, {}, {})}, "body-limit", "the connection broke"),
        ({"preflight": Passed(405, {}, {})}, "cors", "the preflight is answered 405"),
        ({"preflight": Passed(200, {}, {})}, "cors", "lacks Last-Event-ID"),
        ({"ticking": [replace(STREAMS.ticking[0], http="HTTP/1.0")]}, "client-http", "answers come in HTTP/1.0"),
    ],
)
def test_a_fault_is_named_alone(changes: dict[str, Any], check: str, told: str) -> None:
    findings = found(**changes)
    assert bad(findings) == {check: Level.FAULT}
    assert told in findings[check].said


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"alpn": "http/1.1"}, "http2"),
        ({"alpn": None}, "http2"),
        ({"redirects": ["https://www.chat.example"]}, "redirect"),
        ({"elsewhere": {"/v1": 404}}, "paths"),
        ({"body": Passed(504, {}, {})}, "body-limit"),
        ({"seen": replace(STREAMS.seen, headers={**STREAMS.seen.headers, "host": "inside"})}, "host"),
    ],
)
def test_what_only_costs_something_is_a_hint(changes: dict[str, Any], check: str) -> None:
    assert bad(found(**changes)) == {check: Level.HINT}


def test_a_heartbeat_that_is_a_little_late_is_none_that_is_held_back() -> None:
    assert bad(found(quiet=quiet([0.1, 21.0, 35.1], 35.1, complete=True))) == {}


def test_without_its_query_the_probe_did_nothing_that_could_be_judged() -> None:
    nothing = quiet([0.1], 0.1, complete=True)
    assert bad(found(echoed=False, ticking=[ticking([])], quiet=nothing, swallowed=None)) == {"query": Level.FAULT}


def test_what_was_not_asked_is_not_judged() -> None:
    findings = found(Visit(VISIT.url), quiet=None, preflight=None, crossed=None, keyed=False)
    assert not findings.keys() & {"idle-timeout", "cors", "authorization", "x-api-key"}


def test_the_second_try_counts_where_the_first_met_somebody_busy() -> None:
    assert bad(found(ticking=[ticking([1.0] * 8), ticking([0.0] * 8)])) == {}


def test_a_heartbeat_is_proposed_that_fits_between_two_cuts() -> None:
    assert found(quiet=quiet([0.0], 10.0))["idle-timeout"].mend["tailrace"] == ("[server] heartbeat = 4",)


def test_a_fault_below_one_path_is_told_with_that_path_and_one_that_is_everywhere_once() -> None:
    late = [ticking([1.0] * 8)]
    assert found(ticking=late, below="/events")["buffering"].said.startswith("below /events: buffering")
    assert found(ticking=late, below="")["buffering"].said.startswith("buffering")
    assert found(ticking=late)["buffering"].said.startswith("buffering")
