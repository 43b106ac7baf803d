"""An answer from whichever target of a route gives one.

Until the first content, a target that fails is replaced without anybody's notice: what it sent before
that is held back. What to try, and when to give up, is decided by `course`; this module does it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from tailrace.chat.attempts import Attempt, Restart
from tailrace.chat.choice import order
from tailrace.chat.course import Chance, Course
from tailrace.errors import ProviderError
from tailrace.runs.deltas import Delta, Usage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from tailrace.chat.ask import Ask
    from tailrace.chat.breaker import Breaker
    from tailrace.chat.models import Route, Target
    from tailrace.chat.providers.base import Answer, Provider

__all__ = ["Item", "Routed", "Router", "says_something"]

Item = Sequence[Delta]

Routed = AsyncGenerator[Sequence[Delta | Restart], None]
"""An `Answer` that may hold one thing more: `Restart`, in an item of its own, where the route goes on after a break."""


def says_something(item: Item) -> bool:
    """Tell whether an item holds content, after which another target cannot step in unnoticed."""
    return any(type(delta) is not Usage for delta in item)


class Router:
    """Asks the targets of a route until one answers.

    A target without a breaker is always asked. `speaks` tells content from what only prepares it.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        breakers: Mapping[Target, Breaker],
        *,
        speaks: Callable[[Item], bool] = says_something,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Chance | None = None,
    ) -> None:
        self._providers = providers
        self._breakers = breakers
        self._speaks = speaks
        self._sleep = sleep
        self._chance = chance or Chance()

    async def answer(self, ask: Ask, route: Route, key: str | None, attempts: list[Attempt]) -> Routed:
        """Answer `ask` by the first target of `route` that can; `Answer` says what the items are and how it ends.

        `key` is who asks, so that they stay on one arm; None draws one. Each try is added to `attempts`,
        whose last one is, from the first item on, the target that answers. Where all fail, the error is
        that of the last one tried.
        """
        course = Course(order(route, self._key(route, key)), route.policy, self._breakers, attempts, self._chance)
        course.begin()
        wait: float | None = 0.0
        while True:
            items = self._ask(ask, course.target)
            try:
                if wait:
                    await self._sleep(wait)
                    course.started()
                held = await self._until_content(items)
                if restart := course.answered():
                    yield (restart,)
                for item in held:
                    yield item
                async for item in items:
                    yield item
                course.completed()
                return
            except ProviderError as error:
                wait = course.failed(error)
                if wait is None:
                    raise
            except BaseException:
                course.abandoned()
                raise
            finally:
                await items.aclose()

    def _key(self, route: Route, key: str | None) -> str:
        return repr(self._chance.jitter()) if key is None and len(route.arms) > 1 else key or ""

    def _ask(self, ask: Ask, target: Target) -> Answer:
        return self._providers[target.provider].answer(msgspec.structs.replace(ask, model=target.model))

    async def _until_content(self, items: Answer) -> list[Item]:
        """Return the items up to the first that holds content, which is the last of them."""
        held: list[Item] = []
        async for item in items:
            held.append(item)
            if self._speaks(item):
                break
        return held
