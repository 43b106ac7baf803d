"""Idempotency keys: which run a key started, for as long as that run can be read."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from tailrace.errors import StoreError
from tailrace.log import Coordination

__all__ = ["Keys", "Taken"]

log = logging.getLogger("tailrace")

_RUN_SECONDS = 86_400.0
"""How long a key is kept while its run goes on: longer than any run may take."""


class Taken(NamedTuple):
    """What a key is taken for: a run, and the request that started it, told by its fingerprint."""

    run: str
    fingerprint: str


class Keys:
    """The keys of a store."""

    def __init__(self, coordination: Coordination) -> None:
        self._coordination = coordination
        self._names: dict[str, str] = {}  # of the runs that go on here

    async def find(self, owner: str | None, key: str, is_there: Callable[[str], Awaitable[bool]]) -> Taken | None:
        """What a key is taken for; None where nobody has it, or where the store has lost the run that did.

        `is_there` says whether a run is. A key without its run is given up: it would answer for ever with nothing.
        """
        name = _name(owner, key)
        standing = await self._coordination.lookup(name)
        if standing is None:
            return None
        taken = Taken(*json.loads(standing))
        if await is_there(taken.run):
            return taken
        await self._coordination.release(name, standing)
        return None

    async def claim(self, owner: str | None, key: str, mine: Taken) -> Taken:
        """Take a key for a run, unless it is taken; what stands.

        A run over its time is gone with its key; until then the key outlives whatever the run does.
        """
        name = _name(owner, key)
        standing = Taken(*json.loads(await self._coordination.claim(name, json.dumps(mine), _RUN_SECONDS)))
        if standing == mine:
            self._names[mine.run] = name
        return standing

    def pop(self, run: str) -> str | None:
        """The name of the key that started a run here, which is over."""
        return self._names.pop(run, None)

    async def keep(self, name: str, seconds: float) -> None:
        """Keep the key of an ended run for as long as the run."""
        try:
            await self._coordination.extend(name, seconds)
        except StoreError as error:
            log.warning("the idempotency key of an ended run is kept for longer than the run: %s", error)


def _name(owner: str | None, key: str) -> str:
    return f"key:{json.dumps([owner, key])}"
