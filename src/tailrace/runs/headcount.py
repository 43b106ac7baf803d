"""How many watch a run on other instances: asked there, and answered here.

What nobody asks about costs nothing. An instance that is asked says its figure through the store, and each other
figure as it changes, until it was not asked for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Final

from tailrace.clock import Clock
from tailrace.errors import StoreUnavailable
from tailrace.log.fleet import VIEWERS_KEPT, Fleet
from tailrace.runs.letters import Letter, Word
from tailrace.runs.meta import log_of
from tailrace.runs.tasks import Tasks

__all__ = ["Headcount", "Inquiry"]

_ASKED: Final = 15.0
"""Seconds for which an instance goes on telling after it was asked."""
_ASK_AGAIN: Final = 5.0
"""Seconds after which whoever still wants to know asks again."""
_TELL: Final = 0.5
"""Seconds between two looks at whether a figure has changed that somebody elsewhere wants to know."""
_ANSWER: Final = 1.0
"""Seconds that an instance has to answer: it is woken for that."""
_LOOK: Final = 0.05
"""Seconds between two looks at whether it has."""


class Headcount:
    """This instance's figures, told to those who ask. `here` counts a run's viewers on this instance."""

    def __init__(self, fleet: Fleet, clock: Clock, here: Callable[[str], int]) -> None:
        self._fleet = fleet
        self._clock = clock
        self._here = here
        self._until: dict[str, float] = {}
        self._telling = Tasks()

    def on_asked(self, run: str) -> None:
        """Tell how many watch a run here, for a while."""
        under_way = run in self._until
        self._until[run] = self._clock.monotonic() + _ASKED
        if not under_way:
            self._telling.start(self._tell_on(run))

    async def _tell_on(self, run: str) -> None:
        log, told, again_at = log_of(run), None, 0.0
        try:
            while (now := self._clock.monotonic()) < self._until[run]:
                count = self._here(run)
                if count != told or now >= again_at:
                    await self._fleet.tell_viewers({log: str(count)})
                    told, again_at = count, now + VIEWERS_KEPT / 3
                await asyncio.sleep(_TELL)
        except StoreUnavailable:
            return  # who still wants to know asks again
        finally:
            del self._until[run]
        with contextlib.suppress(StoreUnavailable):  # then it expires
            await self._fleet.tell_viewers({log: ""})

    def close(self) -> None:
        """Tell nobody any more: this instance is on its way out, and what it said is no longer counted."""
        self._telling.cancel()


class Inquiry:
    """One run, as other instances are asked about it. `producer` is the one that produces it, if that is known."""

    def __init__(self, fleet: Fleet, clock: Clock, gone: Callable[[str], bool], run: str, producer: str | None) -> None:
        self._fleet = fleet
        self._clock = clock
        self._gone = gone
        self._run = run
        self._log = log_of(run)
        self._producer = producer
        self._ask_at: dict[str, float] = {}

    async def count(self) -> int:
        """How many watch it elsewhere. Raises `StoreUnavailable`.

        One that watches it and does not answer in time has one viewer, since it has one at least.
        """
        watching = await self._fleet.watchers(self._log)
        known = watching if self._producer is None else watching | {self._producer}
        asked = frozenset([name for name in known - {self._fleet.name} if not self._gone(name)])
        await self._ask(asked)
        said = await self._answers(asked)
        return sum([_figure(said.get(name), int(name in watching)) for name in asked])

    async def _ask(self, names: frozenset[str]) -> None:
        now = self._clock.monotonic()
        for name in names:
            if self._ask_at.get(name, now) <= now:
                await self._fleet.send(name, str(Letter(Word.COUNT, self._run)))
                self._ask_at[name] = now + _ASK_AGAIN

    async def _answers(self, names: frozenset[str]) -> Mapping[str, str]:
        said: Mapping[str, str] = {}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ANSWER):
                while names - said.keys():
                    said = await self._fleet.viewers(self._log)
                    await asyncio.sleep(_LOOK if names - said.keys() else 0)
        return said


def _figure(words: str | None, otherwise: int) -> int:
    """What an instance said; one of another release may say it in other words."""
    return int(words) if words is not None and words.isdecimal() else otherwise
