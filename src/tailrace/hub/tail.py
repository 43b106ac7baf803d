"""The newest part of a log, in this process's memory: live fan-out reads only this.

A tail follows the store (channels, runs produced elsewhere) or is appended to by the run that is
produced here. Either way its records have no holes: what arrives twice is passed over, and what is
missing is read from the store before anything after it is shown.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from tailrace.hub.renderer import Renderer
from tailrace.hub.sink import Framing
from tailrace.hub.view import View
from tailrace.log import Page, Position, Record

if TYPE_CHECKING:
    from tailrace.hub.hub import Hub

__all__ = ["PAGE", "WINDOW", "Tail"]

WINDOW = 128
"""Records that a tail keeps for readers that are a little behind; what is older comes from the store."""
_WINDOW_BYTES = 65_536
PAGE = 256
"""Records read from the store at once."""


class Told(NamedTuple):
    """What a store told a tail that was not ready for it; `records` is None where the history was dropped."""

    epoch: str
    records: Sequence[Record] | None
    ends: bool


class Tail:
    """The head of one log, the records just before it, and the views on them."""

    __slots__ = (
        "_early",
        "_pages",
        "_refill",
        "_views",
        "_window",
        "_window_bytes",
        "epoch",
        "head",
        "hub",
        "loaded",
        "log",
        "meta",
        "stored",
        "terminal",
        "users",
    )

    def __init__(self, hub: Hub, log: str) -> None:
        self.hub = hub
        self.log = log
        self.epoch = ""
        self.meta = ""
        self.head = 0
        self.terminal = 0  # the offset of the last record there will ever be; 0 while there may be more
        self.users = 0
        self.stored: int | None = None  # up to where the store has it, where that is not everything
        self.loaded = asyncio.get_running_loop().create_future()
        self._window: deque[Record] = deque()
        self._window_bytes = 0
        self._views: dict[tuple[Renderer, Framing], View] = {}
        # While the beginning, or a hole, is being read: what came in the meantime, in order.
        self._early: list[Told] | None = []
        self._refill: asyncio.Task[None] | None = None
        self._pages: dict[int, asyncio.Task[Page | None]] = {}

    @property
    def ended(self) -> bool:
        """Whether the terminal record is here."""
        return bool(self.terminal)

    @property
    def position(self) -> Position:
        """The position of the newest record."""
        return Position(self.epoch, self.head)

    def view(self, renderer: Renderer, framing: Framing) -> View:
        """The view that all subscriptions with this renderer and framing share."""
        view = self._views.get((renderer, framing))
        if view is None:
            view = self._views[renderer, framing] = View(self, renderer, framing)
        return view

    def leave(self, view: View) -> None:
        """Let go of a view that nobody looks at."""
        if not view.live:
            self._views.pop((view.renderer, view.framing), None)

    def since(self, after: int) -> Iterator[Record] | None:
        """The records past `after`, or None where the window does not reach back that far."""
        if not self._window:
            return iter(()) if after == self.head else None
        first = self._window[0].offset
        if after + 1 < first:
            return None
        return islice(self._window, after + 1 - first, None)

    async def history(self, after: int) -> Page | None:
        """A page of the store past `after`; readers that ask for the same one share the reading."""
        task = self._pages.get(after)
        if task is None:
            task = self._pages[after] = asyncio.create_task(self._read(after))
            task.add_done_callback(lambda _: self._pages.pop(after, None))
        return await asyncio.shield(task)

    async def _read(self, after: int) -> Page | None:
        return await self.hub.store.read(self.log, after, PAGE)

    def begin(self, epoch: str, meta: str) -> None:
        """Start as a log that is produced here, from nothing."""
        self.epoch, self.meta = epoch, meta
        self.stored = 0
        self._early = None
        self.loaded.set_result(None)

    def load(self, page: Page) -> None:
        """Start from what the store holds, and from what was told while it was read."""
        self.epoch, self.meta = page.head.epoch, page.head.meta
        self.head = page.head.first - 1
        self._catch_up(page)
        if not self.loaded.done():
            self.loaded.set_result(None)

    def _catch_up(self, page: Page) -> None:
        early, self._early = self._early or [], None
        if page.head.epoch != self.epoch:
            self.on_dropped(page.head.epoch)
        self._extend(page.records, page.head.last if page.head.ended else 0)
        # What was told before the page's epoch began is of an older history.
        begins = [i for i, told in enumerate(early) if told.records is None and told.epoch == self.epoch]
        for told in early[begins[-1] if begins else 0 :]:
            if told.records is None:
                self.on_dropped(told.epoch)
            else:
                self.on_records(told.epoch, told.records, ends=told.ends)

    def on_records(self, epoch: str, records: Sequence[Record], *, ends: bool = False) -> None:
        """Take what the store says was appended."""
        if self._early is not None:
            self._early.append(Told(epoch, records, ends))
            return
        if epoch != self.epoch:
            self.on_dropped(epoch)
        if records[0].offset > self.head + 1:
            self._early = [Told(epoch, records, ends)]
            self._refill = asyncio.create_task(self._fill())
            return
        self._extend(records, records[-1].offset if ends else 0)

    async def _fill(self) -> None:
        while True:
            page = await self.hub.store.read(self.log, self.head, PAGE)
            if page is None or not page.records or page.records[-1].offset >= page.head.last:
                break
            self._extend(page.records, 0)
        if page is None:
            self._early = None
        else:
            self._catch_up(page)

    def on_dropped(self, epoch: str) -> None:
        """Go on as another, empty history; every reader is told."""
        if self._early is not None:
            self._early.append(Told(epoch, None, ends=False))
            return
        if epoch == self.epoch:
            return
        self.epoch, self.head, self.terminal = epoch, 0, 0
        self._window.clear()
        self._window_bytes = 0
        for view in self._views.values():
            view.reset()
            for subscription in tuple(view.live):
                subscription.pump()

    def append(self, records: Sequence[Record], *, ends: bool = False) -> None:
        """Take what is produced here; the last one is the terminal if `ends`."""
        self._extend(records, records[-1].offset if ends else 0)

    def _extend(self, records: Sequence[Record], terminal: int) -> None:
        fresh = records
        if records and records[0].offset <= self.head:
            fresh = [record for record in records if record.offset > self.head]
        self.terminal = self.terminal or terminal
        if not fresh:
            return
        if fresh[0].offset > self.head + 1:
            # Trimmed away before it was read: readers behind it find out from the store, and are told.
            self._window.clear()
            self._window_bytes = 0
        self._window.extend(fresh)
        self._window_bytes += sum([record.size for record in fresh])
        self.head = fresh[-1].offset
        self._trim()
        self.hub.mark(self)

    def _trim(self) -> None:
        window = self._window
        while len(window) > WINDOW or (self._window_bytes > _WINDOW_BYTES and len(window) > 1):
            # What is about to be shown for the first time stays; so does what the store has not got yet.
            oldest = window[0].offset
            if oldest > self._shown() or (self.stored is not None and oldest > self.stored):
                return
            self._window_bytes -= window.popleft().size

    def _shown(self) -> int:
        return min([view.delivered for view in self._views.values() if view.live], default=self.head)

    def on_stored(self, offset: int) -> None:
        """Note that the store has everything up to `offset`."""
        self.stored = offset
        self._trim()

    def deliver(self) -> Iterator[None]:
        """Write what is new to everyone who is live."""
        for view in tuple(self._views.values()):
            yield from view.deliver()
        self._trim()

    def close(self) -> None:
        """Stop reading."""
        if self._refill is not None:
            self._refill.cancel()
        for task in tuple(self._pages.values()):
            task.cancel()
