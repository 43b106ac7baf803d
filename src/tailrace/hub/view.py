"""One way of showing a log: what many connections get in common, rendered and joined once.

A view belongs to a tail, a renderer and a framing. Its live subscriptions all stand at the head and
have room; a pass writes what is new to each of them. Whoever is behind joins the same bytes from here.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, islice
from typing import TYPE_CHECKING

from tailrace.hub.renderer import Folding, Renderer
from tailrace.hub.sink import Framing
from tailrace.log import Record

if TYPE_CHECKING:
    from tailrace.hub.subscription import Subscription
    from tailrace.hub.tail import Tail

__all__ = ["FEW", "JOIN_BYTES", "Joined", "View", "within"]

log = logging.getLogger("tailrace")

JOIN_BYTES = 65_536
"""Joined bytes are cut after this many: one write of them stays below a socket's send buffer."""

_KEPT_JOINS = 4
FEW = 4
"""Live subscriptions up to which each is pumped by itself: what a pass sets up pays off from a few on."""
_WORTH_SHARING = 16_384
"""Bytes from which the rest of a cut frame is not copied for its reader: a thousand stuck ones hold it once."""
_PASS_SLICE = 64  # deliveries between two looks at the clock: about 150 us


class Joined:
    """The frames of consecutive records as one piece of bytes."""

    __slots__ = ("after", "data", "ends", "epoch", "last", "shown")

    def __init__(self, epoch: str, after: int, frames: Sequence[bytes], shown: int) -> None:
        self.epoch = epoch
        self.after = after
        self.last = after + len(frames)
        self.shown = shown  # the newest offset in it that an event shows; 0 if none does
        self.data = b"".join(frames) if len(frames) != 1 else frames[0]
        self.ends = list(accumulate(map(len, frames)))

    def skip(self, subscription: Subscription) -> None:
        """Move a cursor past records that nothing shows."""
        if subscription.cursor == self.after and subscription.epoch == self.epoch:
            subscription.cursor = self.last
        else:
            subscription.pump()  # it came in the middle of the pass

    def tell(self, subscription: Subscription) -> None:
        """Have a subscription that has all of it note what its client knows of it."""
        if subscription.cursor == self.last and subscription.epoch == self.epoch:
            subscription.note(self)

    def cut(self, taken: int) -> tuple[int, bytes | memoryview]:
        """After a write that took `taken` bytes: the offset of the frame it stopped at, and that frame's rest."""
        index = bisect_right(self.ends, taken)
        end = self.ends[index]
        if end - taken < _WORTH_SHARING:
            return self.after + 1 + index, self.data[taken:end]
        return self.after + 1 + index, memoryview(self.data)[taken:end]


