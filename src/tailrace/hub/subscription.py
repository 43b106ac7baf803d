"""A cursor and the sink it feeds: all that a connection costs while nothing happens.

A subscription is live (at the head, in its view's passes), full (its sink takes nothing now), behind
(reading what the tail does not hold any more) or closed. Bytes behind a full sink stay in the log; a
deadline on the wheel, not the writer, cuts a sink that takes nothing for too long.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from tailrace.errors import StoreError
from tailrace.hub.renderer import control
from tailrace.hub.sink import Sink
from tailrace.hub.view import Joined, View
from tailrace.log import Page, Position
from tailrace.sse import HEARTBEAT

if TYPE_CHECKING:
    from tailrace.hub.hub import Hub

__all__ = ["Subscription"]

log = logging.getLogger("tailrace")

CLOSED = -1
_HAS_ROOM = -1.0
_TELL_AFTER = 256
"""Hidden records after which a reader's cursor is moved on: far fewer than a channel keeps."""


def _unbound(data: bytes) -> int:
    raise BlockingIOError


class Subscription:
    """One reader of one view. `cursor` is the offset up to which its sink has taken everything."""

    __slots__ = (
        "_backlog",
        "_epoch",
        "_full_since",
        "_room",
        "_sink",
        "_task",
        "cursor",
        "lasting",
        "on_closed_call",
        "slot",
        "told",
        "view",
        "write",
        "wrote_at",
    )

    def __init__(
        self, view: View, cursor: int, on_closed: Callable[[], None] | None = None, *, lasting: bool = False
    ) -> None:
        self.lasting = lasting  # whether its log has no end of its own
        self.view = view
        self.cursor = cursor
        self.told = cursor  # the newest offset that the client has as an id
        self.on_closed_call = on_closed
        self.write: Callable[[bytes], int] = _unbound
        self.wrote_at = view.tail.hub.clock.monotonic()
        self.slot = -1
        self._epoch = view.tail.epoch
        self._sink: Sink | None = None
        self._full_since = _HAS_ROOM
        self._backlog = 0
        self._room: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self.hub.enter(self)

    @property
    def hub(self) -> Hub:
        """The hub that this subscription belongs to."""
        return self.view.tail.hub

    @property
    def closed(self) -> bool:
        """Whether it is over."""
        return self.cursor == CLOSED

    @property
    def bound(self) -> bool:
        """Whether a sink is being fed."""
        return self._sink is not None

    @property
    def lag(self) -> int:
        """Records between the cursor and the head."""
        return self.view.tail.head - self.cursor

    @property
    def full(self) -> bool:
        """Whether the sink takes nothing now."""
        return self._full_since != _HAS_ROOM

    def bind(self, sink: Sink) -> None:
        """Begin to feed `sink`, from the cursor on."""
        if self.closed:
            sink.abort()
            return
        view = self.view
        if view.framing is not sink.framing:
            self.view = view.tail.view(view.renderer, sink.framing)
        self._sink = sink
        self.write = sink.write
        sink.bind(self)
        self.wrote_at = self.hub.clock.monotonic()
        if sink.ready:
            self.hub.wheel.schedule(self, self.hub.options.heartbeat)
        else:
            self._rest(sink)
        if self.lasting and self.hub.dismissal is not None:
            self.dismiss(*self.hub.dismissal())
            return
        self.pump()

    def pump(self) -> None:
        """Write from the cursor towards the head, as far as the sink takes it and the tail reaches back."""
        tail = self.view.tail
        if self._task is not None or not self._takes():
            return
        if self._epoch != tail.epoch:
            self._change_epoch()
        while self._takes():
            if self.cursor >= tail.head:
                self._arrive()
                return
            joined = self.view.join(self.cursor)
            if joined is None:
                self.view.leave(self)
                self._task = asyncio.create_task(self._read_on())
                return
            self._put(joined)

    def _takes(self) -> bool:
        return self._sink is not None and self._full_since == _HAS_ROOM

    def _arrive(self) -> None:
        if not self.view.tail.ended:
            self.view.enter(self)
            return
        sink = self._sink
        self._close("ended")
        if sink is not None:
            sink.finish()

    async def _read_on(self) -> None:
        """Read from the store until the tail takes over."""
        try:
            while not self.closed and self._epoch == self.view.tail.epoch and self.view.tail.since(self.cursor) is None:
                await self._read_page()
                await self._wait_for_room()
        except StoreError as error:
            log.warning("a reader of %s was cut, since the store failed: %s", self.view.tail.log, error)
            self.abort("store")
        finally:
            self._task = None
        self.pump()

    async def _read_page(self) -> None:
        tail, before = self.view.tail, self.cursor
        joined = self.view.join(before)
        if joined is None:
            page = await tail.history(before)
            if self.closed:
                return
            if page is None:
                raise StoreError("the log is gone")
            if page.head.epoch != self._epoch:
                tail.on_dropped(page.head.epoch)
                return
            joined = self._join_page(page)
        self._put(joined)
        if self.cursor == before:
            raise StoreError(f"the log has nothing past {before}, though its head is {tail.head}")

    def _join_page(self, page: Page) -> Joined:
        missed = page.head.first - 1 - self.cursor
        if missed > 0:
            self.cursor = page.head.first - 1
            self.say("gap", {"missed": missed, "reason": "trimmed"}, Position(self._epoch, self.cursor))
        return self.view.join_records(self.cursor, [r for r in page.records if r.offset > self.cursor])

    def _change_epoch(self) -> None:
        tail = self.view.tail
        self._epoch = tail.epoch
        self.cursor = self.told = 0
        self.say("gap", {"missed": None, "reason": "unknown"}, Position(tail.epoch, 0))

    def _put(self, joined: Joined) -> None:
        try:
            taken = self.write(joined.data) if joined.data else 0
        except BlockingIOError:
            taken = 0
        except OSError as error:
            self.lost(error)
            return
        if taken == len(joined.data):
            self.cursor = joined.last
            self.wrote_at = self.hub.clock.monotonic()
            if self.view.renderer.hides:
                self.note(joined)
        else:
            self.cut(joined, taken)

    def cut(self, joined: Joined, taken: int) -> None:
        """After a write that took only a part: the rest of the cut frame is queued, all behind it stays in the log."""
        self.cursor, rest = joined.cut(taken)
        self._queue(rest)

    def _queue(self, rest: bytes) -> None:
        sink = self._sink
        if sink is not None and not sink.queue(rest):
            self._rest(sink)

    def _rest(self, sink: Sink) -> None:
        self.view.leave(self)
        self._full_since = self.hub.clock.monotonic()
        self._backlog = sink.backlog()
        self.hub.wheel.schedule(self, self.hub.options.write_timeout)
        self.hub.meter.add("streams.full")

    def note(self, joined: Joined) -> None:
        """Keep what the client knows of its position, where some records are hidden from it; tell it now and then."""
        if joined.shown:
            self.told = joined.shown
        if self.cursor - self.told >= _TELL_AFTER:
            self._tell_cursor()

    def _tell_cursor(self) -> None:
        self.told = self.cursor
        self.say("cursor", {}, Position(self._epoch, self.cursor))

    def say(self, event: str, data: object, position: Position | None = None, retry: int | None = None) -> None:
        """Write an event of ours beside the log."""
        self._say(control(event, data, position=position, retry=retry))

    def _say(self, block: bytes, end: bytes = b"") -> None:
        data = self.view.framing.wrap(block) + end
        if self.full:
            self._queue(data)
            return
        try:
            taken = self.write(data)
        except BlockingIOError:
            taken = 0
        except OSError as error:
            self.lost(error)
            return
        self.wrote_at = self.hub.clock.monotonic()
        if taken != len(data):
            self._queue(data[taken:])

    def on_writable(self) -> None:
        """Go on: the sink has room again."""
        self._full_since = _HAS_ROOM
        if self.closed:
            return
        self.wrote_at = self.hub.clock.monotonic()
        self.hub.wheel.schedule(self, self.hub.options.heartbeat)
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self.pump()

    async def _wait_for_room(self) -> None:
        if self.full:
            self._room = asyncio.get_running_loop().create_future()
            try:
                await self._room
            finally:
                self._room = None

    def on_timer(self, now: float) -> float | None:
        """Send a heartbeat after silence; cut a sink that took nothing for too long."""
        if self._sink is None or self.closed:
            return None
        self._sink.settle()
        return self._check_progress(self._sink, now) if self.full else self._check_silence(now)

    def _check_silence(self, now: float) -> float | None:
        heartbeat = self.hub.options.heartbeat
        silent = now - self.wrote_at
        if silent >= heartbeat:
            silent = 0.0
            if self.told < self.cursor and self.view.renderer.hides:
                self._tell_cursor()
            else:
                self._say(HEARTBEAT)
                self.hub.meter.add("heartbeats")
        # A heartbeat that found the sink full, or gone, has changed what is to be waited for.
        return None if self.slot >= 0 or self.closed else heartbeat - silent

    def _check_progress(self, sink: Sink, now: float) -> float | None:
        backlog = sink.backlog()
        if backlog < self._backlog:
            self._full_since = now
        self._backlog = backlog
        left = self._full_since + self.hub.options.write_timeout - now
        if left > 0:
            return left
        self.hub.meter.add("cuts.write_timeout")
        self.abort("write_timeout")
        return None

    def lost(self, error: OSError) -> None:
        """Give up after a failed write: no `connection_lost` follows one that was not the transport's own."""
        self.abort("gone")

    def abort(self, reason: str) -> None:
        """Cut the connection at once; the reader can resume."""
        sink = self._sink
        self._close(reason)
        if sink is not None:
            sink.abort()

    def dismiss(self, event: str, data: object, retry: int) -> None:
        """Say a last event and end the stream in order: the reader is to come back."""
        if self.closed or self._sink is None:
            return
        sink = self._sink
        self._say(control(event, data, retry=retry), self.view.framing.end)
        if self._sink is not None:  # unless the peer turned out to be gone
            self._close("dismissed")
            sink.finish()

    def on_closed(self, reason: str) -> None:
        """Stop: the peer is gone."""
        self._close(reason)

    def _close(self, reason: str) -> None:
        if self.closed:
            return
        self.view.leave(self)
        self.cursor = CLOSED
        self._sink = None
        self.write = _unbound
        hub = self.hub
        hub.wheel.cancel(self)
        if self._room is not None:
            self._room.cancel()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        hub.leave(self, reason)
        call, self.on_closed_call = self.on_closed_call, None
        if call is not None:
            call()
