"""Relay: a model's answer of 31 events on its way through the server, ten callers at a time.

The upstream's answer is there at once, so all that is measured is the server between. It is
compared with the least that Python can do, which keeps nothing and resumes nobody.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

from contestants import aiohttp_relay, express_relay, litellm, upstream
from questions import Question, as_openai, native, tailrace
from rig.environment import Unavailable, environment, node_modules
from rig.rounds import Rounds, play
from rig.row import Row, Target, at_least, at_most
from rig.server import Server

__all__ = ["run"]

_DIRECT, _BARE = "direct to the upstream", "bare aiohttp relay"
_OPENAI, _ANTHROPIC = "Tailrace native, from OpenAI", "Tailrace native, from Anthropic"
_RELAYED = "Tailrace as OpenAI, from OpenAI"
_EXPRESS = "Express relay, on Node"
_LITELLM = "LiteLLM as OpenAI, from OpenAI"

_PACED_RATE = 50
"""Questions a second in the paced runs, where the time to the first token is no queueing time."""
_LITELLM_RATE = 5
"""The same for LiteLLM, for which fifty are more than it can do."""
_CONNECTIONS = 10

_OF_BARE = 0.95
"""The share of a bare relay's streams that Tailrace should carry on one core; its CPU time for each, turned over."""

_OF_EXPRESS = 2
"""How many times the streams of an Express relay Tailrace should carry."""

_OF_LITELLM = 60
"""How many times LiteLLM's streams Tailrace should carry."""


@dataclass(frozen=True, slots=True)
class Relayed:
    """What one server did: streams a second and CPU (us) for each, asked in a closed loop; first tokens (ms), paced."""

    streams: float
    cpu: float
    first_p50: float
    first_p99: float
    rss: int


Start = Callable[[int], AbstractContextManager[Server]]
"""Starts a server before the upstream on the given port."""


def run(*, quick: bool) -> list[Row]:
    asked = as_openai("bench")
    contestants = {
        _DIRECT: lambda: _direct(quick=quick),
        _BARE: lambda: _relayed(aiohttp_relay, asked, quick=quick),
        _OPENAI: lambda: _relayed(tailrace, native("mock-openai/bench", texts=27), quick=quick),
        _ANTHROPIC: lambda: _relayed(tailrace, native("mock-anthropic/bench", texts=25), quick=quick),
        _RELAYED: lambda: _relayed(tailrace, as_openai("mock-openai/bench"), quick=quick),
    }
    try:
        relay = partial(express_relay, node_modules("express", "express@5", install=not quick))
        contestants[_EXPRESS] = lambda: _relayed(relay, asked, quick=quick)
    except Unavailable as reason:
        print(f"relay: without Express, since {reason}", file=sys.stderr)
    try:
        start = partial(litellm, environment("litellm", "litellm[proxy]", install=not quick))
        contestants[_LITELLM] = lambda: _relayed(start, asked, quick=quick, rate=_LITELLM_RATE)
    except Unavailable as reason:
        print(f"relay: without LiteLLM, since {reason}", file=sys.stderr)
    results = play(contestants, 1 if quick else 3)
    rows = _stream_rows(results) + _first_token_rows(results)
    if _EXPRESS in contestants:
        rows += _express_rows(results)
    return rows + _litellm_rows(results) if _LITELLM in contestants else rows


def _stream_rows(results: Rounds[Relayed]) -> list[Row]:
    """Compare each with the bare relay, which itself is compared with nothing."""

    def row(what: str, name: str, figure: Callable[[Relayed], float], unit: str, target: Target | None = None) -> Row:
        ratio, against = (None, "") if name == _BARE else (results.ratio(name, _BARE, figure), _BARE)
        return Row("relay", f"{what}: {name}", results.median(name, figure), unit, ratio, against, target=target)

    def streams(name: str, target: Target | None = None) -> Row:
        return row("streams/s", name, lambda relayed: relayed.streams, "/s", target=target)

    def cpu(name: str, target: Target | None = None) -> Row:
        return row("CPU for a stream", name, lambda relayed: relayed.cpu, "us", target=target)

    return [
        streams(_DIRECT),
        streams(_BARE),
        streams(_OPENAI, at_least(_OF_BARE)),
        streams(_ANTHROPIC),
        streams(_RELAYED),
        cpu(_BARE),
        cpu(_OPENAI, at_most(round(1 / _OF_BARE, 2))),
        cpu(_ANTHROPIC),
        cpu(_RELAYED),
    ]


