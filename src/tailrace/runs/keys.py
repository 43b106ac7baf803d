"""Names that lead to a run for as long as it can be read: the idempotency key that started it, and aliases."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from tailrace.errors import StoreError, StoreUnavailable
from tailrace.log import Coordination
from tailrace.log.backoff import Backoff

__all__ = ["Claimed", "Keys", "Taken"]

log = logging.getLogger("tailrace")

_RUN_SECONDS = 86_400.0
"""How long a key is kept while its run goes on: longer than any run may take."""
_LONGEST = 1.0
"""Seconds between attempts at most to give a key up: for so long may it mean nothing after the store's return."""


class Taken(NamedTuple):
    """What a key is taken for: a run, and the request that started it, told by its fingerprint."""

    run: str
    fingerprint: str


class Claimed(NamedTuple):
    """A key in the store: its name there, and what stands for it."""

    name: str
    value: str


class Keys:
    """The keys of a store."""

    def __init__(self, coordination: Coordination) -> None:
        self._coordination = coordination
        self._claimed: dict[str, list[Claimed]] = {}  # of the runs that go on here
        self._void: set[str] = set()  # the runs that never began, and whose key may still stand for them

    async def find(self, owner: str | None, key: str, is_there: Callable[[str], Awaitable[bool]]) -> Taken | None:
        """What a key is taken for; None where nobody has it, or where the store has lost the run that did.

        `is_there` says whether a run is. A key without its run is given up: it would answer for ever with nothing.
        """
        name = _name(owner, key)
        standing = await self._coordination.lookup(name)
        if standing is None:
            return None
        taken = Taken(*json.loads(standing))
        if taken.run not in self._void and await is_there(taken.run):
            return taken
        await self._coordination.release(name, standing)
        return None

    async def claim(self, owner: str | None, key: str, mine: Taken) -> Taken:
        """Take a key for a run, unless it is taken; what stands.

        A run over its time is gone with its key; until then the key outlives whatever the run does. A claim that
        raises may have been performed all the same: `give_up` the key then.
        """
        claimed = Claimed(_name(owner, key), json.dumps(mine))
        try:
            standing = Taken(*json.loads(await self._coordination.claim(*claimed, _RUN_SECONDS)))
        except BaseException:
            self._void.add(mine.run)  # it may have been performed, and only its answer lost
            raise
        if standing == mine:
            self._claimed.setdefault(mine.run, []).append(claimed)
        return standing

    async def give_up(self, owner: str | None, key: str, mine: Taken) -> None:
        """Have a key not stand for a run that never began, however long the store takes.

        Else whoever repeats the request would get that run.
        """
        name, backoff = _name(owner, key), Backoff(longest=_LONGEST)
        while True:
            try:
                await self._coordination.release(name, json.dumps(mine))
            except StoreUnavailable:
                await asyncio.sleep(backoff.wait())
            else:
                self._void.discard(mine.run)
                return

    async def alias(self, run: str, alias: str, *, newest: bool = False) -> None:
        """Have a run that goes on here be found by `alias` too, unless another one is; with `newest`, instead of it."""
        claimed = Claimed(_alias(alias), run)
        standing = await self._coordination.claim(*claimed, _RUN_SECONDS)
        while newest and standing != run:  # of several at once, each turn is the last one of somebody
            await self._coordination.release(claimed.name, standing)
            standing = await self._coordination.claim(*claimed, _RUN_SECONDS)
        if standing == run:
            self._claimed.setdefault(run, []).append(claimed)

    async def aliased(self, alias: str) -> str | None:
        """The run that an alias stands for; None where it stands for none."""
        return await self._coordination.lookup(_alias(alias))

    def pop(self, run: str) -> Sequence[Claimed]:
        """The names of a run that went on here, and is over."""
        return self._claimed.pop(run, ())

    async def keep(self, claimed: Claimed, seconds: float) -> None:
        """Keep a name of an ended run for as long as the run, unless it stands for another by now."""
        try:
            if await self._coordination.lookup(claimed.name) == claimed.value:
                await self._coordination.extend(claimed.name, seconds)
        except StoreError as error:
            log.warning("a name of an ended run is kept for longer than the run: %s", error)


def _alias(alias: str) -> str:
    return f"alias:{alias}"


def _name(owner: str | None, key: str) -> str:
    return f"key:{json.dumps([owner, key])}"
