"""One reading connection: the channels of a shard that somebody here listens to.

It is made anew whenever it is lost, with all its subscriptions; a server that says nothing is asked whether it is
still there. Which channel belongs to which shard is `listener`'s matter.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final, Protocol

from redis.exceptions import MovedError, RedisError

from tailrace.clock import Clock
from tailrace.errors import StoreError
from tailrace.log.backoff import Backoff
from tailrace.log.redis.connection import Connection, Words
from tailrace.log.redis.servers import Servers
from tailrace.log.redis.shards import Shard

__all__ = ["Audience", "Feed"]

log = logging.getLogger("tailrace")

_SILENCE: Final = 2.0
"""Seconds without a word from the server before it is asked for one, and as long again before it counts as lost."""
_LONGEST_REST: Final = 1.0
_MOMENT: Final = 2.0
"""Seconds without messages that are not worth a word: connections are lost now and then."""
_CHUNK: Final = 1000
"""Subscriptions that are written in one turn of the loop: some milliseconds' worth."""
_MESSAGES: Final = frozenset({b"message", b"smessage"})
_PONG: Final = (b"pong", b"")


class Audience(Protocol):
    """Who hears from a feed. Called on the event loop."""

    def on_message(self, channel: bytes, payload: bytes) -> None:
        """Take a message."""
        ...

    def on_confirmed(self, channel: bytes) -> None:
        """Note that from here on nothing said on a channel is missed."""
        ...

    def on_lost(self, channels: Iterable[bytes]) -> None:
        """Note that from here on, or from some moment before, what is said on these channels is missed."""
        ...

    def on_misplaced(self, channel: bytes | None) -> None:
        """Note that a channel (None: perhaps all of them) may belong to another shard by now."""
        ...


