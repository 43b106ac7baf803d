"""This process as one of several on a store: what `Runs` does only where others share what it writes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Container, Mapping

from tailrace.errors import ErrorType, RunError, StoreUnavailable
from tailrace.hub import Hub, Tail
from tailrace.log.fleet import Fleet
from tailrace.runs.elsewhere import Elsewhere
from tailrace.runs.headcount import Headcount, Inquiry
from tailrace.runs.lease import LOOK, Lease
from tailrace.runs.letters import Letter, Word
from tailrace.runs.membership import Duties, Membership
from tailrace.runs.meta import RunMeta, log_of
from tailrace.runs.revived import Revived
from tailrace.runs.run import Run
from tailrace.runs.tasks import Tasks

__all__ = ["Instance", "cancelled"]


class Instance:
    """A member of a fleet, with its hold on its own runs and its part in those of the others.

    `live` are those that go on, `ours` the logs of those of which the store has not everything yet.
    """

    def __init__(self, hub: Hub, fleet: Fleet, live: Mapping[str, Run], ours: Container[str], tasks: Tasks) -> None:
        self.name = fleet.name
        self._live = live
        self._tasks = tasks
        self._clock = hub.clock
        self._meter = hub.meter
        self._looking: asyncio.Task[None] | None = None
        self._look_at = hub.clock.monotonic() + LOOK
        duties = Duties(self._read, self._reap, self._look_after)
        self.membership = Membership(fleet, hub.clock, hub.meter, duties)
        self.lease = Lease(hub, fleet, self.membership.liveness, tasks)
        self.elsewhere = Elsewhere(hub, fleet, self.membership.liveness, tasks)
        self._revived = Revived(hub, fleet, ours)
        self._fleet = fleet
        self._headcount = Headcount(fleet, hub.clock, self._viewers)

    def certain(self) -> bool:
        """Whether nobody else can have ended a run of this instance's by now."""
        return self.membership.certain

    def presumed_dead(self) -> bool:
        """Whether others may be ending what is produced here."""
        return self.membership.presumed_dead

    def gone(self, name: str) -> bool:
        """Whether an instance is dead: what it said of itself does not count any more."""
        return self.membership.liveness.gone(name)

    def _read(self, letter: Letter) -> None:
        run = self._live.get(letter.run)
        match letter.word:
            case Word.LOOK:
                self._tasks.start(self._look_at_lost(log_of(letter.run)))
            case Word.COUNT:
                self._headcount.on_asked(letter.run)
            case _ if run is None:
                return  # it has ended; who asked finds out from its log
            case Word.CANCEL:
                run.cancel(cancelled())
            case Word.UNWATCHED:
                run.on_unwatched()

    def _viewers(self, run: str) -> int:
        live = self._live.get(run)
        return live.viewers if live is not None else self.elsewhere.viewers(log_of(run))

    def inquire(self, run: str, tail: Tail) -> Callable[[], Awaitable[int]]:
        """What asks the other instances how many watch a run there; it raises `StoreUnavailable`."""
        self.suspect(tail)
        return Inquiry(self._fleet, self._clock, self.gone, run, RunMeta.parse(tail.meta).by).count

    def close(self) -> None:
        """Tell nobody any more who watches here."""
        self.elsewhere.close()
        self._headcount.close()

    async def enter(self, tail: Tail) -> Callable[[], None] | None:
        """Count a viewer in of a run that is not produced here; what counts it out again, once."""
        self.suspect(tail)
        return await self.elsewhere.enter(tail)

    def suspect(self, tail: Tail) -> None:
        """Have a run that somebody looks at ended, if its producer is gone and nobody knows what it produced."""
        producer = RunMeta.parse(tail.meta).by
        if tail.ended or producer is None:
            return
        if producer == self.name:
            self._tasks.start(self._look_at_lost(tail.log))
        elif self.membership.liveness.missing(producer):
            self._tasks.start(self._end_orphan(tail.log))

    async def _end_orphan(self, log: str) -> None:
        with contextlib.suppress(StoreUnavailable):  # then whoever looks again finds it still there
            if await self.elsewhere.reap(log):
                self._meter.add("leases.reaped")

    async def _look_at_lost(self, log: str) -> None:
        with contextlib.suppress(StoreUnavailable):  # then whoever waits asks again
            await self._revived.end(log)

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
            await self._revived.look()


def cancelled() -> RunError:
    """Why a run ends that somebody with the right to it does not want any more."""
    return RunError(ErrorType.CALLER_CANCELLED, "this answer was cancelled")
