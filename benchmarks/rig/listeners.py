"""Many readers of streams in one process, who note how old each token is when they get it.

A token is the nanosecond (`time.monotonic_ns`) at which it was said, so its age is known where it arrives.
"""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from rig.server import BenchmarkFailed

__all__ = ["Ages", "Listener", "listen_to"]

_TOKEN = re.compile(rb'"text":"(\d+) "')
_RUN = re.compile(rb"tailrace-run: *([^\r]+)\r\n", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Ages:
    """How old tokens were, in milliseconds, and how many there were."""

    p50: float
    p99: float
    count: int

    @classmethod
    def of(cls, listeners: Sequence[Listener]) -> Ages:
        """The ages of what all of them heard."""
        ages = [age for listener in listeners for age in listener.ages]
        if len(ages) < 100:
            raise BenchmarkFailed(f"only {len(ages)} tokens arrived")
        cuts = statistics.quantiles(ages, n=100)
        return cls(cuts[49] / 1e6, cuts[98] / 1e6, len(ages))


class Listener(asyncio.Protocol):
    """One reader: sends its request when it is connected, and reads until it is closed."""

    def __init__(self, request: bytes) -> None:
        self.ages: list[int] = []
        """In nanoseconds."""
        self.head: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._request = request
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's derives from none of asyncio's
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        data = self._rest + data
        end = 0
        if not self.head.done():
            end = data.find(b"\r\n\r\n") + 4
            if end < 4:
                self._rest = data
                return
            self.head.set_result(data[:end])
        for token in _TOKEN.finditer(data, end):
            self.ages.append(now - int(token[1]))
            end = token.end()
        self._rest = data[end:]

    async def run(self) -> str:
        """The run that it reads. Raises BenchmarkFailed where the answer is no run."""
        head = await self.head
        found = _RUN.search(head)
        if not head.startswith(b"HTTP/1.1 200") or found is None:
            raise BenchmarkFailed(head.decode(errors="replace"))
        return found[1].decode()

    def close(self) -> None:
        self._transport.abort()


async def listen_to(port: int, method: str, target: str, body: Mapping[str, Any] | None = None) -> Listener:
    """Open a stream."""
    data = json.dumps(body).encode() if body else b""
    head = (
        f"{method} {target} HTTP/1.1\r\nhost: bench\r\naccept: text/event-stream\r\ncontent-length: {len(data)}\r\n\r\n"
    )
    _, listener = await asyncio.get_running_loop().create_connection(
        lambda: Listener(head.encode() + data), "127.0.0.1", port
    )
    return listener
