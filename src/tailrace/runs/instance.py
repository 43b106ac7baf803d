"""This process as one of several on a store: what `Runs` does only where others share what it writes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from tailrace.errors import ErrorType, RunError, StoreUnavailable
from tailrace.hub import Hub
from tailrace.log.fleet import Fleet
from tailrace.runs.elsewhere import Elsewhere
from tailrace.runs.lease import LOOK, Lease
from tailrace.runs.letters import Letter, Word
from tailrace.runs.membership import Duties, Membership
from tailrace.runs.run import Run
from tailrace.runs.tasks import Tasks

__all__ = ["Instance", "cancelled"]


class Instance:
    """A member of a fleet, with its hold on its own runs (`live`) and its part in those of the others."""

    def __init__(self, hub: Hub, fleet: Fleet, live: Mapping[str, Run], tasks: Tasks) -> None:
        self.name = fleet.name
        self._live = live
        self._tasks = tasks
        self._clock = hub.clock
        self._looking: asyncio.Task[None] | None = None
        self._look_at = hub.clock.monotonic() + LOOK
        duties = Duties(self._read, self._reap, self._look_after)
        self.membership = Membership(fleet, hub.clock, hub.meter, duties)
        self.lease = Lease(hub, fleet, self.membership.liveness, tasks)
        self.elsewhere = Elsewhere(hub, fleet, self.membership.liveness, tasks)

    def certain(self) -> bool:
        """Whether nobody else can have ended a run of this instance's by now."""
        return self.membership.certain

    def _read(self, letter: Letter) -> None:
        run = self._live.get(letter.run)
        if run is None:
            return  # it has ended; who asked finds out from its log
        match letter.word:
            case Word.CANCEL:
                run.cancel(cancelled())
            case Word.UNWATCHED:
                run.on_unwatched()

    async def _reap(self, log: str) -> bool:
        return await self.elsewhere.reap(log)

    def _look_after(self, restored: bool) -> None:
        due = self._clock.monotonic() >= self._look_at or self.membership.liveness.doubtful
        if due and (self._looking is None or self._looking.done()):
            self._look_at = self._clock.monotonic() + LOOK
            self._looking = self._tasks.start(self._look_at_own())
        self.elsewhere.look_after(restored=restored)

    async def _look_at_own(self) -> None:
        with contextlib.suppress(StoreUnavailable):  # then the next look finds out
            await self.lease.look(self._live.values())


def cancelled() -> RunError:
    """Why a run ends that somebody with the right to it does not want any more."""
    return RunError(ErrorType.CALLER_CANCELLED, "this answer was cancelled")
