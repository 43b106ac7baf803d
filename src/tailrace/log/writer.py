"""Between runs and the store: what producers say goes to the store in batches, one call under way at a time.

Producers never wait for the store, and viewers read what was said from memory meanwhile. A store that
cannot take it now is asked again; nothing is dropped while this process lives.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tailrace.errors import LogEnded, StoreUnavailable
from tailrace.log.backoff import Backoff
from tailrace.log.store import Batch, Store

__all__ = ["Writer"]

log = logging.getLogger("tailrace")

_LONGEST = 1.0
"""Seconds between attempts at most: for so long after a store's return may other instances' viewers wait."""

Stored = Callable[[int], None]
Refused = Callable[[], None]


class Put(NamedTuple):
    """A batch on its way, and who hears what became of it."""

    batch: Batch
    stored: Stored
    refused: Refused | None


class Writer:
    """Appends batches to a store, in order, and says of each whether the store has it or will never take it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pending: list[Put] = []
        self._under_way = 0
        # Futures rather than events, whose every wait and every reset would be paid for by each run twice.
        self._wake: asyncio.Future[None] | None = None
        self._flushing: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None

    def put(self, batch: Batch, stored: Stored, refused: Refused | None = None) -> None:
        """Have `batch` appended; `stored` is called with its last offset when the store needs no more of it.

        `refused` is called instead where the store will never take it: the log has ended, is not there, or the
        store has a fault that a repeat would meet again. Where
        nobody can do anything about that, it is left out, and a refused batch is let go like any other.
        """
        self._pending.append(Put(batch, stored, refused))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._write_all())
        elif self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    @property
    def pending(self) -> int:
        """Batches that the store does not have yet."""
        return len(self._pending) + self._under_way

    async def flush(self) -> None:
        """Wait until the store has everything that was put before."""
        if self._pending or self._under_way:
            flushed = asyncio.get_running_loop().create_future()
            self._flushing.append(flushed)
            await flushed

    async def close(self, patience: float) -> bool:
        """Write what is pending, for at most `patience` seconds; whether that was everything."""
        if self._task is None:
            return True
        try:
            await asyncio.wait_for(self.flush(), patience)
        except TimeoutError:
            left = len(self._pending) + self._under_way
            log.warning("the store did not take %d batches before the process had to end", left)
        self._task.cancel()
        await asyncio.wait((self._task,))
        self._task = None
        return not (self._pending or self._under_way)

    async def _write_all(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while self._pending:
                await self._write_pending()
            self._tell_flushed()
            self._wake = loop.create_future()
            await self._wake

    async def _write_pending(self) -> None:
        puts, self._pending = self._pending, []
        self._under_way = len(puts)
        refused = await self._append([put.batch for put in puts])
        self._under_way = 0
        for batch, stored, on_refused in puts:
            if on_refused is not None and batch.log in refused:
                on_refused()
            else:
                stored(batch.records[-1].offset)

    def _tell_flushed(self) -> None:
        flushing, self._flushing = self._flushing, []
        for flushed in flushing:
            if not flushed.done():  # or whoever waited has given up
                flushed.set_result(None)

    async def _append(self, batches: Sequence[Batch]) -> frozenset[str]:
        """Append, however long it takes; the logs that take nothing any more."""
        backoff = None
        while True:
            try:
                await self._store.append(batches)
            except StoreUnavailable as error:
                if backoff is None:  # it says itself when it is back
                    backoff = Backoff(longest=_LONGEST)
                    log.warning("the store cannot take what is said now, which waits for it: %s", error)
                await asyncio.sleep(backoff.wait())
            except LogEnded as error:
                log.warning("the store refused an append: %s", error)
                return error.logs
            except Exception:
                log.exception("the store failed on an append of %d batches", len(batches))
                return await self._append_each(batches)
            else:
                return frozenset()

    async def _append_each(self, batches: Sequence[Batch]) -> frozenset[str]:
        """After a fault that no store should have: what one batch broke must not take the others along.

        That one counts as refused. It is not in the store, and whoever said it must not believe that it is.
        """
        if len(batches) == 1:
            return frozenset({batches[0].log})
        refused: frozenset[str] = frozenset()
        for batch in batches:
            refused |= await self._append([batch])
        return refused
