"""Who watches a run, for whoever wants to know: its producer, which can stop meanwhile, and those who look.

Counted are streams of a run that goes on, wherever they are open. What other instances say is `headcount`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import Final

from tailrace.hub import Hub, Tail
from tailrace.hub.crowd import Crowd, watched
from tailrace.runs.instance import Instance
from tailrace.runs.producing import PRODUCING
from tailrace.runs.readers import Attached, Readers
from tailrace.runs.rights import ALL_RUNS, Reader

__all__ = ["Audience"]

_SEEN: Final = 1.0
"""Seconds for which a producer need not ask again whether anybody on another instance watches."""


class Audience:
    """The viewers of runs, on all instances. `instance` is this one, where others share the store."""

    def __init__(self, hub: Hub, readers: Readers, instance: Instance | None) -> None:
        self._hub = hub
        self._readers = readers
        self._instance = instance
        self._crowds: dict[str, Crowd] = {}
        if instance is not None:
            instance.elsewhere.on_change = self.on_change

    async def viewers(self, run: str, owner: Reader = None) -> int:
        """How many watch a run now; none where it has ended. Raises `RunNotFound`, `StoreUnavailable`."""
        attached = await self._readers.attach(run, owner)
        try:
            if attached.tail.ended:
                return 0
            others = self._others(attached)
            return self._here(attached) + (await others() if others is not None else 0)
        finally:
            self._hub.close(attached.tail)

    async def goes_on(self, run: str, owner: Reader = None) -> bool:
        """Whether a run has not ended, so that its viewers may change. Raises `RunNotFound`."""
        attached = await self._readers.attach(run, owner)
        self._hub.close(attached.tail)
        return not attached.tail.ended

    async def counts(self, run: str, owner: Reader = None) -> AsyncGenerator[int]:
        """Yield how many watch a run: now, whenever that has changed, and 0 as it ends. Raises `RunNotFound`.

        A change elsewhere is seen within about two seconds; changes that follow each other quickly come as one.
        """
        attached = await self._readers.attach(run, owner)
        told = None
        try:
            async with contextlib.aclosing(self._followed(attached)) as counts:
                async for count in counts:
                    if count != told:
                        told = count
                        yield count
        finally:
            self._hub.close(attached.tail)

    def watched(self, run: str, owner: Reader = None, *, grace: float = 10.0) -> AsyncGenerator[bool]:
        """Yield whether anybody watches a run: now, whenever that changes, and False as it ends.

        The last viewer counts for `grace` seconds more: most who go are on their way back. Raises `RunNotFound`.
        """
        return watched(self.counts(run, owner), grace)

    async def until_watched(self) -> None:
        """Wait until somebody watches the run that the caller produces, if nobody does, or until it ends.

        For a producer, between two of its items. While somebody watches on this instance it costs nothing; while
        they do so only elsewhere, a question to the store each second. The run's own grace goes on meanwhile.
        Raises `LookupError` outside of a producer.
        """
        producing = PRODUCING.get()
        run, clock = producing.run, self._hub.clock
        if run is None or run.viewers or run.ended or clock.monotonic() < producing.seen_at + _SEEN:
            return
        async with contextlib.aclosing(self.watched(run.id, ALL_RUNS, grace=0)) as changes:
            async for anybody in changes:
                if anybody:
                    break
        if not run.viewers:  # else the next look costs nothing, and sees at once that they have left
            producing.seen_at = clock.monotonic()

    def on_change(self, log: str) -> None:
        """Hear that a run's viewers here are others than before."""
        crowd = self._crowds.get(log)
        if crowd is not None:
            crowd.tell()

    async def _followed(self, attached: Attached) -> AsyncGenerator[int]:
        log = attached.tail.log
        crowd = self._crowds.get(log)
        if crowd is None:
            crowd = self._crowds[log] = Crowd(partial(self._here, attached), self._others(attached))
        try:
            async with contextlib.aclosing(_until_end(crowd.follow(), attached.tail)) as counts:
                async for count in counts:
                    yield count
        finally:
            if not crowd.followers and self._crowds.get(log) is crowd:
                del self._crowds[log]

    def _here(self, attached: Attached) -> int:
        if attached.run is not None:
            return attached.run.viewers
        return self._instance.elsewhere.viewers(attached.tail.log) if self._instance is not None else 0

    def _others(self, attached: Attached) -> Callable[[], Awaitable[int]] | None:
        return None if self._instance is None else self._instance.inquire(attached.id, attached.tail)


async def _until_end(counts: AsyncGenerator[int], tail: Tail) -> AsyncGenerator[int]:
    """Yield the figures of a run that goes on, and 0 where it does no longer."""
    async with contextlib.aclosing(counts):
        ended = asyncio.ensure_future(tail.wait_for(lambda: tail.ended, None))
        coming = asyncio.ensure_future(anext(counts))
        try:
            while not tail.ended:
                await asyncio.wait((coming, ended), return_when=asyncio.FIRST_COMPLETED)
                if coming.done() and not tail.ended:
                    yield await coming
                    coming = asyncio.ensure_future(anext(counts))
            yield 0
        finally:
            for each in (coming, ended):
                each.cancel()
            await asyncio.wait((coming, ended))
