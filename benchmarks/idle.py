"""Idle memory: what a connection costs the server while nothing happens on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from contestants import starlette_events, tailrace_serve
from rig.native import subscribers
from rig.rounds import play
from rig.row import Row, at_most
from rig.server import BenchmarkFailed, Server

__all__ = ["run"]

_STARLETTE, _TAILRACE = "sse-starlette", "Tailrace"

_WARM_CONNECTIONS = 100
"""Held open before the first reading: what only the first connections load is not the price of each."""

_SETTLED = 2.0
"""Seconds without a change of more than `_STILL` bytes."""
_STILL = 65_536
_SETTLE_TIMEOUT = 30.0
_HOLD_TIMEOUT = 120


def run(*, quick: bool) -> list[Row]:
    rounds, connections = (1, 1000) if quick else (2, 5000)
    results = play(
        {
            _TAILRACE: lambda: _bytes_per_connection(tailrace_serve, connections),
            _STARLETTE: lambda: _bytes_per_connection(starlette_events, connections),
        },
        rounds,
    )

    def kib(name: str) -> float:
        return results.median(name, lambda size: size / 1024)

    ratio = results.ratio(_STARLETTE, _TAILRACE, lambda size: size)
    what = "server RSS for each idle connection: "
    return [
        Row("idle", what + _TAILRACE, kib(_TAILRACE), "KiB", target=at_most(3)),
        Row("idle", what + _STARLETTE, kib(_STARLETTE), "KiB", ratio, _TAILRACE),
    ]


def _bytes_per_connection(start: Callable[[], AbstractContextManager[Server]], connections: int) -> float:
    with start() as server, _held(server, _WARM_CONNECTIONS):
        before = _settled_rss(server)
        with _held(server, connections):
            return (_settled_rss(server) - before) / connections


@contextmanager
def _held(server: Server, connections: int) -> Iterator[None]:
    """Hold subscriptions open until the block is left."""
    with subscribers(
        port=server.port, path="/events/idle", connections=connections, events=0, timeout=_HOLD_TIMEOUT
    ) as lines:
        next(lines)
        yield


def _settled_rss(server: Server) -> int:
    """Return the server's RSS once it has held still. Raises BenchmarkFailed if it never does."""
    deadline = time.monotonic() + _SETTLE_TIMEOUT
    still_since, size = time.monotonic(), server.rss()
    while time.monotonic() - still_since < _SETTLED:
        if time.monotonic() > deadline:
            raise BenchmarkFailed("the server's memory does not come to rest")
        time.sleep(0.1)
        if abs(server.rss() - size) > _STILL:
            still_since, size = time.monotonic(), server.rss()
    return size
