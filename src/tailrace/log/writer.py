"""Between runs and the store: what producers say goes to the store in batches, one call under way at a time.

Producers never wait for the store, and viewers read what was said from memory meanwhile. A store that
cannot take it now is asked again; nothing is dropped while this process lives.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from tailrace.errors import LogEnded, StoreUnavailable
from tailrace.log.store import Batch, Store

__all__ = ["Writer"]

log = logging.getLogger("tailrace")

_LONGEST_WAIT = 5.0  # seconds between two attempts at a store that is away


class Writer:
    """Appends batches to a store, in order. `stored` is told of each that the store has."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pending: list[tuple[Batch, Callable[[int], None]]] = []
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None

    def put(self, batch: Batch, stored: Callable[[int], None]) -> None:
        """Have `batch` appended; `stored` is called with its last offset when it is."""
        self._pending.append((batch, stored))
        self._idle.clear()
        self._wake.set()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._write_all())

    async def flush(self) -> None:
        """Wait until the store has everything that was put before."""
        await self._idle.wait()

    async def close(self, patience: float) -> None:
        """Write what is pending, for at most `patience` seconds."""
        if self._task is None:
            return
        try:
            await asyncio.wait_for(self.flush(), patience)
        except TimeoutError:
            log.warning("the store did not take %d batches before the process had to end", len(self._pending))
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    async def _write_all(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                batches, self._pending = self._pending, []
                await self._append([batch for batch, _ in batches])
                for batch, stored in batches:
                    stored(batch.records[-1].offset)
            self._idle.set()

    async def _append(self, batches: list[Batch]) -> None:
        wait = 0.05
        while True:
            try:
                await self._store.append(batches)
            except StoreUnavailable as error:
                log.warning("the store cannot take %d batches now: %s", len(batches), error)
                await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311  # spreads retries, keeps no secret
                wait = min(wait * 2, _LONGEST_WAIT)
            except LogEnded as error:
                log.warning("the store refused an append: %s", error)
                return
            else:
                return
