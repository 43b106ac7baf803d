"""The newest part of a log, in this process's memory: live fan-out reads only this.

A tail follows the store (channels, runs produced elsewhere) or is appended to by the run that is
produced here. Either way its records have no holes: what arrives twice is passed over, and what is
missing is read from the store before anything after it is shown.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from tailrace.errors import StoreError, StoreUnavailable
from tailrace.hub.pages import PAGE, Pages
from tailrace.hub.renderer import Renderer
from tailrace.hub.sink import Framing
from tailrace.hub.view import FEW, View
from tailrace.hub.window import RUN_WINDOW, Window
from tailrace.log import Head, Page, Position, Record
from tailrace.log.backoff import Backoff

if TYPE_CHECKING:
    from tailrace.hub.hub import Hub

__all__ = ["Listener", "Tail"]

log = logging.getLogger("tailrace")

_TELL_AFTER = 256
"""Hidden records after which a reader is told its position at the latest."""

_LONGEST = 1.0
"""Seconds between attempts at most to read from a store that is away: for so long may readers wait after its return."""


Listener = Callable[[Sequence[Record]], None]
"""Hears of what is new in a tail while it is being taken in: the records, or none where head or epoch jumped."""


class Told(NamedTuple):
    """What a store told a tail; `records` is empty where the history was dropped."""

    epoch: str
    records: Sequence[Record]
    ends: bool


class Reader(Protocol):
    """Who reads a tail, and has got up to its offset `cursor`."""

    @property
    def cursor(self) -> int:
        """Up to where it has everything."""


class Tail:
    """The head of one log, the records just before it, and the views on them."""

    __slots__ = (
        "_changed",
        "_early",
        "_holds",
        "_hole",
        "_pages",
        "_reading",
        "_told_at",
        "_views",
        "_window",
        "epoch",
        "first",
        "head",
        "hub",
        "listeners",
        "loading",
        "log",
        "meta",
        "readers",
        "snapshot",
        "stored",
        "terminal",
        "users",
    )

    def __init__(self, hub: Hub, log: str) -> None:
        self.hub = hub
        self.log = log
        self.epoch = ""
        self.meta = ""
        self.first = 1  # the oldest record that was retained when the store was last read
        self.head = 0
        self.terminal = 0  # the offset of the last record there will ever be; 0 while there may be more
        self.users = 0
        self.readers: set[Reader] = set()
        self.listeners: list[Listener] = []
        self.stored: int | None = None  # up to where the store has it, where that is not everything
        self.loading: asyncio.Task[None] | None = None
        self._window = Window()
        self._views: dict[tuple[Renderer, Framing], View] = {}
        # While the beginning, or what is missing, is being read: what was told in the meantime.
        self._early: list[Told] | None = []
        # What somebody made of everything up to an offset, kept for others who want the same.
        self.snapshot: tuple[int, int, bytes] | None = None  # (made at this head, goes on past this offset, event)
        self._reading: asyncio.Task[None] | None = None
        self._pages: Pages | None = None  # most logs are never read from further back
        self._hole: tuple[int, int] | None = None  # offsets (before, behind) between which nothing was ever said
        self._changed: asyncio.Future[None] | None = None
        self._holds = 0
        self._told_at = 0.0  # the time of the newest record that the store told of, until it is delivered

    @property
    def ended(self) -> bool:
        """Whether the terminal record is here."""
        return 0 < self.terminal <= self.head

    @property
    def position(self) -> Position:
        """The position of the newest record."""
        return Position(self.epoch, self.head)

    @property
    def furthest(self) -> int | None:
        """Up to where the reader who has most of it has got it; None where nobody reads."""
        return max([reader.cursor for reader in self.readers], default=None)

    @property
    def tell_after(self) -> int:
        """Hidden records after which a reader is told its position: far fewer than the log keeps.

        Else a filter that hides much would let it fall behind what is retained without having missed anything.
        """
        history = self.hub.options.history
        by_count = (history.events or 1024) // 4
        by_bytes = (history.bytes or 1_048_576) // (4 * self._window.largest)
        return max(1, min(_TELL_AFTER, by_count, by_bytes))

    def view(self, renderer: Renderer, framing: Framing) -> View:
        """The view that all subscriptions with this renderer and framing share; `leave` it when done."""
        view = self._views.get((renderer, framing))
        if view is None:
            view = self._views[renderer, framing] = View(self, renderer, framing)
        view.users += 1
        return view

    def leave(self, view: View) -> None:
        """Say that one user of a view is done with it."""
        view.users -= 1
        if not view.users:
            del self._views[view.renderer, view.framing]

    def since(self, after: int) -> Iterator[Record] | None:
        """The records past `after`, or None where the window does not reach back that far."""
        return iter(()) if after >= self.head else self._window.since(after)

    def over(self, after: int) -> int:
        """Where a reader goes on who has everything up to `after`: there, or behind the hole that begins there."""
        return self._hole[1] if self._hole is not None and after == self._hole[0] else after

    async def wait_for(self, condition: Callable[[], bool], seconds: float | None) -> bool:
        """Wait until `condition` holds of what is here, `seconds` at most (None: for ever); whether it does."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    if self._changed is None:
                        self._changed = asyncio.get_running_loop().create_future()
                    await asyncio.shield(self._changed)
        except TimeoutError:
            return False
        return True

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Let go of nothing meanwhile: somebody is about to read who has no subscription yet."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1

    @property
    def pages(self) -> Pages:
        """What the window does not hold, for those who read it."""
        if self._pages is None:
            self._pages = Pages(self, self._window.largest)
        return self._pages

    # Where the records come from: the store, by being followed, or a run that is produced here.

    def begin(self, epoch: str, meta: str) -> None:
        """Start as a log that is produced here, from nothing."""
        self.epoch, self.meta = epoch, meta
        self.stored = 0
        self._early = None
        self._window = Window(RUN_WINDOW)

    def append(self, records: Sequence[Record], *, ends: bool = False) -> None:
        """Take what is produced here; the last one is the terminal if `ends`."""
        self._extend(records, records[-1].offset if ends else 0)

    def on_stored(self, offset: int) -> None:
        """Note that the store has everything up to `offset`."""
        self.stored = offset
        self._trim()

    async def load(self, head: Head) -> None:
        """Start from what the store holds; without an epoch where it turns out to hold nothing.

        Raises what the store raises.
        """
        self.meta, self.first = head.meta, head.first
        self.begin_epoch(head.epoch, max(head.first - 1, head.last - PAGE))
        there = False
        try:
            there = await self._catch_up()
        finally:
            if not there:
                self.epoch = ""

    def on_records(self, epoch: str, records: Sequence[Record], *, ends: bool = False) -> None:
        """Take what the store says was appended."""
        self._hear(Told(epoch, records, ends))

    def on_dropped(self, epoch: str) -> None:
        """Look what became of the log: the store says that it goes on as `epoch`."""
        self._hear(Told(epoch, (), ends=False))

    def _hear(self, told: Told) -> None:
        if self._early is not None:
            if len(self._early) >= PAGE:
                self._early.clear()  # the newest alone says that there is more to read
            self._early.append(told)
        elif not self._take(told):
            self.reread()

    def _take(self, told: Told) -> bool:
        """Whether this could be taken: it is of this epoch, and nothing before it is missing."""
        records = told.records
        if told.epoch != self.epoch or (records and records[0].offset > self.head + 1):
            return False
        if records:
            self._told_at = records[-1].at
            self._extend(records, records[-1].offset if told.ends else 0)
        return True

    def reread(self) -> None:
        """Ask the store what the log is now: what was told does not fit to what is here.

        A name does not say whether an epoch is newer or long gone, so only the store's own answer counts.
        """
        if self._early is None:
            self._early = []
            self._reading = asyncio.create_task(self._reread())

    async def _reread(self) -> None:
        backoff, told = Backoff(longest=_LONGEST), False
        while True:
            try:
                await self._catch_up()
            except StoreUnavailable as error:
                if not told:
                    log.warning("readers of %s wait for the store: %s", self.log, error)
                    told = True
            except Exception:
                log.exception("what is missing of %s could not be read", self.log)
            else:
                self._reading = None
                return
            await asyncio.sleep(backoff.wait())

    async def _catch_up(self) -> bool:
        """Read to the store's head, until what was told meanwhile goes on from there; False where the log is gone."""
        while self._early is not None:
            self._early.clear()  # the read shows it
            epoch = self.epoch
            page = await self.hub.store.read(self.log, self.head, PAGE)
            if epoch != self.epoch:
                continue  # a reader's page was quicker to show a newer one
            if page is None:
                self._early = None
                return False
            if page.head.epoch != epoch:
                self.begin_epoch(page.head.epoch)
                continue
            self._take_page(page)
            if self.loading is not None and self.head < page.head.last:
                self._skip_to(page.head.last - len(page.records))  # for nobody yet, the newest are enough
            if self.head >= page.head.last and all(map(self._take, self._early)):
                self._early = None
        return True

    def _take_page(self, page: Page) -> None:
        before, head = self.head, page.head
        self.first = head.first
        if head.first - 1 > before:
            # Trimmed away unread: readers find out from the store, and are told.
            self._skip_to(head.first - 1)
            self.hub.mark(self)
        self._extend(page.records, head.last if head.ended else 0)
        if self.head == before < head.last:
            raise StoreError(f"the log has nothing past {before}, though its head is {head.last}")

    def _skip_to(self, offset: int) -> None:
        self._window.clear()
        self.head = max(self.head, offset)
        self._tell(())

    def begin_epoch(self, epoch: str, head: int = 0) -> None:
        """Go on as another history, known up to `head`; every reader is told."""
        if epoch == self.epoch:
            return
        self.epoch, self.head, self.terminal = epoch, head, 0
        self._hole = None
        self._window.clear()
        if self._pages is not None:
            self._pages.clear()
        for view in self._views.values():
            view.reset()
        self.hub.mark(self)
        self._wake()
        self._tell(())

    def _extend(self, records: Sequence[Record], terminal: int) -> None:
        self.terminal = self.terminal or terminal
        fresh = records
        if records and records[0].offset <= self.head:
            fresh = [record for record in records if record.offset > self.head]
        if not fresh:
            return
        if fresh[-1].offset - self.head != len(fresh):
            self._hole = _hole_in(self.head, fresh)
        self._window.extend(fresh)
        self.head = fresh[-1].offset
        self._trim()
        if self._views:
            self.hub.mark(self)
        self._wake()
        self._tell(fresh)

    def _tell(self, records: Sequence[Record]) -> None:
        for listener in tuple(self.listeners):
            listener(records)

    def _wake(self) -> None:
        """Let those look who wait for something to change."""
        if self._changed is not None:
            self._changed.set_result(None)
            self._changed = None

    def _trim(self) -> None:
        if self._holds or not self._window.full:
            return
        # What is about to be shown for the first time stays; so does what the store has not got yet.
        needed = self._undelivered
        self._window.trim(needed if self.stored is None else min(needed, self.stored))

    @property
    def _undelivered(self) -> int:
        """The offset past which somebody who is live has not been written to yet."""
        return min([view.delivered for view in self._views.values() if view.live], default=self.head)

    def deliver(self) -> Iterator[None]:
        """Write what is new to everyone who is live."""
        for view in tuple(self._views.values()):
            if len(view.live) > FEW:
                yield from view.deliver()
            else:
                view.deliver_few()
        if self._told_at:
            # By another machine's clock, maybe, which may be ahead of this one's.
            self.hub.delays.observe(max(0.0, self.hub.clock.time() - self._told_at))
            self._told_at = 0.0
        self._trim()

    def close(self) -> None:
        """Stop reading."""
        for task in (self.loading, self._reading):
            if task is not None:
                task.cancel()
        if self._pages is not None:
            self._pages.close()


def _hole_in(before: int, records: Sequence[Record]) -> tuple[int, int]:
    """Where offsets jump in `records`, which come after `before`: to an end that the producer did not write."""
    for record in records:
        if record.offset != before + 1:
            return before, record.offset - 1
        before = record.offset
    raise ValueError("there is no hole")