def _first_token_rows(results: Rounds[Relayed]) -> list[Row]:
    """Tell what a server adds to the time to the first token: its time less that of asking the upstream."""

    def row(name: str, share: str, figure: Callable[[Relayed], float], target: Target | None = None) -> Row:
        added = results.paired(name, _DIRECT, lambda one, direct: figure(one) - figure(direct))
        return Row("relay", f"added to first token, {share}: {name}", added, "ms", target=target)

    return [
        row(_BARE, "p50", lambda relayed: relayed.first_p50),
        row(_OPENAI, "p50", lambda relayed: relayed.first_p50, at_most(1)),
        row(_RELAYED, "p50", lambda relayed: relayed.first_p50, at_most(1)),
        row(_BARE, "p99", lambda relayed: relayed.first_p99),
        row(_OPENAI, "p99", lambda relayed: relayed.first_p99, at_most(5)),
        row(_RELAYED, "p99", lambda relayed: relayed.first_p99, at_most(5)),
        Row("relay", "server RSS at the end: Tailrace", results.median(_RELAYED, lambda r: r.rss / 2**20), "MiB"),
    ]


def _express_rows(results: Rounds[Relayed]) -> list[Row]:
    def times(name: str, target: Target | None = None) -> Row:
        ratio = results.ratio(name, _EXPRESS, lambda relayed: relayed.streams)
        return Row("relay", f"streams/s: {name}", _streams(results, name), "/s", ratio, "Express", target=target)

    ratio = results.ratio(_EXPRESS, _OPENAI, lambda relayed: relayed.cpu)
    cpu = results.median(_EXPRESS, lambda relayed: relayed.cpu)
    return [
        Row("relay", f"streams/s: {_EXPRESS}", _streams(results, _EXPRESS), "/s"),
        times(_OPENAI, at_least(_OF_EXPRESS)),
        times(_RELAYED),
        Row("relay", f"CPU for a stream: {_EXPRESS}", cpu, "us", ratio, _OPENAI),
    ]


def _streams(results: Rounds[Relayed], name: str) -> float:
    return results.median(name, lambda relayed: relayed.streams)


def _litellm_rows(results: Rounds[Relayed]) -> list[Row]:
    """Compare with LiteLLM; its first tokens are paced more slowly."""

    def times(name: str, target: Target | None = None) -> Row:
        ratio = results.ratio(name, _LITELLM, lambda relayed: relayed.streams)
        figure = results.median(name, lambda relayed: relayed.streams)
        return Row("relay", f"streams/s: {name}", figure, "/s", ratio, "LiteLLM", target=target)

    def alone(what: str, figure: Callable[[Relayed], float], unit: str) -> Row:
        return Row("relay", f"{what}: LiteLLM", results.median(_LITELLM, figure), unit)

    def added(share: str, figure: Callable[[Relayed], float]) -> Row:
        more = results.paired(_LITELLM, _DIRECT, lambda one, direct: figure(one) - figure(direct))
        return Row("relay", f"added to first token, {share}: {_LITELLM}", more, "ms")

    return [
        alone("streams/s", lambda relayed: relayed.streams, "/s"),
        times(_OPENAI, at_least(_OF_LITELLM)),
        times(_RELAYED, at_least(_OF_LITELLM)),
        _cpu_of_litellm(results),
        added("p50", lambda relayed: relayed.first_p50),
        added("p99", lambda relayed: relayed.first_p99),
        alone("server RSS at the end", lambda relayed: relayed.rss / 2**20, "MiB"),
    ]


def _cpu_of_litellm(results: Rounds[Relayed]) -> Row:
    """Tell how many streams Tailrace relays with what LiteLLM takes for one."""
    ratio = results.ratio(_LITELLM, _RELAYED, lambda relayed: relayed.cpu)
    figure = results.median(_LITELLM, lambda relayed: relayed.cpu)
    return Row("relay", "CPU for a stream: LiteLLM", figure, "us", ratio, "Tailrace as OpenAI")


def _direct(*, quick: bool) -> Relayed:
    with upstream() as source:
        return _ask(source, as_openai("bench"), quick=quick)


def _relayed(start: Start, question: Question, *, quick: bool, rate: int = _PACED_RATE) -> Relayed:
    with upstream() as source, start(source.port) as server:
        return _ask(server, question, quick=quick, rate=rate)


def _ask(server: Server, question: Question, *, quick: bool, rate: int = _PACED_RATE) -> Relayed:
    seconds = 1 if quick else 5
    paced = question.asked(server, connections=_CONNECTIONS, rate=rate, warmup=1, seconds=2 * seconds)
    before = server.cpu_seconds()
    looped = question.asked(server, connections=_CONNECTIONS, warmup=1, seconds=seconds)
    cpu = (server.cpu_seconds() - before) / looped["asked"]
    first = paced["first_token_us"]
    return Relayed(
        streams=looped["answers"] / looped["seconds"],
        cpu=cpu * 1e6,
        first_p50=first["p50"] / 1e3,
        first_p99=first["p99"] / 1e3,
        rss=server.rss(),
    )
