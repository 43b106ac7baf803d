"""Who reads several logs as one: how its events look, and where it is in each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tailrace.hub.confluence import GAP, Confluence
from tailrace.hub.gathering import gather
from tailrace.hub.reading import Reading
from tailrace.hub.renderer import EventRenderer, control
from tailrace.hub.sink import Framing, Sink
from tailrace.hub.subscription import Subscription
from tailrace.hub.view import Joined
from tailrace.log import Position, Record
from tailrace.log.positions import Positions
from tailrace.sse import encode_block

if TYPE_CHECKING:
    from tailrace.hub.renderer import Renderer

__all__ = ["Gathered", "SeveralReading", "SeveralRenderer"]

_NOWHERE = 0
"""The cursor of who is not in step with the others: no place in any confluence."""


@dataclass(frozen=True, slots=True)
class SeveralRenderer(EventRenderer):
    """The records of a confluence. `only` keeps these event types; that something is missing is told whatever it is."""

    def render(self, epoch: str, records: Sequence[Record]) -> list[bytes]:
        """An event for each, or nothing."""
        only = self.only
        blocks = []
        for _, event, data, _ in records:
            name, _, said = (data or "").partition("\n")
            hidden = not said or (only and event != GAP and (event or "message") not in only)
            blocks.append(b"" if hidden else encode_block(said, event, name))
        return blocks


@dataclass(frozen=True, slots=True)
class SeveralReading(Reading):
    """A way through several logs, from `place` on."""

    tail: Confluence
    place: Positions = field(kw_only=True)

    def begin(self, framing: Framing) -> Subscription:
        """Make a subscription of it, to be bound to a sink or closed."""
        subscription = Gathered(self.tail, self.renderer, framing, self.place, self.on_closed)
        self.tail.hub.close(self.tail)  # the subscription has a use of its own
        return subscription


class Gathered(Subscription):
    """A reader of several logs: in step with all others at the head, or at a place of its own.

    In step, its cursor is an offset of the confluence. `place` is where it is in each log, and is known whenever
    it may fall out of step: before it has a sink, while that is full, and while it is led to the head.
    """

    __slots__ = ("_hidden", "_turn", "confluence", "place")

    def __init__(
        self,
        confluence: Confluence,
        renderer: Renderer,
        framing: Framing,
        place: Positions,
        on_closed: Callable[[], None] | None = None,
    ) -> None:
        self.confluence = confluence
        self.place: Positions | None = place
        self._hidden = 0  # records passed over on the way to the head that its client does not know of
        self._turn = 0
        cursor = confluence.head if place == confluence.positions else _NOWHERE
        super().__init__(
            confluence.view(renderer, framing), Position(confluence.epoch, cursor), on_closed, lasting=True
        )

    # In step with the others.

    def first(self) -> Joined | None:
        """Take what can be sent before there is a sink, if the confluence still holds what comes past the cursor."""
        if self.confluence.since(self.cursor) is None:
            return None
        joined = super().first()
        if joined is not None:
            self.place = self.confluence.place_at(joined.last)
        return joined

    def pump(self) -> None:
        """Write towards the head, with the others if this reader is that far."""
        if self._task is not None or self.full or not self.bound:
            return
        self.fall_in()
        if self.place is None:
            super().pump()
        else:
            self.cursor = self.told = _NOWHERE
            self._task = asyncio.create_task(self._read_on())

    def fall_in(self) -> None:
        """Get in step, if the confluence holds all that comes past this reader's place."""
        confluence = self.confluence
        if self.place is None:
            return
        if self.place == confluence.positions:
            self.cursor = confluence.head
            self.told = confluence.head - self._hidden
        elif confluence.since(self.cursor) is None:
            return
        self.place, self._hidden = None, 0

    def _rest(self, sink: Sink) -> None:
        if self.place is None:
            self.place = self.confluence.place_at(self.cursor)
        super()._rest(sink)

    def _tell_cursor(self) -> None:
        place = self.confluence.place_at(self.cursor) if self.place is None else self.place
        self.told, self._hidden = self.cursor, 0
        self._say(control("cursor", {}, position=place))

    # On the way to the head.

    async def _read_on(self) -> None:
        self.confluence.gathering += 1
        try:
            await gather(self)
        finally:
            self._task = None
            self.confluence.leave_gathering()
        self.pump()

    def next_behind(self) -> int | None:
        """The log to read on next, each in its turn; None where there is nothing left to read."""
        place, positions = self.place, self.confluence.positions
        if place is None or self.closed:
            return None
        for step in range(len(positions)):
            index = (self._turn + step) % len(positions)
            if place[index] != positions[index]:
                self._turn = index + 1
                return index
        return None

    def miss(self, index: int, after: Position, missed: int | None) -> None:
        """Go on at a place of one log that some of the reader's records are missing before; it is told how many."""
        if self.place is None:
            return
        self._hidden = 0
        self.place = self.place.moved(index, after)
        gap = self.confluence.gap(index, missed)
        self.hub.meter.add("gaps", 1, (str(gap["reason"]),))
        self._say(control(GAP, gap, position=self.place))

    def put_part(self, index: int, joined: Joined) -> None:
        """Write what comes next in one log, as much of it as the sink takes; the place goes along."""
        if self.place is None:
            return
        size = len(joined.data)
        taken = self._try(joined.data) if size else 0
        if taken < 0:
            return
        last, rest = (joined.last, None) if taken == size else joined.cut(taken)
        self.place = self.place.moved(index, Position(joined.epoch, last))
        if rest is not None:
            self._hidden = 0
            self._queue(rest)
        elif self.view.renderer.hides:
            self._hidden = last - joined.shown if joined.shown else self._hidden + last - joined.after
            if self._hidden >= self.confluence.tell_after:
                self._tell_cursor()
