"""How readers that the tail does not reach back to read a log from the store: in pages, each read once.

A reader is in one page until it is through, and those near each other share it: the first one of a reader
begins at a multiple of its length, a power of two, the next ones where the one before ended. They have as many
records as make about the bytes that the shelf grants; how large those are is learned from what was read last.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from tailrace.errors import StoreUnavailable
from tailrace.hub.shelf import Shelved
from tailrace.log import Page
from tailrace.log.backoff import Backoff
from tailrace.log.record import size_of

if TYPE_CHECKING:
    from tailrace.hub.tail import Tail

__all__ = ["PAGE", "Pages", "Place"]

log = logging.getLogger("tailrace")

PAGE: Final = 256
"""Records in a page at most."""
_LONGEST: Final = 1.0
"""Seconds between attempts at most to read from a store that is away: for so long may readers wait after its return."""


class _Reading(NamedTuple):
    """A page that is being read, and the tail's head when that began."""

    head: int
    task: asyncio.Task[Page | None]


class Pages:
    """The pages of one log. `size` is about how many bytes one of its records takes."""

    __slots__ = ("_readings", "_shelved", "_size", "_tail")

    def __init__(self, tail: Tail, size: int) -> None:
        self._tail = tail
        self._size = size
        self._shelved: list[Shelved] = []
        self._readings: dict[int, _Reading] = {}

    def __len__(self) -> int:
        return len(self._shelved) + len(self._readings)

    def clear(self) -> None:
        """Forget what is of an epoch that is over, also what is still being read of it."""
        self._readings.clear()
        for page in tuple(self._shelved):
            self._tail.hub.shelf.remove(page)

    def close(self) -> None:
        """Stop reading."""
        for reading in self._readings.values():
            reading.task.cancel()
        self.clear()

    def find(self, after: int) -> Shelved | None:
        """A page that somebody is in and that goes on past `after`."""
        return next((page for page in self._shelved if page.covers(after)), None)

    def keep(self, page: Page, after: int) -> Shelved | None:
        """Shelve a page that was read for who stands at `after`; None where that does not read on in it."""
        records = page.records
        if page.head.epoch != self._tail.epoch or not records or records[-1].offset <= after:
            return None
        found = next((each for each in self._shelved if each.page is page), None)
        if found is None:
            found = Shelved(min(after, records[0].offset - 1), page, self._shelved.remove)
            self._shelved.append(found)
            self._tail.hub.shelf.put(found)
        return found

    async def read(self, after: int, begin: int) -> Page | None:
        """A page past `begin` that goes on past `after`, or says why there is none. None: the log is gone."""
        page = await self._share(begin, after)
        if page is not None and page.records and page.records[-1].offset <= after < page.head.last:
            page = await self._share(after, after)  # the records before it are larger than was thought
        return page

    @property
    def length(self) -> int:
        """Records that a page is to have now."""
        records = max(1, min(PAGE, self._tail.hub.shelf.share // self._size))
        return 1 << records.bit_length() - 1

    async def _share(self, begin: int, after: int) -> Page | None:
        reading = self._readings.get(begin)
        if reading is None or reading.head <= after:  # a page that was asked for before there was anything past `after`
            task = asyncio.create_task(self._read_patiently(begin))
            reading = self._readings[begin] = _Reading(self._tail.head, task)
            task.add_done_callback(lambda done: self._on_read(begin, done))
        return await asyncio.shield(reading.task)

    async def _read_patiently(self, begin: int) -> Page | None:
        tail, backoff = self._tail, Backoff(longest=_LONGEST)
        told = False
        while True:
            try:
                async with tail.hub.shelf.turns:
                    return await tail.hub.store.read(tail.log, begin, self.length)
            except StoreUnavailable as error:
                if not told:
                    log.warning("readers of %s wait for the store: %s", tail.log, error)
                    told = True
                await asyncio.sleep(backoff.wait())

    def _on_read(self, begin: int, task: asyncio.Task[Page | None]) -> None:
        reading = self._readings.get(begin)
        if reading is not None and reading.task is task:
            del self._readings[begin]
        # Whatever went wrong is for the readers, who may all have left by now.
        page = None if task.cancelled() or task.exception() is not None else task.result()
        if page is not None and page.records:
            self._size = max(1, size_of(page.records) // len(page.records))


class Place:
    """Where one reader is among the pages of a log: in one of them at most. To be used as a context."""

    __slots__ = ("_page", "_pages", "_shelf")

    def __init__(self, tail: Tail) -> None:
        self._pages = tail.pages
        self._shelf = tail.hub.shelf
        self._page: Shelved | None = None

    def __enter__(self) -> Self:
        self._shelf.readers += 1
        return self

    def __exit__(self, *error: object) -> None:
        self._shelf.readers -= 1
        self._leave()

    async def read(self, after: int) -> Page | None:
        """A page that goes on past `after`, or says why there is none; it may begin before. None: the log is gone.

        Waits for a store that is away. Raises what else the store raises.
        """
        if self._page is None or self._page not in self._shelf or not self._page.covers(after):
            begin = after if self._page is not None else after - after % self._pages.length
            self._leave()
            found = self._pages.find(after)
            if found is None:
                page = await self._pages.read(after, begin)
                found = self._pages.keep(page, after) if page is not None else None
                if found is None:
                    return page
            self._page = found
            found.readers += 1
        self._shelf.use(self._page)
        return self._page.page

    def _leave(self) -> None:
        page, self._page = self._page, None
        if page is not None:
            page.readers -= 1
            if not page.readers:
                self._shelf.remove(page)
