"""An answer from whichever target of a route gives one.

Until the first content, a target that fails is replaced without anybody's notice: what it sent before
that is held back. What to try, and when to give up, is decided by `course`; this module does it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from tailrace.chat.choice import order
from tailrace.chat.course import Chance, Course
from tailrace.chat.providers.streamed import StreamedProvider, speaks
from tailrace.errors import ProviderError
from tailrace.runs.deltas import Frame, Part, Usage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Mapping

    from tailrace.chat.ask import Ask
    from tailrace.chat.attempts import Attempt
    from tailrace.chat.breaker import Breaker
    from tailrace.chat.dialects import Request
    from tailrace.chat.models import Route, Target
    from tailrace.chat.providers.base import Provider, Routed

__all__ = ["Item", "Router"]

Item = Sequence[Part]

_MOST_HELD = 4_194_304
"""Characters of frames that are held back: Responses begins with all that was asked, and more than once."""


class Router:
    """Asks the targets of a route until one answers.

    A target without a breaker is always asked. `speaks` tells content, after which another target cannot step
    in unnoticed, from what only prepares it.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        breakers: Mapping[Target, Breaker],
        *,
        speaks: Callable[[Item], bool] = speaks,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Chance | None = None,
    ) -> None:
        self._providers = providers
        self._breakers = breakers
        self._speaks = speaks
        self._sleep = sleep
        self._chance = chance or Chance()

    async def answer(
        self, ask: Ask | None, route: Route, key: str | None, attempts: list[Attempt], relay: Request | None = None
    ) -> Routed:
        """Answer `ask` by the first target of `route` that can; `Answer` says what the items are and how it ends.

        With `relay`, a target of the kind whose own dialect it is in gets it as it came, and is relayed.

        `key` is who asks, so that they stay on one arm; None draws one. Each try is added to `attempts`,
        whose last one is, from the first item on, the target that answers. Where all fail, the error is
        that of the last one tried.
        """
        course = Course(order(route, self._key(route, key)), route.policy, self._breakers, attempts, self._chance)
        course.begin()
        wait: float | None = 0.0
        while True:
            items = self._ask(ask, course.target, relay)
            try:
                if wait:
                    await self._sleep(wait)
                    course.started()
                held = await self._until_content(items, course)
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

    def _ask(self, ask: Ask | None, target: Target, relay: Request | None) -> Routed:
        provider = self._providers[target.provider]
        if relay is not None and provider.kind == relay.kind and isinstance(provider, StreamedProvider):
            return provider.relay(relay.body, target.model, relay.headers)
        if ask is None:
            raise ValueError(f"{target} is of another kind than the request, which cannot be asked in other words")
        return provider.answer(msgspec.structs.replace(ask, model=target.model))

    async def _until_content(self, items: Routed, course: Course) -> list[Item]:
        """Return the items up to the first that holds content, which is the last of them.

        A provider that sends very much has begun to answer, whatever it may mean. What it tells of its price is
        noted: where another takes its place, nobody else hears of that.
        """
        held: list[Item] = []
        size = 0
        async for item in items:
            held.append(item)
            for usage in _usages(item):
                course.counted(usage)
            size += sum(len(part.data) for part in item if isinstance(part, Frame))
            if self._speaks(item) or size > _MOST_HELD:
                break
        return held


def _usages(item: Item) -> Iterator[Usage]:
    for part in item:
        if type(part) is Frame:
            yield from [said for said in part.deltas if type(said) is Usage]
        elif type(part) is Usage:
            yield part
