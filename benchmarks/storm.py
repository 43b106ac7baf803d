"""Resume storm: thousands of clients come back at once, each a hundred events behind."""

from __future__ import annotations

import json
import time
from http.client import HTTPConnection

from contestants import tailrace_serve
from rig.native import subscribers
from rig.rounds import play
from rig.row import Row, at_most
from rig.server import BenchmarkFailed, Server

__all__ = ["run"]

_MISSED = 100
_PADDING = "." * 104
"""The events are those of the fan-out, about 160 bytes; see `peers/ticker.py`."""


def run(*, quick: bool) -> list[Row]:
    rounds, clients = (1, 1000) if quick else (3, 5000)
    results = play({"storm": lambda: _storm(clients)}, rounds)
    seconds = results.median("storm", float)
    return [
        Row("storm", f"{clients} clients resume, {_MISSED} events each: all served", seconds, "s", target=at_most(2))
    ]


def _storm(clients: int) -> float:
    """Return the seconds from the first connection to the last client's last event."""
    with tailrace_serve() as server:
        cursor = _published(server)
        with subscribers(
            port=server.port,
            path="/events/storm",
            header=f"Last-Event-ID: {cursor}",
            connections=clients,
            first=1,
            events=_MISSED,
        ) as lines:
            next(lines)
            report = next(lines)
    if report["complete"] != clients or report["wrong"]:
        raise BenchmarkFailed(f"not every client got all that it missed: {report}")
    return float(report["served_us"]["max"]) / 1e6


def _published(server: Server) -> str:
    """Publish one event more than is missed; return the first one's id, the cursor of all clients."""
    connection = HTTPConnection("127.0.0.1", server.port)
    ids = [_publish(connection, f"{_PADDING}@{n:010d} {time.monotonic_ns():019d}") for n in range(_MISSED + 1)]
    connection.close()
    return ids[0]


def _publish(connection: HTTPConnection, payload: str) -> str:
    connection.request("POST", "/events/storm", payload, {"Content-Type": "text/plain"})
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        raise BenchmarkFailed(f"publishing was answered {response.status}: {body.decode(errors='replace')}")
    return str(json.loads(body)["id"])
