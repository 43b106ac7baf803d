"""What other instances say: one reading connection for the process, on a cluster one for each shard.

A channel is told of from the moment that its subscription is confirmed, except while its connection is away;
afterwards `on_restored` says that something may have been missed. What to do about that is left to the store.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

from tailrace.clock import SYSTEM, Clock
from tailrace.errors import StoreUnavailable
from tailrace.log.redis.feed import Feed
from tailrace.log.redis.servers import Servers
from tailrace.log.redis.shards import Shard

__all__ = ["Listener"]

log = logging.getLogger("tailrace")

_PATIENCE: Final = 2.0
"""Seconds that `confirmed` waits."""
_LOOK: Final = 2.0
"""Seconds between looks at whether the cluster's map has become another."""
_REST: Final = 0.1
"""Seconds between two times that misplaced channels are placed anew."""


class _Channel:
    """A channel that somebody wants, and how it stands."""

    __slots__ = ("confirmed", "feed", "name", "waiting")

    def __init__(self, name: str, feed: Feed) -> None:
        self.name = name
        self.feed = feed
        self.confirmed = False
        self.waiting: asyncio.Future[bool] | None = None

    def settle(self, *, confirmed: bool) -> None:
        """Tell whoever waits."""
        self.confirmed = confirmed
        if self.waiting is not None:
            self.waiting.set_result(confirmed)
            self.waiting = None


class Listener:
    """The subscriptions of this process. Neither of the two callbacks may block."""

    def __init__(
        self,
        servers: Servers,
        on_message: Callable[[str, bytes], None],
        on_restored: Callable[[], None],
        clock: Clock = SYSTEM,
    ) -> None:
        self._servers = servers
        self._clock = clock
        self._tell = on_message
        self._tell_restored = on_restored
        self._channels: dict[bytes, _Channel] = {}
        self._feeds: dict[Shard, Feed] = {}
        self._missed: set[bytes] = set()  # what was confirmed, was lost, and is not confirmed again
        self._misplaced: set[bytes] = set()
        self._unsettled = asyncio.Event()
        self._routing: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def failing_since(self) -> float | None:
        """Since when messages do not arrive, in seconds since the epoch; None while they do, or did a moment ago."""
        return min(
            [feed.failing_since for feed in self._feeds.values() if feed.failing_since is not None], default=None
        )

    def subscribe(self, channel: str) -> None:
        """Have `on_message` told of what is said on `channel`; once is enough. Needs a running event loop."""
        name = channel.encode()
        if name in self._channels or self._closed:
            return
        feed = self._feed(self._servers.shard_of(channel))
        self._channels[name] = _Channel(channel, feed)
        feed.want(name)
        if self._servers.sharded and self._routing is None:
            self._routing = asyncio.ensure_future(self._route())

    def unsubscribe(self, channel: str) -> None:
        """Have it told no more of `channel`."""
        name = channel.encode()
        known = self._channels.pop(name, None)
        if known is None:
            return
        known.feed.leave(name)
        known.settle(confirmed=False)
        self._found(name)

    async def confirmed(self, channel: str) -> None:
        """Return once nothing said on `channel` from now on is missed. Raises `StoreUnavailable` after 2 seconds."""
        known = self._channels.get(channel.encode())
        if known is not None and known.confirmed:
            return
        if known is not None:
            if known.waiting is None:
                known.waiting = asyncio.get_running_loop().create_future()
            waiting = known.waiting
            await asyncio.wait((waiting,), timeout=_PATIENCE)
            if waiting.done() and waiting.result():
                return
        raise StoreUnavailable("what is said on other instances does not arrive here")

    async def close(self) -> None:
        """Let go of every connection; whoever waits for a confirmation is told that there will be none."""
        self._closed = True
        tasks = [feed.task for feed in self._feeds.values()]
        for feed in self._feeds.values():
            feed.close()
        if self._routing is not None:
            self._routing.cancel()
            tasks.append(self._routing)
        for channel in self._channels.values():
            channel.settle(confirmed=False)
        self._channels.clear()
        if tasks:
            await asyncio.wait(tasks)

    # What the feeds say.

    def on_message(self, channel: bytes, payload: bytes) -> None:
        """Pass a message on, if it is still wanted."""
        known = self._channels.get(channel)
        if known is None:
            return
        try:
            self._tell(known.name, payload)
        except Exception:
            log.exception("a message on %s could not be taken", known.name)

    def on_confirmed(self, channel: bytes) -> None:
        """Tell whoever waits for a channel; and once the last of those that were lost is back, that they are."""
        known = self._channels.get(channel)
        if known is not None:
            known.settle(confirmed=True)
            self._found(channel)

    def on_lost(self, channels: Iterable[bytes]) -> None:
        """Note which channels may miss something."""
        for channel in channels:
            known = self._channels.get(channel)
            if known is not None:
                known.confirmed = False
                self._missed.add(channel)

    def on_misplaced(self, channel: bytes | None) -> None:
        """Find out, soon, which shard has what."""
        if channel is not None:
            self._misplaced.add(channel)
        self._unsettled.set()

    def _found(self, channel: bytes) -> None:
        if channel in self._missed:
            self._missed.discard(channel)
            if not self._missed and not self._closed:
                self._tell_restored()

    # Shards.

    def _feed(self, shard: Shard) -> Feed:
        feed = self._feeds.get(shard)
        if feed is None:
            feed = self._feeds[shard] = Feed(self._servers, shard, self, self._clock)
        return feed

    async def _route(self) -> None:
        """Keep every channel at the shard that has it."""
        seen = self._servers.changes
        while True:
            try:
                # Not `wait_for`: in Python 3.11 it loses a cancellation that comes as the event is set.
                async with asyncio.timeout(_LOOK):
                    await self._unsettled.wait()
            except TimeoutError:
                pass  # somebody else may have learnt something
            else:
                self._unsettled.clear()
                await self._servers.reread()
            if self._servers.changes != seen:
                seen = self._servers.changes
                self._place(tuple(self._channels))
            else:
                self._place(tuple(self._misplaced))
            self._misplaced.clear()
            await asyncio.sleep(_REST)

    def _place(self, names: Iterable[bytes]) -> None:
        """Move each channel to the feed of its shard; where it is there already, try again."""
        for name in names:
            known = self._channels.get(name)
            if known is None:
                continue
            feed = self._feed(self._servers.shard_of(known.name))
            if feed is not known.feed:
                known.feed.leave(name)
                known.feed = feed
                if known.confirmed:
                    self.on_lost((name,))
            feed.want(name)
        for shard, feed in tuple(self._feeds.items()):
            if feed.idle:
                del self._feeds[shard]
                feed.close()
