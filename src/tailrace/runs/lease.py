"""What this instance may still say of the runs it produces, and what becomes of those it has lost.

The store decides: an append that it refuses, or a look after contact was broken, shows that a run has been ended
by another instance, or that its log is gone. Such a run is stopped here at once, and its viewers are shown
the end that everybody reads.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence

from tailrace.errors import StoreError, StoreUnavailable
from tailrace.hub import Hub
from tailrace.log import RESERVED, Entry, Page, Record
from tailrace.log.backoff import Backoff
from tailrace.log.fleet import Fleet
from tailrace.runs.liveness import BEAT, Liveness
from tailrace.runs.run import Run
from tailrace.runs.tasks import Tasks

__all__ = ["LOOK", "Lease"]

log = logging.getLogger("tailrace")

LOOK = 3.0
"""Seconds between two looks at runs that say nothing: a store may lose a log without ever having been away."""

_AT_ONCE = 256
"""Logs that are looked at together."""
_END = 64
"""Records that an end has at most: what was said in the same moment, and its terminal."""


class Lease:
    """This instance's hold on its own runs."""

    def __init__(self, hub: Hub, fleet: Fleet, liveness: Liveness, tasks: Tasks) -> None:
        self._hub = hub
        self._fleet = fleet
        self._liveness = liveness
        self._tasks = tasks
        self._ends_unknown = False  # whether the store could not say how a run ended when it was last asked

    # The store takes nothing more.

    def on_refused(self, run: Run) -> None:
        """See to the end of a run that the store takes nothing more of."""
        log.warning("run %s was ended elsewhere, or is lost in the store; it is stopped here", run.id)
        self._hub.meter.add("leases.lost")
        self._tasks.start(self._conclude(run))

    async def _conclude(self, run: Run) -> None:
        # First the store, then the viewers here: of all who try to end it one does, and only the store knows who.
        # What was shown first could be contradicted by what everybody else reads.
        page = await self._end_of(run)
        if run.tail.ended:
            # Viewers here were shown all of it already; whoever comes from now on reads what everybody else does.
            self._hub.supersede(run.tail.log)
        elif page is not None:
            run.tail.first = page.head.first
        run.conclude((page.records if page is not None else ()) or self._lost_end(run))

    async def _end_of(self, run: Run) -> Page | None:
        """End a run's log unless that is done, and read how it ended, however long the store takes.

        None where the store has lost the log once more.
        """
        tail, backoff = run.tail, Backoff(longest=BEAT)
        entries = [Entry(*said) for said in run.last_words()]
        while True:
            try:
                await self._fleet.seal(tail.log, tail.epoch, entries, run.options.keep, tail.meta)
                page = await self._hub.store.read(tail.log, RESERVED, _END)
            except StoreError as error:
                if not self._ends_unknown:  # once for all runs: they may be thousands
                    log.warning("how lost runs ended cannot be found out now: %s", error)
                self._ends_unknown = True
                await asyncio.sleep(backoff.wait())
            else:
                self._ends_unknown = False
                return page if page is not None and page.head.epoch == tail.epoch else None

    def _lost_end(self, run: Run) -> Sequence[Record]:
        """An end for the viewers here where the store has none."""
        now = self._hub.clock.time()
        return [Record(offset, *said, now) for offset, said in enumerate(run.last_words(), RESERVED + 1)]

    async def look(self, runs: Collection[Run]) -> None:
        """Look which runs are lost, of those that have said nothing lately: they would not find out by themselves.

        After this instance was out of touch, all are looked at. Raises `StoreUnavailable`.
        """
        doubts, silent = self._liveness.doubts, self._hub.clock.monotonic() - LOOK
        left = [run for run in runs if self._liveness.doubtful or run.said_at <= silent]
        for begin in range(0, len(left), _AT_ONCE):
            await asyncio.gather(*map(self.look_at, left[begin : begin + _AT_ONCE]))
        self._liveness.vouch(doubts)

    async def look_at(self, run: Run) -> None:
        """Look whether one is lost. Raises `StoreUnavailable`."""
        head = await self._hub.store.head(run.tail.log)
        lost = head is None or head.epoch != run.tail.epoch or head.ended
        if lost and not run.ended:  # one that came to its own end meanwhile hears what becomes of that
            run.on_refused()

    # Who watches.

    def on_deserted(self, run: Run) -> None:
        """Find out whether a run that nobody watches here is watched elsewhere."""
        self._tasks.start(self._ask_who_watches(run))

    async def _ask_who_watches(self, run: Run) -> None:
        run.found(watched=await self._is_watched(run))

    async def _is_watched(self, run: Run) -> bool:
        if not self._liveness.settled:
            return True  # where the store was away, not everybody may have told it again who is watching
        try:
            watchers = await self._fleet.watchers(run.tail.log)
        except StoreUnavailable:
            return True
        return any(not self._liveness.gone(name) for name in watchers - {self._fleet.name})