class Feed:
    """The subscriptions to one shard. Begins to connect when it is made, in a running event loop.

    There is never more than one command for a channel without its answer, so an answer always tells how it stands.
    """

    def __init__(self, servers: Servers, shard: Shard, audience: Audience, clock: Clock) -> None:
        self.shard = shard
        self._servers = servers
        self._audience = audience
        self._clock = clock
        prefix = b"s" if servers.sharded else b""
        self._subscribe, self._unsubscribe = prefix + b"subscribe", prefix + b"unsubscribe"
        self._wanted: set[bytes] = set()
        self._on: set[bytes] = set()  # subscribed to on this connection, by the server's word
        self._dirty: dict[bytes, None] = {}  # where what is wanted may differ from that
        self._owed: deque[tuple[bytes, bytes]] = deque()  # the answers that are to come, in their order
        self._asked: set[bytes] = set()  # the channels among them
        self._flush_soon: asyncio.Handle | None = None
        self._connection: Connection | None = None
        self._silent_since: float | None = clock.time()
        self._said_so = False
        self.task = asyncio.ensure_future(self._keep())
        """Ends after `close`."""

    @property
    def idle(self) -> bool:
        """Whether nobody wants anything of it."""
        return not self._wanted

    @property
    def failing_since(self) -> float | None:
        """Since when nothing can be heard of this shard, in seconds since the epoch, if for more than a moment."""
        since = self._silent_since
        return since if since is not None and self._clock.time() - since > _MOMENT else None

    def want(self, channel: bytes) -> None:
        """Subscribe, together with whatever else this tick brings."""
        self._wanted.add(channel)
        self._touch(channel)

    def leave(self, channel: bytes) -> None:
        """Unsubscribe, likewise."""
        self._wanted.discard(channel)
        self._touch(channel)

    def close(self) -> None:
        """Let go of the connection."""
        if self._flush_soon is not None:
            self._flush_soon.cancel()
        self.task.cancel()

    # What goes out.

    def _touch(self, channel: bytes) -> None:
        self._dirty[channel] = None
        if self._connection is not None and self._flush_soon is None:
            self._flush_soon = asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_soon = None
        if self._connection is None:
            return
        commands: list[Words] = []
        for channel in [*islice(self._dirty, _CHUNK)]:
            del self._dirty[channel]
            if channel not in self._asked and (kind := self._settle(channel)):
                self._owed.append((kind, channel))
                self._asked.add(channel)
                commands.append((kind, channel))
        if commands:
            self._connection.write(commands)
        for channel in islice(self._dirty, 1):
            self._touch(channel)

    def _settle(self, channel: bytes) -> bytes:
        """The command that makes a channel what it is wanted to be; none where it is."""
        wanted, on = channel in self._wanted, channel in self._on
        if wanted and on:
            self._audience.on_confirmed(channel)
        return b"" if wanted == on else self._subscribe if wanted else self._unsubscribe

    # What comes in.

    def _take(self, reply: Any) -> None:
        if isinstance(reply, list):
            if reply[0] in _MESSAGES:
                self._audience.on_message(reply[1], reply[2])
            else:
                self._on_answer(reply[0], reply[1])
        elif isinstance(reply, RedisError):
            self._on_refusal(reply)
        else:  # PING's plain answer, while there is no subscription
            self._on_answer(*_PONG)

    def _on_answer(self, kind: bytes, channel: bytes) -> None:
        if self._owed and self._owed[0] == (kind, channel):
            self._owed.popleft()
            if channel:
                self._asked.discard(channel)
                (self._on.add if kind == self._subscribe else self._on.discard)(channel)
                self._touch(channel)
                self._on_sound()
        elif kind == self._unsubscribe:  # the slot has moved away, and the server says so by itself
            self._on.discard(channel)
            self._audience.on_lost((channel,))
            self._audience.on_misplaced(channel)

    def _on_sound(self) -> None:
        self._silent_since = None
        if self._said_so:
            self._said_so = False
            log.warning("messages of other instances arrive again")

    def _on_silence(self, told: str) -> None:
        if self._silent_since is None:
            self._silent_since = self._clock.time()
        if self.failing_since is not None and not self._said_so:
            self._said_so = True
            log.warning("messages of other instances do not arrive: %s", told)

    def _on_refusal(self, error: RedisError) -> None:
        kind, channel = self._owed.popleft() if self._owed else _PONG
        self._asked.discard(channel)
        if kind == self._unsubscribe:
            self._on.discard(channel)
        elif isinstance(error, MovedError) and self._connection is not None:
            self._servers.relocate(error, self._connection.endpoint)
            self._audience.on_misplaced(channel)
        elif kind == self._subscribe and self._connection is not None:
            self._connection.drop(f"{self._connection.endpoint} refuses to subscribe: {error}")

    # The connection.

    async def _keep(self) -> None:
        """Stay connected."""
        loop = asyncio.get_running_loop()
        backoff = Backoff(longest=_LONGEST_REST)
        while True:
            begun = loop.time()
            try:
                connection = await self._servers.dial(self.shard, self._take)
            except StoreError as error:
                told = str(error)
            else:
                told = await self._use(connection)
                if loop.time() - begun > _SILENCE:  # else this server takes connections, and nothing more
                    backoff = Backoff(longest=_LONGEST_REST)
            self._on_silence(told)
            self._audience.on_misplaced(None)
            await asyncio.sleep(backoff.wait())

    async def _use(self, connection: Connection) -> str:
        """Subscribe to everything and take what comes, until the connection is lost; what happened."""
        self._connection = connection
        for channel in self._wanted:
            self._touch(channel)
        try:
            return await self._watch(connection)
        finally:
            self._connection = None
            lost = tuple(self._on)
            for each in (self._on, self._owed, self._asked, self._dirty):
                each.clear()
            self._audience.on_lost(lost)
            await connection.close("nobody listens any more")

    async def _watch(self, connection: Connection) -> str:
        """Ask a silent server whether it is there, until the connection is lost; what happened."""
        loop = asyncio.get_running_loop()
        while not connection.lost.done():
            quiet = loop.time() - connection.heard
            where = self._servers.endpoint_of(self.shard)
            if quiet >= 2 * _SILENCE:
                connection.drop(f"{connection.endpoint} has not said anything for {2 * _SILENCE:g} s")
            elif where not in (None, connection.endpoint):
                connection.drop(f"{connection.endpoint} is the master no more")
            elif quiet >= _SILENCE and _PONG not in self._owed:
                self._owed.append(_PONG)
                connection.write([("PING",)])
            limit = _SILENCE if quiet < _SILENCE else 2 * _SILENCE
            await asyncio.wait((connection.lost,), timeout=max(limit - quiet, 0.01))
        return connection.lost.result()
