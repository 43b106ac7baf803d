"""Open runs: what an answer in progress costs the server, each with a viewer and paced like a model's.

A run keeps all that it said, so its text is taken off: what is left is the price of keeping it so that
anybody can resume anywhere in it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from urllib.request import urlopen

from contestants import tailrace_runs
from rig.native import subscribers
from rig.rounds import play
from rig.row import Row, at_most
from rig.server import BenchmarkFailed, Server

__all__ = ["run"]

_TAILRACE = "Tailrace"

_RATE = 20
"""Tokens a second of each run."""
_TOKEN_BYTES = 6
"""Of text in each token of `peers/tailrace_runs.py`."""

_WARM_RUNS = 50
"""Open before the first reading: what only the first runs load is not the price of each."""
_WARM_SECONDS = 3
_HOLD_TIMEOUT = 300


@dataclass(frozen=True, slots=True)
class Opened:
    """What the runs of one server cost: bytes of RSS for each run beside its text, CPU (us) for each token."""

    memory: float
    cpu: float


def run(*, quick: bool) -> list[Row]:
    rounds, runs, seconds = (1, 300, 5) if quick else (2, 1000, 30)
    results = play({_TAILRACE: lambda: _opened(runs, seconds)}, rounds)
    memory = results.median(_TAILRACE, lambda opened: opened.memory / 1024)
    cpu = results.median(_TAILRACE, lambda opened: opened.cpu)
    what = f"open run after {seconds} s at {_RATE} tokens/s"
    return [
        Row("runs", f"server RSS for each {what}, beside its text", memory, "KiB", target=at_most(15)),
        Row("runs", f"CPU for a token, {runs} runs with a viewer each", cpu, "us"),
    ]


def _opened(runs: int, seconds: int) -> Opened:
    with (
        tailrace_runs(_RATE) as server,
        subscribers(port=server.port, path="/run", connections=_WARM_RUNS, events=0, timeout=_HOLD_TIMEOUT) as lines,
    ):
        next(lines)
        time.sleep(_WARM_SECONDS)
        return _watched(server, runs, seconds)


def _watched(server: Server, runs: int, seconds: int) -> Opened:
    memory, said = server.rss(), _said(server)
    with subscribers(port=server.port, path="/run", connections=runs, events=0, timeout=_HOLD_TIMEOUT) as lines:
        next(lines)
        cpu, said_at_first = server.cpu_seconds(), _said(server)
        time.sleep(seconds)
        cpu, memory, said_last = server.cpu_seconds() - cpu, server.rss() - memory, _said(server)
    if said_last - said_at_first < runs * seconds * _RATE / 2:
        raise BenchmarkFailed("the runs say less than half of what they should: too many for this machine")
    return Opened(memory / runs - (said_last - said) / runs * _TOKEN_BYTES, cpu / (said_last - said_at_first) * 1e6)


def _said(server: Server) -> int:
    """Return how many tokens all runs have said."""
    with urlopen(f"http://127.0.0.1:{server.port}/said") as answer:
        return int(answer.read())
