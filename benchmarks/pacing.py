"""Pacing: answers that take their time, as a model's do, at rising rates.

The upstream begins after 10 ms and says one of 31 events each millisecond, so an answer takes
40 ms and each of its events is a piece of work of its own. Questions fall due whatever the server does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Self

from contestants import aiohttp_relay, express_relay, litellm, upstream
from questions import Question, as_openai, native, tailrace
from rig.environment import Unavailable, environment, node_modules
from rig.row import Row
from rig.server import BenchmarkFailed, Server

__all__ = ["run"]

_PACE = (10, 1)
_RATES = (25, 50, 100, 200)
_CONNECTIONS = 400
_WARM_UP = 5
_FOLLOWS = 0.95
"""The share of the questions that must be answered in time for a server to be asked more often."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server, started before the given upstream, and what it is asked."""

    name: str
    start: Callable[[Server], AbstractContextManager[Server]]
    question: Question

    @classmethod
    def before(cls, name: str, start: Callable[[int], AbstractContextManager[Server]], question: Question) -> Self:
        """Make one of what is started with the upstream's port."""
        return cls(name, lambda source: start(source.port), question)


def run(*, quick: bool) -> list[Row]:
    rows: list[Row] = []
    for contestant in _contestants(quick=quick):
        with upstream(_PACE) as source, contestant.start(source) as server:
            rows += _rising(contestant, server, quick=quick)
    return rows


def _contestants(*, quick: bool) -> Sequence[Contestant]:
    asked = as_openai("bench")
    found = [
        Contestant("direct to the upstream", nullcontext, asked),
        Contestant.before("bare aiohttp relay", aiohttp_relay, asked),
        Contestant.before("Tailrace native", tailrace, native("mock-openai/bench", texts=27)),
        Contestant.before("Tailrace as OpenAI", tailrace, as_openai("mock-openai/bench")),
    ]
    for name, make in (
        ("Express relay", lambda: partial(express_relay, node_modules("express", "express@5", install=not quick))),
        ("LiteLLM", lambda: partial(litellm, environment("litellm", "litellm[proxy]", install=not quick))),
    ):
        try:
            found.append(Contestant.before(name, make(), asked))
        except Unavailable as reason:
            print(f"pacing: without {name}, since {reason}", file=sys.stderr)
    return found


def _rising(contestant: Contestant, server: Server, *, quick: bool) -> list[Row]:
    """Ask more and more often, until the server falls behind."""
    rows: list[Row] = []
    try:
        # Whatever a server does with its first questions, it does before any is measured.
        contestant.question.asked(server, connections=1, warmup=0, seconds=_WARM_UP)
        for rate in _RATES[:2] if quick else _RATES:
            shown, follows = _at(contestant, server, rate, seconds=1 if quick else 4)
            rows += shown
            if not follows:
                break
    except BenchmarkFailed as failure:
        print(f"pacing: no more of {contestant.name}: {failure}", file=sys.stderr)
    megabytes = server.rss() / 2**20
    return [*rows, Row("pacing", f"server RSS at the end: {contestant.name}", megabytes, "MiB")]


def _at(contestant: Contestant, server: Server, rate: int, *, seconds: int) -> tuple[list[Row], bool]:
    before = server.cpu_seconds()
    report = contestant.question.asked(server, connections=_CONNECTIONS, rate=rate, warmup=1, seconds=seconds)
    cpu = (server.cpu_seconds() - before) / report["asked"]
    answered, first = report["answers"] / seconds, report["first_token_us"]
    name, follows = f"{contestant.name}, {rate}/s", answered >= _FOLLOWS * rate
    return [
        Row("pacing", f"first token, p50: {name}", first["p50"] / 1e3, "ms"),
        Row("pacing", f"first token, p99: {name}", first["p99"] / 1e3, "ms"),
        Row("pacing", f"CPU for a stream: {name}", cpu * 1e6, "us"),
        *([] if follows else [Row("pacing", f"falls behind, answers: {name}", answered, "/s")]),
    ], follows
