"""What readers of the past hold of their logs, all together: how much at once, and how much each of it.

A page stays as long as a reader is in it. Where they would hold too much, the one that was used longest ago
goes, and is read anew when its reader has room. What a page is, and how it is read, is left to `pages`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from tailrace.hub.view import JOIN_BYTES
from tailrace.log import Page
from tailrace.log.record import size_of

__all__ = ["Shelf", "Shelved"]

SHELF_BYTES: Final = 16_777_216
"""Of all pages together."""
PAGE_BYTES: Final = 1_048_576
"""Of a page, where few readers are behind: about what a store sends in 10 ms, which others on its connection wait."""
READINGS: Final = 8
"""Pages that are being read at a time: as much as that may come at once, whatever the shelf has room for."""


class Shelved:
    """A page on the shelf: it reads on past the offset `after`, up to `last`. `removed` hears when it goes."""

    __slots__ = ("after", "last", "page", "readers", "removed", "size")

    def __init__(self, after: int, page: Page, removed: Callable[[Shelved], None]) -> None:
        self.after = after
        self.last = page.records[-1].offset
        self.page = page
        self.size = size_of(page.records)
        self.readers = 0
        self.removed = removed

    def covers(self, offset: int) -> bool:
        """Whether who has everything up to `offset` reads on in it."""
        return self.after <= offset < self.last


class Shelf:
    """The pages that readers of this process are in."""

    def __init__(self) -> None:
        self.readers = 0
        """Who is behind now."""
        self.turns = asyncio.Semaphore(READINGS)
        """To be held while a page is read."""
        self.bytes = 0
        self._pages: OrderedDict[Shelved, None] = OrderedDict()

    def __contains__(self, page: object) -> bool:
        return page in self._pages

    def __len__(self) -> int:
        return len(self._pages)

    @property
    def share(self) -> int:
        """Bytes that a page may have: one write at least, else it would be read for nothing."""
        return max(JOIN_BYTES, min(PAGE_BYTES, SHELF_BYTES // max(1, self.readers)))

    def put(self, page: Shelved) -> None:
        """Take a page in, for which others may have to go."""
        self._pages[page] = None
        self.bytes += page.size
        while self.bytes > SHELF_BYTES and len(self._pages) > 1:
            self.remove(next(iter(self._pages)))

    def use(self, page: Shelved) -> None:
        """Note that a page is needed."""
        self._pages.move_to_end(page)

    def remove(self, page: Shelved) -> None:
        """Let a page go, if it is here."""
        if page in self._pages:
            del self._pages[page]
            self.bytes -= page.size
            page.removed(page)
