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

from tailrace.hub.behind import read_on
from tailrace.hub.gap import change_epoch
from tailrace.hub.patience import Patience
from tailrace.hub.sink import Sink
from tailrace.hub.view import Joined, View
from tailrace.log import Position

if TYPE_CHECKING:
    from tailrace.hub.hub import Hub

__all__ = ["Subscription"]

log = logging.getLogger("tailrace")

CLOSED = -1


def _unbound(data: bytes) -> int:
    raise BlockingIOError


class Subscription:
    """One reader of one view. `cursor` is the offset up to which its sink has taken everything."""

    __slots__ = (
        "_on_closed_call",
        "_patience",
        "_room",
        "_sink",
        "_task",
        "cursor",
        "epoch",
        "full",
        "lasting",
        "opened_at",
        "reader",
        "slot",
        "told",
        "view",
        "write",
        "wrote_at",
    )

    def __init__(
        self, view: View, cursor: Position, on_closed: Callable[[], None] | None = None, *, lasting: bool = False
    ) -> None:
        self.lasting = lasting  # whether its log has no end of its own
        self.view = view
        self.epoch, self.cursor = cursor
        self.told = self.cursor  # the newest offset that the client has as an id
        self._on_closed_call = on_closed
        self.write: Callable[[bytes], int] = _unbound
        self.opened_at = self.wrote_at = view.tail.hub.clock.monotonic()
        self.reader = ""  # what operators call whoever reads, where anybody says
        self.slot = -1
        self._sink: Sink | None = None
        self.full = False  # whether the sink takes nothing now
        self._patience = Patience()
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
    def catching_up(self) -> bool:
        """Whether it reads what the tail does not hold any more."""
        return self._task is not None

    @property
    def stuck_since(self) -> float | None:
        """Where its sink takes nothing now: since when (monotonic seconds) the peer has been seen to take nothing."""
        return self._patience.heard_at if self.full else None

    def first(self) -> Joined | None:
        """Take what can be sent before there is a sink: what the tail holds past the cursor, if it reaches back there.

        Where the history was dropped meanwhile, a `gap` has to come before anything of the new one: None.
        """
        joined = self.view.join(self.cursor) if self.epoch == self.view.tail.epoch else None
        if joined is not None:
            self.cursor = joined.last
            if joined.shown:
                self.told = joined.shown
        return joined

    @property
    def pending(self) -> int:
        """Bytes that its sink has taken and the peer has not acknowledged."""
        return self._sink.backlog() if self._sink is not None else 0

    def also(self, call: Callable[[], None]) -> None:
        """Have `call` called too when it is over."""
        earlier = self._on_closed_call
        if self.closed:
            call()
        elif earlier is None:
            self._on_closed_call = call
        else:

            def both() -> None:
                try:
                    earlier()
                finally:
                    call()

            self._on_closed_call = both

    def bind(self, sink: Sink) -> None:
        """Begin to feed `sink`, from the cursor on."""
        if self.closed:
            sink.abort()
            return
        view = self.view
        if view.framing is not sink.framing:
            self.view = view.tail.view(view.renderer, sink.framing)
            view.tail.leave(view)
        self._sink = sink
        sink.bind(self)
        if sink.ready:
            self._go_on(sink)
        else:
            self._rest(sink)
        dismissal = self.hub.dismissal_of(self)
        if dismissal is not None and self.dismiss(*dismissal):
            return
        if view.tail.ended and self.cursor >= view.tail.head:
            self._write(self.view.framing.end)  # which no record will bring: there is none left
        self.pump()

    def _go_on(self, sink: Sink) -> None:
        self.full = False
        self.write = sink.write
        self.wrote_at = self.hub.clock.monotonic()
        self.hub.wheel.schedule(self, self._next_look(self.wrote_at))

    def pump(self) -> None:
        """Write from the cursor towards the head, as far as the sink takes it and the tail reaches back."""
        tail = self.view.tail
        if self._task is not None or not self._takes():
            return
        if self.epoch != tail.epoch:
            change_epoch(self)
        while self._takes():
            if self.cursor >= tail.head:
                self._arrive()
                return
            self.cursor = tail.over(self.cursor)
            joined = self._join()
            if joined is not None:
                self.put(joined)
            elif not self.closed:
                self.view.leave(self)
                self._task = asyncio.create_task(self._read_on())
                return

    def _join(self) -> Joined | None:
        try:
            return self.view.join(self.cursor)
        except Exception:
            # A record that cannot be rendered must not be skipped in silence.
            log.exception("an event of %s could not be rendered", self.view.tail.log)
            self.abort("failed")
            return None

    def _takes(self) -> bool:
        return self._sink is not None and not self.full

    def _arrive(self) -> None:
        if not self.view.tail.ended:
            self.view.enter(self)
            return
        sink = self._sink
        self._close("ended")
        if sink is not None:
            sink.finish()

    async def _read_on(self) -> None:
        try:
            await read_on(self)
        finally:
            self._task = None
        self.pump()

    def put(self, joined: Joined) -> None:
        """Write as much of it as the sink takes; the cursor goes along."""
        if joined.data:
            taken = self._try(joined.data)
            if taken < len(joined.data):
                if taken >= 0:
                    self.cut(joined, taken)
                return
        self.cursor = joined.last
        if self.view.renderer.hides:
            self.note(joined)

    def _try(self, data: bytes) -> int:
        """Write, and say how many bytes were taken; -1 if the peer is gone."""
        try:
            taken = self.write(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            self.lost(error)
            return -1
        self.wrote_at = self.hub.clock.monotonic()
        return taken

    def cut(self, joined: Joined, taken: int) -> None:
        """After a write that took only a part: the rest of the cut frame is queued, all behind it stays in the log."""
        self.cursor, rest = joined.cut(taken)
        self.told = self.cursor
        self._queue(rest)

    def _queue(self, rest: bytes | memoryview) -> None:
        sink = self._sink
        if sink is None:
            return
        self.wrote_at = self.hub.clock.monotonic()
        if not sink.queue(rest):
            self._rest(sink)

    def _rest(self, sink: Sink) -> None:
        self.view.leave(self)
        self.write = _unbound
        if self.full:
            return
        self.full = True
        now = self.hub.clock.monotonic()
        self._patience.begin(sink, now)
        self.hub.wheel.schedule(self, self._next_look(now))
        self.hub.meter.add("streams.full")

    def note(self, joined: Joined) -> None:
        """Keep what the client knows of its position, where some records are hidden from it; tell it now and then."""
        if joined.shown:
            self.told = joined.shown
        if self.cursor - self.told >= self.view.tail.tell_after and not self.full:
            self._tell_cursor()

    def _tell_cursor(self) -> None:
        self.told = self.cursor
        self.say("cursor", {}, Position(self.epoch, self.cursor))

    def say(self, event: str, data: object, position: Position | None = None) -> None:
        """Write an event of ours beside the log."""
        block = self.view.renderer.control(event, data, position, None)
        if block is not None:
            self._say(block)

    def _say(self, block: bytes, end: bytes = b"") -> None:
        self._write(self.view.framing.wrap([block])[0] + end)

    def end_with(self, block: bytes, reason: str) -> None:
        """Write a last thing, and end the stream in order, for a `reason`."""
        sink = self._sink
        self._say(block, self.view.framing.end)
        if sink is not None and self._sink is not None:  # unless the peer turned out to be gone
            self._close(reason)
            sink.finish()

    def _write(self, data: bytes) -> None:
        if not data:
            return
        taken = 0 if self.full else self._try(data)
        if 0 <= taken < len(data):
            self._queue(data[taken:])

    def on_writable(self) -> None:
        """Go on: the sink has room again."""
        if self._sink is None:
            return
        self._go_on(self._sink)
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self.pump()

    async def wait_for_room(self) -> None:
        """Wait until the sink takes bytes again."""
        while self.full:
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
        self.view.tidy()
        timeout = self.hub.options.write_timeout
        if self._patience.is_over(self._sink, self.wrote_at, now, timeout, full=self.full):
            self.abort("write_timeout")
        elif not self.full:
            self._break_silence(now)
        # A heartbeat that found the sink full, or gone, has changed what is to be waited for.
        return None if self.slot >= 0 or self.closed else self._next_look(now)

    def _next_look(self, now: float) -> float:
        """Seconds to whatever may be due first: a heartbeat, a look at what the peer takes."""
        options = self.hub.options
        look = self._patience.next_look(now, options.write_timeout, full=self.full)
        if self.full:
            return look
        silence = self.wrote_at + options.heartbeat - now
        return silence if self._patience.is_paid(self.wrote_at) else min(look, silence)

    def _break_silence(self, now: float) -> None:
        if now - self.wrote_at < self.hub.options.heartbeat:
            return
        if self.told < self.cursor and self.view.renderer.hides:
            self._tell_cursor()
        else:
            self._say(self.view.renderer.heartbeat)
            self.hub.meter.add("heartbeats")

    def lost(self, error: OSError) -> None:
        """Give up after a failed write: no `connection_lost` follows one that was not the transport's own."""
        self.abort("gone")

    def abort(self, reason: str) -> None:
        """Cut the connection at once; the reader can resume."""
        sink = self._sink
        self._close(reason)
        if sink is not None:
            sink.abort()

    def dismiss(self, event: str, data: object, retry: int, reason: str = "dismissed") -> bool:
        """Say a last event and end the stream in order, for a `reason`: the reader is to come back.

        False where it stays: it would take the event for a broken answer, and the end for a good one.
        """
        if self.closed or self._sink is None:
            return False
        block = self.view.renderer.control(event, data, None, retry)
        if block is None:
            return False
        self.end_with(block, reason)
        return True

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
        call, self._on_closed_call = self._on_closed_call, None
        if call is not None:
            call()
