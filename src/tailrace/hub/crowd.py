"""Who views one log on all instances, as long as somebody here wants to know.

What happens here is known at once. What others say is asked for once a second, by one for all who want to know.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

from tailrace.errors import StoreError, StoreUnavailable

__all__ = ["Crowd", "watched"]

log = logging.getLogger("tailrace")

_LOOK: Final = 1.0
"""Seconds between two looks at what other instances say."""
_PACE: Final = 0.25
"""Seconds between two figures at least: a thousand who come at once are no thousand events for each who counts them."""


class Crowd:
    """Follows one log for any number of followers. `here` counts at once, `elsewhere` asks the others.

    `elsewhere` is None where there are none. While the store is away, what was known last stands.
    """

    def __init__(self, here: Callable[[], int], elsewhere: Callable[[], Awaitable[int]] | None) -> None:
        self.followers = 0
        self._here = here
        self._elsewhere = elsewhere
        self._others = 0
        self._news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._looking: asyncio.Task[None] | None = None
        self._known = asyncio.Event()

    async def follow(self) -> AsyncGenerator[int]:
        """Yield how many they are: now, and whenever that has changed."""
        self.followers += 1
        try:
            await self._begin()
            told = None
            while True:
                news, count = self._news, self._here() + self._others
                if count != told:
                    told = count
                    yield count
                    await asyncio.sleep(_PACE)
                    continue  # what came meanwhile is in the next figure
                await asyncio.shield(news)
        finally:
            self.followers -= 1
            if not self.followers and self._looking is not None:
                self._looking.cancel()
                self._looking = None

    def tell(self) -> None:
        """Have those who follow look again."""
        if not self._news.done():
            self._news.set_result(None)
        self._news = asyncio.get_running_loop().create_future()

    async def _begin(self) -> None:
        if self._elsewhere is None:
            return
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_on(self._elsewhere), name="tailrace viewers")
        await self._known.wait()

    async def _look_on(self, elsewhere: Callable[[], Awaitable[int]]) -> None:
        while True:
            try:
                others = await elsewhere()
            except StoreUnavailable:
                others = self._others  # whoever was there may be there still
            except StoreError:
                others = self._others
                log.exception("it cannot be told who views a log elsewhere")
            if others != self._others:
                self._others = others
                self.tell()
            self._known.set()
            await asyncio.sleep(_LOOK)


async def watched(counts: AsyncGenerator[int], grace: float) -> AsyncGenerator[bool]:
    """Yield whether anybody is counted: now, and whenever that changes, until `counts` end.

    The last one counts for `grace` seconds more.
    """
    told: bool | None = None
    async with contextlib.aclosing(counts):
        coming = asyncio.ensure_future(anext(counts, None))
        try:
            while (count := await coming) is not None:
                coming = asyncio.ensure_future(anext(counts, None))
                if told and not count and (await asyncio.wait((coming,), timeout=grace))[0]:
                    continue  # somebody came back, or it is over
                if told is not (count > 0):
                    told = count > 0
                    yield told
        finally:
            coming.cancel()
            await asyncio.wait((coming,))
