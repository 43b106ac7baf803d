"""Runs of this instance that had ended, and that go on in the store all the same: it has lost their end.

A replica that lagged was promoted, or an older snapshot loaded. Nobody else ends such a run, since its producer
lives; and its producer, which is done with it, is never refused anything. So the producer looks what the store
lists as produced here, and hears of what that list has lost as well from those who wait for more of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Container

from tailrace.hub import Hub
from tailrace.log import Entry
from tailrace.log.fleet import Fleet
from tailrace.runs.meta import RunMeta
from tailrace.runs.native import interruption

__all__ = ["Revived"]

log = logging.getLogger("tailrace")

_AT_ONCE = 256
"""Logs that are looked at together."""

_LOST_END = "the store has lost how this answer ended, and maybe some of what was said"


class Revived:
    """What the store takes for going on here, and is not. `ours` are the logs that are: until the store has all."""

    def __init__(self, hub: Hub, fleet: Fleet, ours: Container[str]) -> None:
        self._hub = hub
        self._fleet = fleet
        self._ours = ours

    async def look(self) -> None:
        """End what is listed as produced here and is not. Raises `StoreUnavailable`."""
        listed = await self._fleet.produced_by(self._fleet.name)
        # Most have ended this very second, and are taken off the list with the next beat.
        strange = [name for name in listed if name not in self._ours]
        for begin in range(0, len(strange), _AT_ONCE):
            await asyncio.gather(*map(self.end, strange[begin : begin + _AT_ONCE]))

    async def end(self, name: str) -> None:
        """End a log as interrupted if it has no end, and is not ours any more. Raises `StoreUnavailable`."""
        if name in self._ours:
            return
        head = await self._hub.store.head(name)
        if head is None or head.ended:
            return
        self._hub.supersede(name)
        entries = [Entry(*said) for said in interruption(_LOST_END)]
        if await self._fleet.seal(name, head.epoch, entries, RunMeta.parse(head.meta).keep):
            self._hub.meter.add("leases.reaped")
            log.warning("run %s went on in the store, and not here; it was ended as interrupted", head.epoch)
