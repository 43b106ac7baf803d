"""Runs that other instances produce: watched and cancelled from here, and ended where nobody else does it.

Their producer is told, through the store, that somebody watches here and that the last one has left. Where it
does not answer a cancel, or is gone without anybody having ended what it produced, the end is written here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from tailrace.errors import ErrorType, RunError, StoreUnavailable
from tailrace.hub import Hub, Tail
from tailrace.log import Entry
from tailrace.log.backoff import Backoff
from tailrace.log.fleet import Fleet
from tailrace.runs.frames import Said
from tailrace.runs.letters import Letter, Word
from tailrace.runs.liveness import BEAT, Liveness
from tailrace.runs.meta import RunMeta
from tailrace.runs.native import DONE, error_entry, interruption
from tailrace.runs.tasks import Tasks

__all__ = ["Elsewhere"]

log = logging.getLogger("tailrace")

_ANSWER = 2.0
"""Seconds that a producer has to end a run after a letter: a thousand times what it needs."""
_TOLD = 1.0
"""Seconds that a first viewer waits at most until the producer can know of it."""
_SILENCE = 5.0
"""Seconds without a word after which a producer is asked whether the run goes on; a store may have lost its end."""
_LONGEST_SILENCE = 60.0
"""Seconds between two such questions at most: models think for long, and each question is a beat more."""

_ORPHANED = "nobody produces this answer any more; the store may have lost some of it"


class _Watched:
    """A run elsewhere that is watched here, or was a moment ago. `told` is what the store knows; None: unknown."""

    __slots__ = ("ask_at", "ending", "heard", "patience", "producer", "tail", "telling", "told", "viewers")

    def __init__(self, tail: Tail, producer: str) -> None:
        self.tail = tail
        self.producer = producer
        self.viewers = 0
        self.told: bool | None = False
        self.telling: asyncio.Task[None] | None = None
        self.ending = False
        self.heard = -1  # the tail's head when it was last looked whether it says anything
        self.patience = self.ask_at = 0.0

    def is_silent(self, now: float) -> bool:
        """Whether it has said nothing for so long that its producer is to be asked; each time later than before."""
        heard, self.heard = self.heard, self.tail.head
        if heard != self.heard:
            self.patience, self.ask_at = _SILENCE, now + _SILENCE
        if now < self.ask_at:
            return False
        self.patience = min(2 * self.patience, _LONGEST_SILENCE)
        self.ask_at = now + self.patience
        return True

    @property
    def lasts(self) -> bool:
        """Whether somebody waits for more of it."""
        return self.viewers > 0 and not self.tail.ended


class Elsewhere:
    """What this instance knows of, and does about, the runs of others."""

    def __init__(self, hub: Hub, fleet: Fleet, liveness: Liveness, tasks: Tasks) -> None:
        self._hub = hub
        self._fleet = fleet
        self._liveness = liveness
        self._tasks = tasks
        self._watched: dict[str, _Watched] = {}
        self.on_change: Callable[[str], None] = lambda _: None
        """Hears which log has more viewers here than before, or fewer."""
        self._closed = False

    def close(self) -> None:
        """Tell nobody any more who watches here: this instance is taken off the roster, and all that with it."""
        self._closed = True

    # Watching.

    def viewers(self, log: str) -> int:
        """How many watch a run of others here."""
        watched = self._watched.get(log)
        return watched.viewers if watched is not None else 0

    async def enter(self, tail: Tail) -> Callable[[], None] | None:
        """Count a viewer in, where the run's producer is to know of it; what counts it out again, once."""
        producer = RunMeta.parse(tail.meta).by
        if tail.ended or producer is None or producer == self._fleet.name:
            return None
        watched = self._watched.setdefault(tail.log, _Watched(tail, producer))
        watched.tail = tail
        watched.viewers += 1
        self.on_change(tail.log)
        telling = self._tell(watched)
        if telling is not None:
            try:
                # Else a viewer who hops from there to here could leave the run, for a moment, with none at all.
                await asyncio.wait((telling,), timeout=_TOLD)
            except BaseException:
                self._leave(watched)
                raise
        return lambda: self._leave(watched)

    def _leave(self, watched: _Watched) -> None:
        watched.viewers -= 1
        self.on_change(watched.tail.log)
        self._tell(watched)

    def _tell(self, watched: _Watched) -> asyncio.Task[None] | None:
        """Have the store know what is so, one call at a time; the task that sees to it, if it does not yet."""
        if not self._closed and watched.telling is None and watched.told is not (watched.viewers > 0):
            watched.telling = self._tasks.start(self._tell_on(watched))
        return watched.telling

    async def _tell_on(self, watched: _Watched) -> None:
        backoff = Backoff(longest=BEAT)
        try:
            while watched.told is not (watched.viewers > 0) and not self._closed:
                try:
                    await self._tell_once(watched)
                except StoreUnavailable:
                    await asyncio.sleep(backoff.wait())
        finally:
            watched.telling = None
            if not watched.viewers:
                del self._watched[watched.tail.log]

    async def _tell_once(self, watched: _Watched) -> None:
        log_name, watching = watched.tail.log, watched.viewers > 0
        watched.told = None  # until the answer is here, either may be so
        if watching:
            await self._fleet.watch(log_name)
        else:
            await self._fleet.unwatch(log_name)
        watched.told = watching
        if not watching and not watched.viewers and not watched.tail.ended:
            # If this letter is lost, the producer finds out by itself, only later.
            await self._fleet.send(watched.producer, str(Letter(Word.UNWATCHED, watched.tail.epoch)))

    # Ending.

    async def cancel(self, tail: Tail) -> None:
        """Have a run cancelled that is not produced here, by its producer or else in its place.

        Raises `StoreUnavailable`.
        """
        producer = RunMeta.parse(tail.meta).by
        if producer is not None and not self._liveness.gone(producer):
            if producer != self._fleet.name:
                await self._fleet.send(producer, str(Letter(Word.CANCEL, tail.epoch)))
            if await _end_of(tail):
                return
        error = RunError(ErrorType.CALLER_CANCELLED, "this answer was cancelled; its producer did not answer")
        await self._end(tail, (error_entry(error, None), DONE))
        await _end_of(tail)

    async def _end(self, tail: Tail, said: Sequence[Said]) -> bool:
        entries, keep = [Entry(*each) for each in said], RunMeta.parse(tail.meta).keep
        ended = await self._fleet.seal(tail.log, tail.epoch, entries, keep, tail.meta)
        tail.reread()
        return ended

    def look_after(self, *, restored: bool) -> None:
        """Tell the store again who watches, where contact had been broken; end what nobody will end any more."""
        for watched in tuple(self._watched.values()):
            if restored and watched.viewers:
                watched.told = None
                self._tell(watched)
            if watched.lasts and not watched.ending and self._liveness.missing(watched.producer):
                watched.ending = True
                self._tasks.start(self._end_orphan(watched))
            elif watched.lasts and watched.is_silent(self._hub.clock.monotonic()):
                self._tasks.start(self._ask_after(watched))

    async def _ask_after(self, watched: _Watched) -> None:
        with contextlib.suppress(StoreUnavailable):  # it is asked again, if it stays silent
            await self._fleet.send(watched.producer, str(Letter(Word.LOOK, watched.tail.epoch)))

    async def _end_orphan(self, watched: _Watched) -> None:
        """End a run whose producer is not on the roster: it was lost together with the roster that it stood on."""
        try:
            if await self._end(watched.tail, interruption(_ORPHANED)):
                self._hub.meter.add("leases.reaped")
                log.warning("run %s was left without a producer; it was ended as interrupted", watched.tail.epoch)
        except StoreUnavailable as error:
            log.warning("run %s cannot be ended now: %s", watched.tail.epoch, error)
        finally:
            watched.ending = False

    async def reap(self, name: str) -> bool:
        """End a log of a dead instance as interrupted; whether this call did it. Raises `StoreUnavailable`."""
        head = await self._hub.store.head(name)
        if head is None or head.ended:
            return False
        keep = RunMeta.parse(head.meta).keep
        return await self._fleet.seal(name, head.epoch, [Entry(*said) for said in interruption()], keep)


async def _end_of(tail: Tail) -> bool:
    return await tail.wait_for(lambda: tail.ended, _ANSWER)