class View:
    """What the subscriptions with one renderer and framing see of a tail."""

    __slots__ = ("_epoch", "_joins", "_passing", "delivered", "framing", "live", "renderer", "tail", "users")

    def __init__(self, tail: Tail, renderer: Renderer, framing: Framing) -> None:
        self.tail = tail
        self.renderer = renderer
        self.framing = framing
        self.live: dict[Subscription, None] = {}
        self.users = 0  # subscriptions of any state
        self.delivered = tail.head
        self._epoch = tail.epoch  # that the live ones know of
        self._joins: OrderedDict[int, Joined] = OrderedDict()
        self._passing = False

    def join(self, after: int) -> Joined | None:
        """The frames past `after`, at most about `JOIN_BYTES` of them; None if the tail does not hold them."""
        joined = self._joins.get(after)
        if joined is not None:
            return joined
        records = self.tail.since(after)
        return self.join_records(after, records) if records is not None else None

    def join_records(self, after: int, records: Iterable[Record], *, folded: bool = False) -> Joined:
        """The frames of `records`, which begin right past `after`; `folded` where this view does that."""
        tail, renderer = self.tail, self.renderer
        epoch = tail.epoch
        some: Sequence[Record] = within(records, JOIN_BYTES)
        if folded and isinstance(renderer, Folding):
            some = renderer.fold(some)
        blocks = renderer.render(epoch, some)
        frames = self.framing.wrap(blocks)
        shown = after + len(some)
        if renderer.hides:
            shown = max([record.offset for record, block in zip(some, blocks, strict=True) if block], default=0)
        if some and some[-1].offset == tail.terminal:
            frames[-1] += self.framing.end
        joined = Joined(epoch, after, frames, shown)
        # A join stays right however the log grows: whoever uses an old one only asks once more.
        if frames and (self.users > 1 or len(joined.data) <= JOIN_BYTES):
            self._joins[after] = joined
            if len(self._joins) > _KEPT_JOINS:
                self._joins.popitem(last=False)
        return joined

    def reset(self) -> None:
        """Begin anew in another epoch; the next delivery tells the live ones."""
        self._joins.clear()
        self.delivered = self.tail.head

    def enter(self, subscription: Subscription) -> None:
        """Take a subscription that stands at the head and has room into the passes."""
        if not self.live:
            # A cursor from another instance may be ahead of what this one was told; others at the head are not.
            self.delivered = min(subscription.cursor, self.tail.head)
        self.live[subscription] = None

    def leave(self, subscription: Subscription) -> None:
        """Let a subscription go, if it is here."""
        self.live.pop(subscription, None)

    def deliver(self) -> Iterator[None]:
        """Write what is new to every live subscription, yielding wherever others may have their turn."""
        if self._passing:
            return
        self._passing = True
        try:
            yield from self._passes()
        except Exception:
            # A record that cannot be rendered must not be skipped in silence: its readers are cut, and hear it so.
            log.exception("an event of %s could not be delivered", self.tail.log)
            for subscription in tuple(self.live):
                subscription.abort("failed")
        finally:
            self._passing = False
            self.delivered = self.tail.head
        self.tidy()
        if self.tail.ended:
            yield from self._each(_pump)

    def deliver_few(self) -> None:
        """Do as `deliver`, where one after the other is done before anybody could want a turn."""
        self._epoch = self.tail.epoch
        for subscription in tuple(self.live):
            try:
                subscription.pump()
            except Exception:
                log.exception("an event of %s could not be delivered", self.tail.log)
                subscription.abort("failed")
        if not self._passing:
            self.delivered = self.tail.head
            self.tidy()

    def tidy(self) -> None:
        """Let go of what was joined once everybody has it: a view that few look at must not hold on to megabytes."""
        if len(self.live) == self.users:
            self._joins.clear()

    def _passes(self) -> Iterator[None]:
        tail = self.tail
        while self.live and (self.delivered < tail.head or self._epoch != tail.epoch):
            if self._epoch != tail.epoch:
                self._epoch = tail.epoch
                yield from self._each(_pump)
                continue
            epoch, reached, joined = tail.epoch, tail.head, self.join(self.delivered)
            if joined is None:
                yield from self._each(_pump)  # each reads for itself what the window does not hold any more
            else:
                reached = joined.last
                yield from self._pass(joined) if joined.data else self._each(joined.skip)
            if epoch == tail.epoch:
                self.delivered = reached
                if joined is not None and self.renderer.hides:
                    yield from self._each(joined.tell)

    def _each(self, do: Callable[[Subscription], None]) -> Iterator[None]:
        walk = iter(tuple(self.live))
        while batch := tuple(islice(walk, _PASS_SLICE)):
            for subscription in batch:
                do(subscription)
            yield

    def _pass(self, joined: Joined) -> Iterator[None]:
        # The hot loop: on one core it makes a million deliveries a second, so it calls nothing but the write.
        walk = iter(tuple(self.live))
        after, last, data, size = joined.after, joined.last, joined.data, len(joined.data)
        while batch := tuple(islice(walk, _PASS_SLICE)):
            if joined.epoch != self.tail.epoch:
                return
            now = self.tail.hub.clock.monotonic()
            for subscription in batch:
                if subscription.cursor != after:
                    subscription.pump()  # it came in the middle of the pass, or left
                    continue
                try:
                    taken = subscription.write(data)
                except BlockingIOError:
                    if subscription.full:
                        continue  # since this pass began; what it queued comes first
                    taken = 0
                except OSError as error:
                    subscription.lost(error)
                    continue
                if taken == size:
                    subscription.cursor = last
                    subscription.wrote_at = now
                else:
                    subscription.cut(joined, taken)
                    subscription.pump()
            yield


def _pump(subscription: Subscription) -> None:
    subscription.pump()


def within(records: Iterable[Record], most: int) -> list[Record]:
    """The first of `records`, up to the one with which they have `most` characters of data."""
    some: list[Record] = []
    size = 0
    for record in records:
        some.append(record)
        size += len(record.data or "")
        if size >= most:
            break
    return some
