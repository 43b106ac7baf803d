"""Between runs and the store: what producers say goes to the store in batches, one call under way at a time.

Producers never wait for the store, and viewers read what was said from memory meanwhile. A store that
cannot take it now is asked again; nothing is dropped while this process lives.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from tailrace.errors import LogEnded, StoreUnavailable
from tailrace.log.backoff import Backoff
from tailrace.log.store import Batch, Store

__all__ = ["Writer"]

log = logging.getLogger("tailrace")

Stored = Callable[[int], None]


class Writer:
    """Appends batches to a store, in order. `stored` is told of each that the store has."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pending: list[tuple[Batch, Stored]] = []
        self._under_way = 0
        # Futures rather than events, whose every wait and every reset would be paid for by each run twice.
        self._wake: asyncio.Future[None] | None = None
        self._flushing: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None

    def put(self, batch: Batch, stored: Stored) -> None:
        """Have `batch` appended; `stored` is called with its last offset when the store needs no more of it.

        That is also when the store refused it for good: then nobody will find it there, but to keep it
        here would not change that.
        """
        self._pending.append((batch, stored))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._write_all())
        elif self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def flush(self) -> None:
        """Wait until the store has everything that was put before."""
        if self._pending or self._under_way:
            flushed = asyncio.get_running_loop().create_future()
            self._flushing.append(flushed)
            await flushed

    async def close(self, patience: float) -> None:
        """Write what is pending, for at most `patience` seconds."""
        if self._task is None:
            return
        try:
            await asyncio.wait_for(self.flush(), patience)
        except TimeoutError:
            left = len(self._pending) + self._under_way
            log.warning("the store did not take %d batches before the process had to end", left)
        self._task.cancel()
        await asyncio.wait((self._task,))
        self._task = None

    async def _write_all(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while self._pending:
                batches, self._pending = self._pending, []
                self._under_way = len(batches)
                await self._append([batch for batch, _ in batches])
                self._under_way = 0
                for batch, stored in batches:
                    stored(batch.records[-1].offset)
            self._tell_flushed()
            self._wake = loop.create_future()
            await self._wake

    def _tell_flushed(self) -> None:
        flushing, self._flushing = self._flushing, []
        for flushed in flushing:
            if not flushed.done():  # or whoever waited has given up
                flushed.set_result(None)

    async def _append(self, batches: Sequence[Batch]) -> None:
        backoff = None
        while True:
            try:
                await self._store.append(batches)
            except StoreUnavailable as error:
                backoff = backoff or Backoff()
                log.warning("the store cannot take %d batches now: %s", len(batches), error)
                await asyncio.sleep(backoff.wait())
            except LogEnded as error:
                log.warning("the store refused an append: %s", error)
                return
            except Exception:
                log.exception("the store failed on an append of %d batches", len(batches))
                await self._append_each(batches)
                return
            else:
                return

    async def _append_each(self, batches: Sequence[Batch]) -> None:
        """After a fault that no store should have: what one batch broke must not take the others along."""
        for batch in batches if len(batches) > 1 else ():
            await self._append([batch])
