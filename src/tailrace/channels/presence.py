"""Who views a channel, on all instances: counted here, said to the others through the store, and followed.

What is said of a channel is one small record for each instance, written when it changes and renewed while anybody
views; many changes leave together, so that ten thousand who come in a second cost one pipeline, not ten thousand.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from tailrace.channels.names import log_of
from tailrace.errors import StoreError, StoreUnavailable
from tailrace.hub import Confluence, Hub, Subscription, Tail
from tailrace.hub.crowd import Crowd, watched
from tailrace.log.backoff import Backoff
from tailrace.log.fleet import VIEWERS_KEPT, Fleet

__all__ = ["Presence", "Viewers"]

log = logging.getLogger("tailrace")

_PAUSE: Final = 0.1
"""Seconds that a change waits for others, to leave in one pipeline with them."""
_AT_ONCE: Final = 1000
"""Channels that are told of in one pipeline."""
_NAMES: Final = 100
"""Names that an instance tells of a channel; beyond that its viewers are counted only."""


@dataclass(frozen=True, slots=True)
class Viewers:
    """How many streams of a channel are open, and how many of them are whose; nameless ones are in `count` alone."""

    count: int = 0
    names: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Viewers) -> Viewers:
        """Take both together."""
        return Viewers(self.count + other.count, Counter(self.names) + Counter(other.names))


class Presence:
    """The viewers of channels. `gone` tells a dead instance by its name; what that one said does not count.

    Begins with `start`, in the running event loop, and is over with `close`. Counts are of streams: whoever has two
    tabs open is two, and whoever is between two connections is none.
    """

    def __init__(self, hub: Hub, fleet: Fleet | None = None, gone: Callable[[str], bool] | None = None) -> None:
        self._hub = hub
        self._fleet = fleet
        self._gone = gone or (lambda _: False)
        self._viewers: dict[str, set[Subscription]] = {}
        self._crowds: dict[str, Crowd] = {}
        self._untold: dict[str, None] = {}
        self._due = asyncio.Event()
        self._telling: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to count."""
        self._hub.on_reader = self._on_reader
        if self._fleet is not None:
            self._telling = asyncio.create_task(self._tell_on(self._fleet), name="tailrace presence")

    async def close(self, patience: float) -> None:
        """Say that nobody views anything here any more, within `patience` seconds; what is not said expires."""
        self._hub.on_reader = None
        if self._telling is None or self._fleet is None:
            return
        self._telling.cancel()
        with contextlib.suppress(StoreError, TimeoutError):
            async with asyncio.timeout(patience):
                await self._fleet.tell_viewers(dict.fromkeys([*self._viewers, *self._untold], ""))

    async def viewers(self, channel: str) -> Viewers:
        """Who views a channel now. Raises `InvalidName`, `StoreUnavailable`."""
        name = log_of(channel)
        return self._here(name) + await self._elsewhere(name)

    def counts(self, channel: str) -> AsyncGenerator[int]:
        """Yield how many view a channel: now, and whenever that has changed. Raises `InvalidName`.

        A change elsewhere is seen within about a second; changes that follow each other quickly come as one.
        """
        return self._counts(log_of(channel))

    async def _counts(self, name: str) -> AsyncGenerator[int]:
        crowd = self._crowds.get(name)
        if crowd is None:
            others = None if self._fleet is None else partial(self._count_elsewhere, name)
            crowd = self._crowds[name] = Crowd(lambda: len(self._viewers.get(name, ())), others)
        try:
            async with contextlib.aclosing(crowd.follow()) as counts:
                async for count in counts:
                    yield count
        finally:
            if not crowd.followers and self._crowds.get(name) is crowd:
                del self._crowds[name]

    def watched(self, channel: str, grace: float = 10.0) -> AsyncGenerator[bool]:
        """Yield whether anybody views a channel: now, and whenever that changes. Raises `InvalidName`.

        For a producer who is to stop where nobody views. The last viewer counts for `grace` seconds more: most who go
        are on their way back.
        """
        return watched(self.counts(channel), grace)

    # Counting.

    def _on_reader(self, subscription: Subscription, came: bool) -> None:
        for name in _logs_of(subscription.view.tail):
            viewers = self._viewers.setdefault(name, set())
            if came:
                viewers.add(subscription)
            else:
                viewers.discard(subscription)
            if not viewers:
                del self._viewers[name]
            self._on_change(name)

    def _on_change(self, name: str) -> None:
        if self._fleet is not None:
            self._untold[name] = None
            self._due.set()
        crowd = self._crowds.get(name)
        if crowd is not None:
            crowd.tell()

    def _here(self, name: str) -> Viewers:
        viewers = self._viewers.get(name, ())
        return Viewers(len(viewers), Counter([viewer.reader for viewer in viewers if viewer.reader]))

    async def _count_elsewhere(self, name: str) -> int:
        return (await self._elsewhere(name)).count

    async def _elsewhere(self, name: str) -> Viewers:
        if self._fleet is None:
            return Viewers()
        said = await self._fleet.viewers(name)
        others = [
            words for instance, words in said.items() if instance != self._fleet.name and not self._gone(instance)
        ]
        return sum(map(_read, others), Viewers())

    # Telling the others.

    async def _tell_on(self, fleet: Fleet) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(VIEWERS_KEPT / 3):
                    await self._due.wait()
            if not self._due.is_set():
                self._untold = dict.fromkeys(self._viewers)
            await asyncio.sleep(_PAUSE)
            self._due.clear()
            backoff = Backoff()
            while self._untold:
                try:
                    await self._tell(fleet)
                except StoreUnavailable:
                    await asyncio.sleep(backoff.wait())
                except StoreError:
                    log.exception("it cannot be told who views channels here")
                    await asyncio.sleep(VIEWERS_KEPT / 3)

    async def _tell(self, fleet: Fleet) -> None:
        names = [*self._untold][:_AT_ONCE]
        said = {name: _say(self._here(name)) for name in names}
        for name in names:
            del self._untold[name]
        try:
            await fleet.tell_viewers(said)
        except BaseException:
            self._untold |= dict.fromkeys(names)
            raise


def _logs_of(tail: Tail) -> Iterable[str]:
    return [member.log for member in tail.members] if isinstance(tail, Confluence) else (tail.log,)


def _say(viewers: Viewers) -> str:
    if not viewers.count:
        return ""
    names = dict(Counter(viewers.names).most_common(_NAMES))
    return json.dumps([viewers.count, names], ensure_ascii=False, separators=(",", ":"))


def _read(words: str) -> Viewers:
    """What another instance said; one of another release may say it in other words, and is not counted then."""
    try:
        count, names = json.loads(words)
        return Viewers(int(count), {str(name): int(number) for name, number in names.items()})
    except (ValueError, TypeError, AttributeError):
        return Viewers()
