"""Fan-out: one channel, a thousand subscribers, and what each delivery costs the server.

Two regimes. Paced, far below saturation, shows the price of a write when there is nothing to
join. Saturated, more events fall due than can be written one by one, and what counts is whether
everybody gets everything, how fast and how late.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from contestants import send_loop, starlette_events, tailrace_events
from rig.native import subscribers
from rig.rounds import Rounds, play
from rig.row import Row, Target, at_least, at_most
from rig.server import BenchmarkFailed, Server

__all__ = ["run"]

_SUBSCRIBERS = 1000
_CALM_RATE, _BRISK_RATE = 20, 100
"""Events a second in the paced runs: 20,000 and 100,000 deliveries a second. sse-starlette can only do the first."""
_OFFERED_RATE = 1500

_LOOP, _STARLETTE, _TAILRACE = "bare C send loop", "sse-starlette", "Tailrace"

_SETTLE = 0.5
"""Seconds between the last response head and the first event, so that no connection is still being set up."""


@dataclass(frozen=True, slots=True)
class Fanout:
    """One fan-out to its end: `cpu` and `seconds` in seconds, `p99` delay in milliseconds."""

    deliveries: int
    cpu: float
    seconds: float
    p99: float

    @property
    def cpu_per_delivery(self) -> float:
        """Return microseconds of the server's CPU time for each event at each subscriber."""
        return self.cpu / self.deliveries * 1e6

    @property
    def deliveries_per_second(self) -> float:
        return self.deliveries / self.seconds


def run(*, quick: bool) -> list[Row]:
    return _paced(quick=quick) + _saturated(quick=quick)


def _paced(*, quick: bool) -> list[Row]:
    rounds, seconds = (1, 2) if quick else (3, 8)
    calm = play(
        {
            _LOOP: lambda: _fan_out(send_loop, _CALM_RATE, _CALM_RATE * seconds),
            _TAILRACE: lambda: _fan_out(tailrace_events, _CALM_RATE, _CALM_RATE * seconds),
            _STARLETTE: lambda: _fan_out(starlette_events, _CALM_RATE, _CALM_RATE * seconds),
        },
        rounds,
    )
    brisk = play(
        {
            _LOOP: lambda: _fan_out(send_loop, _BRISK_RATE, _BRISK_RATE * seconds),
            _TAILRACE: lambda: _fan_out(tailrace_events, _BRISK_RATE, _BRISK_RATE * seconds),
        },
        rounds,
    )
    return [
        _cpu_row(calm, _CALM_RATE, _LOOP),
        _cpu_row(calm, _CALM_RATE, _TAILRACE, _LOOP, at_most(1.3)),
        _cpu_row(calm, _CALM_RATE, _STARLETTE, _TAILRACE, at_least(6)),
        _cpu_row(brisk, _BRISK_RATE, _LOOP),
        _cpu_row(brisk, _BRISK_RATE, _TAILRACE, _LOOP, at_most(1.3)),
    ]


def _cpu_row(results: Rounds[Fanout], rate: int, name: str, against: str = "", target: Target | None = None) -> Row:
    def cpu(fanout: Fanout) -> float:
        return fanout.cpu_per_delivery

    ratio = results.ratio(name, against, cpu) if against else None
    what = f"{rate} events/s, CPU per delivery: {name}"
    return Row("fanout", what, results.median(name, cpu), "us", ratio, against, target)


def _saturated(*, quick: bool) -> list[Row]:
    """Offer the same rate to all; who cannot keep up is offered fewer events, so that it ends in time."""
    rounds, seconds = (1, 1) if quick else (3, 4)
    results = play(
        {
            _LOOP: lambda: _fan_out(send_loop, _OFFERED_RATE, 600 * seconds),
            _TAILRACE: lambda: _fan_out(tailrace_events, _OFFERED_RATE, _OFFERED_RATE * seconds),
            _STARLETTE: lambda: _fan_out(starlette_events, _OFFERED_RATE, 150 * seconds),
        },
        rounds,
    )
    return [
        *(_speed_row(results, name) for name in (_LOOP, _STARLETTE)),
        Row("fanout", "saturated, deliveries/s: Tailrace", _speed(results, _TAILRACE), "/s", target=at_least(1.4e6)),
        Row("fanout", "saturated, p99 delay: Tailrace", results.median(_TAILRACE, lambda f: f.p99), "ms"),
        Row("fanout", "saturated, cores used: Tailrace", results.median(_TAILRACE, lambda f: f.cpu / f.seconds), ""),
    ]


def _speed(results: Rounds[Fanout], name: str) -> float:
    return results.median(name, lambda fanout: fanout.deliveries_per_second)


def _speed_row(results: Rounds[Fanout], name: str) -> Row:
    ratio = results.ratio(name, _TAILRACE, lambda fanout: fanout.deliveries_per_second)
    return Row("fanout", f"saturated, deliveries/s: {name}", _speed(results, name), "/s", ratio, _TAILRACE)


def _fan_out(start: Callable[[int, int], AbstractContextManager[Server]], rate: int, events: int) -> Fanout:
    """Let a server publish `events` at `rate` to all subscribers. Raises BenchmarkFailed if one missed any."""
    with (
        start(rate, events) as server,
        subscribers(port=server.port, path="/events/ticks", connections=_SUBSCRIBERS, events=events) as lines,
    ):
        next(lines)
        time.sleep(_SETTLE)
        before = server.cpu_seconds()
        server.signal(signal.SIGUSR1)
        report = next(lines)
        cpu = server.cpu_seconds() - before
    if report["complete"] != _SUBSCRIBERS or report["wrong"]:
        raise BenchmarkFailed(f"not every subscriber got every event once and in order: {report}")
    return Fanout(report["events"], cpu, report["seconds"], report["delay_us"]["p99"] / 1e3)
