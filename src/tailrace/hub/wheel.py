"""One timer for the whole process: heartbeats, deadlines and expiries share a wheel of coarse ticks.

A loop timer for each connection would be rescheduled at each write. Here a connection sits in one
slot, and is asked there how much longer it wants to wait; writes only note the time. Nothing wakes up
while nothing waits.
"""

from __future__ import annotations

import asyncio
import logging
from math import inf
from typing import Protocol

from tailrace.clock import SYSTEM, Clock

__all__ = ["TICK", "Timed", "Wheel"]

log = logging.getLogger("tailrace")

TICK = 0.1
"""Seconds between two ticks: how late a timer may be."""

_SLICE = 0.004  # seconds of calling before others have their turn: after a broadcast, all are silent equally long


class Timed(Protocol):
    """Something that waits. `slot` belongs to the wheel (-1: it is not waiting)."""

    slot: int

    def on_timer(self, now: float) -> float | None:
        """Do what is due at `now` (monotonic seconds); return the seconds to wait next, or None for no more."""
        ...


class Wheel:
    """Slots of whoever waits, by the tick in which they are due."""

    def __init__(self, clock: Clock = SYSTEM) -> None:
        self._clock = clock
        self._slots: dict[int, set[Timed]] = {}
        self._handle: asyncio.Handle | None = None

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

    def schedule(self, timed: Timed, seconds: float) -> None:
        """Call `timed.on_timer` in about `seconds`, never earlier; instead of what was scheduled for it before."""
        self.cancel(timed)
        slot = int((self._clock.monotonic() + seconds) / TICK) + 1
        timed.slot = slot
        self._slots.setdefault(slot, set()).add(timed)
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_later(TICK, self._tick)

    def cancel(self, timed: Timed) -> None:
        """Forget `timed`, if it waits."""
        if timed.slot < 0:
            return
        waiting = self._slots.get(timed.slot)
        if waiting is not None:
            waiting.discard(timed)
            if not waiting:
                del self._slots[timed.slot]
        timed.slot = -1

    def _tick(self) -> None:
        self._handle = None
        through = self.advance(_SLICE)
        if self._slots and self._handle is None:
            loop = asyncio.get_running_loop()
            self._handle = loop.call_later(TICK, self._tick) if through else loop.call_soon(self._tick)

    def advance(self, patience: float = inf) -> bool:
        """Call everything that is due by the clock, for about `patience` seconds; whether that was all."""
        now = self._clock.monotonic()
        for slot in sorted([slot for slot in self._slots if slot <= now / TICK]):
            while waiting := self._slots.get(slot):
                self._call(waiting.pop(), now)
                if self._clock.monotonic() - now > patience:
                    return False
            self._slots.pop(slot, None)
        return True

    def _call(self, timed: Timed, now: float) -> None:
        timed.slot = -1
        try:
            wait = timed.on_timer(now)
        except Exception:
            # One timer's fault must not keep the others from theirs.
            log.exception("a timer failed")
            return
        if wait is not None:
            self.schedule(timed, wait)

    def close(self) -> None:
        """Forget everybody."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        for waiting in self._slots.values():
            for timed in waiting:
                timed.slot = -1
        self._slots.clear()
