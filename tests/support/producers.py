"""Producers of runs: one that says what it is told, one that waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from tailrace.runs import Item

__all__ = ["Counted", "Held", "says"]


def says(*items: Item | Exception) -> Callable[[], AsyncIterator[Item]]:
    """A factory of producers that yield `items`, and raise where one is an exception."""

    async def produce() -> AsyncIterator[Item]:
        for item in items:
            if isinstance(item, Exception):
                raise item
            yield item

    return produce


class Held:
    """A producer that says `first`, then waits until it is released or cancelled; it knows whether it was closed."""

    def __init__(self, *first: Item) -> None:
        self._first = first
        self.began = asyncio.Event()
        self.released = asyncio.Event()
        self.closed = asyncio.Event()

    async def __call__(self) -> AsyncIterator[Item]:
        try:
            for item in self._first:
                yield item
            self.began.set()
            await self.released.wait()
            yield "!"
        finally:
            await asyncio.sleep(0)  # what is closed may need the loop for it
            self.closed.set()


class Counted:
    """A factory of producers that counts how many it made; each says one word."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> AsyncIterator[Item]:
        self.made += 1
        return self._say()

    async def _say(self) -> AsyncIterator[Item]:
        yield "hello"
