"""One source: the lines of a file, published to a channel, by one process of all that share a store and a machine.

Who follows holds a lease on it, and keeps in the store how far it is, so that another goes on from there: the next
worker after a reload, or the next start. Nothing is read while the store takes nothing, so that nothing piles up here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import socket
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tailrace.channels import Publication
from tailrace.channels.publishing import MOST_EVENTS
from tailrace.errors import InvalidEvent, StoreError, StoreUnavailable
from tailrace.log import Entry, Position
from tailrace.log.backoff import Backoff
from tailrace.server.sources.file import FollowedFile, Place

if TYPE_CHECKING:
    from tailrace.facade import Tailrace
    from tailrace.server.settings.followed import Source

__all__ = ["Follower"]

log = logging.getLogger("tailrace")

_LOOK: Final = 0.25
"""Seconds between looks at a file that had nothing new."""
_LEASE: Final = 6.0
"""Seconds after which another may follow what a dead process followed."""
_ASK: Final = 1.0
"""Seconds between attempts to become the one who follows."""


class Follower:
    """Follows one file until it is told to stop. `name` is the source's in the settings."""

    def __init__(self, tailrace: Tailrace, name: str, source: Source) -> None:
        self._tailrace = tailrace
        self._name = name
        self._source = source
        self._me = secrets.token_hex(8)
        # Another machine has a file of its own under the same path.
        self._lease = f"source:{name}@{socket.gethostname()}"
        self._stopping = asyncio.Event()
        self._told = ""  # what was last said of the file, lest it is said at each look

    def stop(self) -> None:
        """Have it end: what is read by now is published still."""
        self._stopping.set()

    async def run(self) -> None:
        """Follow, once nobody else does, until `stop`."""
        while not self._stopping.is_set():
            try:
                if await self._take():
                    await self._follow()
            except StoreUnavailable as error:
                self._say(f"waits for the store: {error}")
            except StoreError:
                log.exception("the source %s is not followed", self._name)
            await self._pause(_ASK)

    async def _take(self) -> bool:
        """Whether this process is the one that follows; where no other can be, it is."""
        if not self._tailrace.hub.store.shared:
            return True
        return await self._tailrace.coordination.claim(self._lease, self._me, _LEASE) == self._me

    async def _follow(self) -> None:
        from_start = self._source.start == "start"
        file = FollowedFile(Path(self._source.file), from_start=from_start, place=await self._restored())
        renewing = asyncio.create_task(self._renew(), name=f"tailrace source {self._name}")
        try:
            # Whoever lost the lease, for being out of touch or frozen, has stopped by the time it is another's.
            while not self._stopping.is_set() and not renewing.done():
                await self._step(file)
        finally:
            renewing.cancel()
            file.close()
            with contextlib.suppress(StoreError):  # it expires
                await self._tailrace.coordination.release(self._lease, self._me)

    async def _step(self, file: FollowedFile) -> None:
        before, dropped = file.place, file.dropped
        try:
            lines = await asyncio.to_thread(file.read)
            after = file.place
        except OSError as error:
            self._say(f"cannot read {self._source.file}: {error.strerror}")
            lines, after = (), before
        if file.dropped > dropped:
            log.warning("source %s: a line of %s was too long and is left out", self._name, self._source.file)
        if lines:
            self._told = ""
            await self._publish(lines, f"{self._lease}:{before and astuple(before)}-{after and astuple(after)}")
        if after != before:
            await self._save(after)
        if not lines and after == before:
            await self._pause(_LOOK)

    async def _renew(self) -> None:
        """Keep the lease; ends when it is lost."""
        while True:
            await asyncio.sleep(_LEASE / 3)
            with contextlib.suppress(StoreUnavailable):
                await self._tailrace.coordination.extend(self._lease, _LEASE)
                if not await self._take():
                    return

    # What goes to the store, however long it has to be asked.

    async def _publish(self, lines: Sequence[str], operation: str) -> None:
        for at in range(0, len(lines), MOST_EVENTS):
            part = [
                Publication(self._source.channel, line, self._source.event) for line in lines[at : at + MOST_EVENTS]
            ]
            await self._insist(part, f"{operation}+{at}")

    async def _insist(self, part: Sequence[Publication], operation: str) -> None:
        backoff = Backoff()
        while True:
            outcome = (await self._tailrace.channels.publish_all(part, operation))[0]
            if isinstance(outcome, Position):
                return
            if isinstance(outcome, InvalidEvent):
                log.error("source %s: %d lines were refused: %s", self._name, len(part), outcome)
                return
            self._say(f"waits for the store: {outcome}")
            await asyncio.sleep(backoff.wait())

    async def _save(self, place: Place | None) -> None:
        if place is not None:
            state = json.dumps(astuple(place))
            await self._tailrace.hub.store.publish(self._lease, (Entry("", ""),), None, state)

    async def _restored(self) -> Place | None:
        _, state = await self._tailrace.hub.store.snapshot(self._lease)
        return None if state is None else Place(*json.loads(state))

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    def _say(self, what: str) -> None:
        if what != self._told:
            self._told = what
            log.warning("source %s %s", self._name, what)
