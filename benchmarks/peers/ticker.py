"""The event source of every Python fan-out server: paced events, begun by SIGUSR1.

It stands inside the measured process, because a publisher that comes over HTTP would be
charged to some servers and not to others. What a server does with an event is its own part.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

__all__ = ["publishing"]

_PADDING = "." * 104
"""Makes the whole event, with its id and its field names, about 160 bytes, as `c/send_loop.c` does."""

_SHORTEST_SLEEP = 0.001
"""uvloop's timers are whole milliseconds; a shorter sleep would spin, and be charged to the server."""


@asynccontextmanager
async def publishing(publish: Callable[[str], Awaitable[None]]) -> AsyncIterator[None]:
    """Once SIGUSR1 has come, publish BENCH_EVENTS payloads, BENCH_RATE a second, until the block is left."""
    begun = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, begun.set)
    task = asyncio.create_task(_publish_paced(publish, begun))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _publish_paced(publish: Callable[[str], Awaitable[None]], begun: asyncio.Event) -> None:
    """Publish what has fallen due, all at once, then sleep until the next is due.

    A server that cannot keep up thus meets several events in one turn of its loop, as it
    would from publishers who do not wait for it.
    """
    rate, events = int(os.environ["BENCH_RATE"]), int(os.environ["BENCH_EVENTS"])
    await begun.wait()
    start, published = time.monotonic(), 0
    while published < events:
        due = min(events, int((time.monotonic() - start) * rate) + 1)
        for sequence in range(published, due):
            await publish(_payload(sequence))
        published = due
        await asyncio.sleep(max(_SHORTEST_SLEEP, start + due / rate - time.monotonic()))


def _payload(sequence: int) -> str:
    """End in `@<sequence> <monotonic nanoseconds>`, which `c/subscribers.c` looks for."""
    return f"{_PADDING}@{sequence:010d} {time.monotonic_ns():019d}"
