"""How late the event loop is: what everybody who is served here waits for, whatever the reason."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Final

from tailrace.observe import Durations

__all__ = ["Lag"]

_PERIOD: Final = 0.5


class Lag:
    """Looks twice a second, between `start` and `stop`, how long after its time it is called."""

    def __init__(self, seen: Durations) -> None:
        self._seen = seen
        self._due = 0.0
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to look, in the running event loop."""
        self._wait(asyncio.get_running_loop())

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        # Not the loop's own time: uvloop's stands still within a turn, and counts in milliseconds.
        self._due = monotonic() + _PERIOD
        self._handle = loop.call_later(_PERIOD, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._seen.observe(max(0.0, monotonic() - self._due))
        self._wait(loop)

    def stop(self) -> None:
        """Look no more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
