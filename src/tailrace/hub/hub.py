"""The tails and subscriptions of this process, and the one place where writing to them is scheduled.

What is appended within one tick of the event loop leaves in one write for each connection: a tail that
changed is marked, and delivered when the tick ends. Delivery to very many yields to the loop every few
milliseconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tailrace.clock import SYSTEM, Clock
from tailrace.hub.confluence import Confluence
from tailrace.hub.shelf import Shelf
from tailrace.hub.subscription import Subscription
from tailrace.hub.tail import Tail
from tailrace.hub.wheel import Wheel
from tailrace.log import Retention, Store
from tailrace.observe import Counters, Meter

log = logging.getLogger("tailrace")

__all__ = ["Dismissal", "Hub", "HubOptions"]

Dismissal = tuple[str, object, int]
"""A last event for a reader who is sent away: its name, its data, and the `retry:` in milliseconds."""

_SLICE = 0.004  # seconds of delivering before others have their turn

_CUTS = frozenset({"failed", "leaving", "lost", "store", "write_timeout"})
"""Ends of streams that are neither their log's, nor the reader's wish: it has to come back, or has lost something."""


@dataclass(frozen=True, slots=True)
class HubOptions:
    """`heartbeat`: seconds of silence before a comment is sent. `write_timeout`: seconds a sink may take nothing.

    `history` is what logs without an end keep; a reader that filters them is told its position that often.
    """

    heartbeat: float = 15.0
    write_timeout: float = 30.0
    history: Retention = field(default_factory=Retention)

    def __post_init__(self) -> None:
        """Refuse what would spin."""
        if self.heartbeat <= 0 or self.write_timeout <= 0:
            raise ValueError("heartbeat and write_timeout must be above 0 seconds")


class Hub:
    """Who reads what in this process."""

    def __init__(
        self,
        store: Store,
        options: HubOptions | None = None,
        *,
        clock: Clock = SYSTEM,
        meter: Meter | None = None,
    ) -> None:
        self.store = store
        self.options = options or HubOptions()
        self.clock = clock
        self.meter: Meter = meter if meter is not None else Counters()
        self.wheel = Wheel(clock)
        self.shelf = Shelf()
        self.subscriptions: set[Subscription] = set()
        self.on_reader: Callable[[Subscription, bool], None] | None = None
        """Hears of each reader of a log without an end: who comes (True), and who goes."""
        self.dismissal: Callable[[], Dismissal] | None = None  # set while this process sends its readers away
        self.dismisses_all = False  # also those of logs that end, since they can read on elsewhere
        self._tails: dict[str, Tail] = {}
        self._confluences: dict[str, Confluence] = {}
        self._dirty: dict[Tail, None] = {}
        self._work: deque[Iterator[None]] = deque()
        self._scheduled = False
        self._began: float | None = None  # since when there has been something to deliver
        self._turns = self.meter.durations("fan_out.seconds")
        self.delays = self.meter.durations("publish_delay.seconds")
        """From a record's time to when its readers here were written to, of what the store tells of."""

    async def open(self, log: str, *, create: bool = False) -> Tail | None:
        """Get the tail of a log, read from the store if it is not here; None where there is no such log.

        Whoever gets one calls `close` with it when done. With `create`, a log that is not there is begun.
        Raises what the store raises.
        """
        tail = self._tails.get(log) or self._follow(log, create=create)
        tail.users += 1
        try:
            if tail.loading is not None:
                await asyncio.shield(tail.loading)
        except BaseException:
            self.close(tail)
            raise
        if tail.epoch:
            return tail
        self.close(tail)
        return None

    def _follow(self, log: str, *, create: bool) -> Tail:
        tail = self._tails[log] = Tail(self, log)
        self.store.follow(log, tail)
        # A task of its own: many may wait for it, and the first of them may leave.
        tail.loading = asyncio.create_task(self._load(tail, create=create))
        return tail

    async def _load(self, tail: Tail, *, create: bool) -> None:
        try:
            head = await (self.store.ensure(tail.log) if create else self.store.head(tail.log))
            if head is not None:
                await tail.load(head)
        finally:
            tail.loading = None
            if not tail.epoch:
                self._forget(tail)  # whoever asks from now on asks the store again

    async def gather(self, logs: Mapping[str, str]) -> Confluence:
        """Get several logs as one, by the names that readers know them by; those that are not there are begun.

        Whoever gets one calls `close` with it when done. Raises what the store raises.
        """
        together = ",".join(logs.values())
        if together not in self._confluences:
            members = await self._open_all(tuple(logs.values()))
            if together in self._confluences:  # somebody was quicker
                for tail in members:
                    self.close(tail)
            else:
                self._confluences[together] = Confluence(self, together, dict(zip(logs, members, strict=True)))
        found = self._confluences[together]
        found.users += 1
        return found

    async def _open_all(self, logs: Sequence[str]) -> list[Tail]:
        opening = [asyncio.ensure_future(self.open_lasting(log)) for log in logs]
        try:
            return await asyncio.gather(*opening)
        except BaseException:
            for task in opening:
                task.add_done_callback(self._close_opened)
                task.cancel()
            raise

    def _close_opened(self, opening: asyncio.Future[Tail]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            self.close(opening.result())

    async def open_lasting(self, log: str) -> Tail:
        """Get the tail of a log without an end, which is begun if it is not there. Raises what the store raises."""
        tail = await self.open(log, create=True)
        while tail is None:  # deleted and forgotten in the moment of opening
            tail = await self.open(log, create=True)
        return tail

    def produce(self, log: str, epoch: str, meta: str) -> Tail:
        """Get the tail of a log that is produced here, from its beginning."""
        tail = self._tails[log] = Tail(self, log)
        tail.users += 1
        tail.begin(epoch, meta)
        return tail

    def reads(self, log: str) -> bool:
        """Whether somebody reads a log here."""
        return log in self._tails

    def share(self, tail: Tail) -> Tail:
        """Say that a tail which somebody uses has one user more, who calls `close` when done."""
        tail.users += 1
        return tail

    def close(self, tail: Tail) -> None:
        """Say that one user of a tail is done with it."""
        tail.users -= 1
        if not tail.users:
            self._forget(tail)

    def supersede(self, log: str) -> None:
        """Have whoever opens a log from now on read the store's: what is here is not what everybody else gets."""
        self._tails.pop(log, None)

    def _forget(self, tail: Tail) -> None:
        if self._tails.get(tail.log) is tail:
            del self._tails[tail.log]
        if self._confluences.get(tail.log) is tail:
            del self._confluences[tail.log]
        self.store.unfollow(tail.log, tail)
        tail.close()

    def enter(self, subscription: Subscription) -> None:
        """Count a subscription in; its tail stays while it does."""
        self.subscriptions.add(subscription)
        tail = subscription.view.tail
        tail.readers.add(subscription)
        tail.users += 1
        self.meter.add("streams.opened", 1, (subscription.view.renderer.dialect,))
        if subscription.lasting and self.on_reader is not None:
            self.on_reader(subscription, True)

    def leave(self, subscription: Subscription, reason: str) -> None:
        """Count a subscription out."""
        self.subscriptions.discard(subscription)
        tail = subscription.view.tail
        tail.readers.discard(subscription)
        tail.leave(subscription.view)
        if subscription.lasting and self.on_reader is not None:
            self.on_reader(subscription, False)
        self.close(tail)
        self.meter.add("streams.ended", 1, (subscription.view.renderer.dialect, reason))
        if reason in _CUTS:
            self.meter.add("cuts", 1, (reason,))

    def mark(self, tail: Tail) -> None:
        """Have a tail delivered when this tick of the loop ends."""
        self._dirty[tail] = None
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False
        now = self.clock.monotonic()
        if self._began is None:
            self._began = now
        while self._dirty or self._work:
            dirty, self._dirty = self._dirty, {}
            self._work.extend([tail.deliver() for tail in dirty])
            if not self._spend(now + _SLICE):
                self._scheduled = True
                asyncio.get_running_loop().call_soon(self._deliver)
                return
            now = self.clock.monotonic()
        self._turns.observe(now - self._began)
        self._began = None

    def _spend(self, deadline: float) -> bool:
        while self._work:
            try:
                for _ in self._work[0]:
                    if self.clock.monotonic() >= deadline:
                        self._work.rotate(-1)
                        return False
            except Exception:
                # One log's fault must not keep the others from being delivered.
                log.exception("a delivery failed")
            self._work.popleft()
        return True

    def dismiss_lasting(self, dismissal: Callable[[], Dismissal]) -> None:
        """Send away the readers of logs that have no end, now and from now on; the others read to the end."""
        self.dismissal = dismissal
        for subscription in tuple(self.subscriptions):
            if subscription.lasting:
                subscription.dismiss(*dismissal())

    def dismissal_of(self, subscription: Subscription) -> Dismissal | None:
        """What a reader who comes now is to be told instead of anything that comes, if it is to be sent away."""
        sent = subscription.lasting or (self.dismisses_all and not subscription.view.tail.ended)
        return self.dismissal() if self.dismissal is not None and sent else None

    def abort_all(self) -> None:
        """Cut whoever is still here."""
        for subscription in tuple(self.subscriptions):
            subscription.abort("leaving")
