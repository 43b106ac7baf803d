"""Start: from the command to the first accepted connection."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from contestants import starlette_events, tailrace_serve
from rig.rounds import play
from rig.row import Row, at_most
from rig.server import Server

__all__ = ["run"]

_STARLETTE, _TAILRACE = "sse-starlette on uvicorn", "tailrace serve"


def run(*, quick: bool) -> list[Row]:
    results = play(
        {_TAILRACE: lambda: _seconds(tailrace_serve), _STARLETTE: lambda: _seconds(starlette_events)},
        2 if quick else 7,
    )

    def seconds(name: str) -> float:
        return results.median(name, float)

    ratio = results.ratio(_TAILRACE, _STARLETTE, float)
    return [
        Row("startup", f"start to listening: {_TAILRACE}", seconds(_TAILRACE), "s", target=at_most(1)),
        Row("startup", f"start to listening: {_STARLETTE}", seconds(_STARLETTE), "s", 1 / ratio, _TAILRACE),
    ]


def _seconds(start: Callable[[], AbstractContextManager[Server]]) -> float:
    with start() as server:
        return server.started_in
