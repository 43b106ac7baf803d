"""This instance among the others on its store: its beats, the letters that come with them, and the dead.

A round gives a sign of life, opens the letters, and ends what dead instances were producing. Who counts as
dead is `Liveness`'s to say; what a letter does, and how a run is ended, is told by `Duties`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from tailrace.clock import Clock
from tailrace.errors import StoreError, StoreUnavailable
from tailrace.log.fleet import Fleet
from tailrace.observe import Meter
from tailrace.runs.letters import Letter
from tailrace.runs.liveness import BEAT, Liveness
from tailrace.runs.tasks import Tasks

__all__ = ["Duties", "Membership"]

log = logging.getLogger("tailrace")

_AT_ONCE = 64
"""Logs of a dead instance that are ended at the same time: the store takes them in one pipeline."""
_SECOND_LOOK = 0.3
"""Seconds between two looks at who else leaves: signals to a whole fleet arrive within less."""


@dataclass(frozen=True, slots=True)
class Duties:
    """What follows from what a round learns.

    `read` is called with each letter. `reap` ends a log of a dead instance, and says whether it was this call
    that did. `look_after` is called after each round that came through, with True where contact with the store
    was broken before it, so that nothing which was known of the others holds any more.
    """

    read: Callable[[Letter], None]
    reap: Callable[[str], Awaitable[bool]]
    look_after: Callable[[bool], None]


class Membership:
    """One instance's place in its fleet. Begins with `join`, and is over with `close`."""

    def __init__(self, fleet: Fleet, clock: Clock, meter: Meter, duties: Duties) -> None:
        self._fleet = fleet
        self._clock = clock
        self._meter = meter
        self._duties = duties
        self._leaving = False
        self._wake = asyncio.Event()
        self._beating: asyncio.Task[None] | None = None
        self._reaped = Tasks()
        self._reaping: set[str] = set()
        self.liveness = Liveness(fleet.name)

    @property
    def certain(self) -> bool:
        """Whether nobody else can have ended a run of this instance's by now."""
        return self.liveness.certain(self._clock.monotonic())

    @property
    def presumed_dead(self) -> bool:
        """Whether others may take this instance for dead."""
        return self.liveness.presumed_dead(self._clock.monotonic())

    async def join(self) -> None:
        """Give the first sign of life, and go on giving them. A store that is away is told them later."""
        self._fleet.on_wake(self._wake.set)
        await self.round()
        self._beating = asyncio.create_task(self._beat_on(), name="tailrace beats")

    async def _beat_on(self) -> None:
        while True:
            # Not `wait_for`: in Python 3.11 it loses a cancellation that comes as the event is set.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT):
                    await self._wake.wait()
            try:
                await self.round()
            except Exception:
                log.exception("a beat failed")
                await asyncio.sleep(BEAT)

    async def leave(self) -> None:
        """Say that this instance is on its way out, and find out who stays.

        Those who leave in the same moment are told by a second look: each has said so by then.
        """
        self._leaving = True
        await self.round()
        if self.liveness.others:
            await asyncio.sleep(_SECOND_LOOK)
            await self.round()

    async def round(self) -> None:
        """Beat once, and do what follows from it."""
        self._wake.clear()
        sent = self._clock.monotonic()
        try:
            roster = await self._fleet.beat(leaving=self._leaving)
        except StoreUnavailable:
            self.liveness.lose()
            return
        except StoreError:
            self.liveness.lose()
            raise
        restored = self.liveness.hear(roster.beats, sent, self._clock.monotonic())
        self._open(roster.letters)
        for instance in self.liveness.dead:
            self._reap_once(instance)
        self._duties.look_after(restored)

    def _open(self, letters: Sequence[str]) -> None:
        for text in letters:
            letter = Letter.parse(text)
            if letter is None:
                log.warning("another instance asked for something that this release does not know: %.80r", text)
            else:
                self._duties.read(letter)

    # The dead.

    def _reap_once(self, instance: str) -> None:
        if instance not in self._reaping:
            self._reaping.add(instance)
            self._reaped.start(self._reap(instance)).add_done_callback(lambda _: self._reaping.discard(instance))

    async def _reap(self, instance: str) -> None:
        try:
            logs = await self._fleet.produced_by(instance)
            log.warning("instance %s is dead; of what it was producing, %d answers may be left", instance, len(logs))
            ended = 0
            for begin in range(0, len(logs), _AT_ONCE):
                ended += sum(await asyncio.gather(*map(self._duties.reap, logs[begin : begin + _AT_ONCE])))
            await self._fleet.forget(instance)
        except StoreUnavailable as error:
            log.warning("what dead instance %s was producing cannot be ended now: %s", instance, error)
            return
        self._meter.add("instances.reaped")
        self._meter.add("leases.reaped", ended)
        log.warning("%d answers of dead instance %s were ended as interrupted", ended, instance)

    # The end.

    async def close(self, *, resign: bool) -> None:
        """Stop; with `resign` as one that produces nothing any more. Else the others find that out by themselves."""
        beating, self._beating = self._beating, None
        if beating is not None:
            beating.cancel()
            await asyncio.wait((beating,))
        self._reaped.cancel()
        if resign and beating is not None:
            try:
                await self._fleet.resign()
            except StoreError as error:
                log.warning("the other instances could not be told that this one is gone: %s", error)
