"""Between the store and its servers: calls wait in one queue, and leave together.

What is called within a tick of the loop, or while a pipeline is under way, leaves as one pipeline. A call that
meets no answer is made again, until its time is over: every script may be repeated. So a caller waits about two
seconds for a store that is away, and then is told; and where too much waits already, at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from itertools import count, islice
from typing import Any, Final, NamedTuple

from redis.exceptions import NoScriptError

from tailrace.clock import SYSTEM, Clock
from tailrace.errors import StoreError, StoreUnavailable
from tailrace.log.backoff import Backoff
from tailrace.log.redis.replies import NotNow
from tailrace.log.redis.scripts import Script
from tailrace.log.redis.servers import Command, Servers

__all__ = ["Call", "Calls", "Word"]

log = logging.getLogger("tailrace")

Word = str | bytes | int

_PATIENCE: Final = 2.0
"""Seconds that a caller waits for a store that is away."""
_UNDER_WAY: Final = 2
"""Pipelines under way: while the server works on one, the next is on its way to it."""
_PIPELINE_CALLS: Final = 1000
_PIPELINE_BYTES: Final = 1_048_576
"""About what a pipeline holds at most, so that its replies are not late because of its size."""
_WAITING_CALLS: Final = 20_000
_WAITING_BYTES: Final = 67_108_864
"""What may wait: some seconds of all that a process can say. More would be memory without a bound."""
_REFUSED_REST: Final = 0.1
"""Seconds after which a call is made again that a server would not take."""
_LONGEST_REST: Final = 1.0
"""Seconds between attempts at most: when it is back the store must be used well before anybody counts as dead."""


class Call(NamedTuple):
    """A command, or a script where there is one; the first key says which server it is for."""

    script: Script | None
    keys: Sequence[str]
    arguments: Sequence[Word] = ()

    def command(self, *, load: bool = False) -> Command:
        """The call as the server takes it; with `load` the server learns the script at once."""
        script, keys, arguments = self
        if script is None:
            return Command(keys[0], (*arguments,))
        how = ("EVAL", script.source) if load else ("EVALSHA", script.digest)
        return Command(keys[0], (*how, len(keys), *keys, *arguments))


class _Group:
    """Calls that are made together, in order, and whoever waits for their replies."""

    __slots__ = ("calls", "future", "number", "size", "timer", "told")

    def __init__(self, calls: Sequence[Call], size: int, number: int, future: asyncio.Future[list[Any]]) -> None:
        self.calls = calls
        self.size = size
        self.number = number
        self.future = future
        self.timer: asyncio.TimerHandle | None = None
        self.told = "the store does not answer"

    @property
    def writes(self) -> bool:
        """Whether these show that the store takes what is written."""
        return any(call.script is not None and call.script.writes for call in self.calls)


class Calls:
    """The calls of one process.

    `failing_since` is when the store began to take nothing, in seconds since the epoch; None while it does.
    `failures` counts pipelines without an answer and `latency` is what the last one took, in seconds.
    """

    def __init__(self, servers: Servers, clock: Clock = SYSTEM) -> None:
        self._servers = servers
        self._clock = clock
        self._queue: deque[_Group] = deque()
        self._numbers = count()
        self._size = 0
        self._open = False
        self._scheduled = False
        self._under_way: set[asyncio.Task[None]] = set()
        self._resting: asyncio.TimerHandle | None = None
        self._backoff: Backoff | None = None
        self._away_since: float | None = None
        self._refused_since: float | None = None
        self.waiting = 0
        self.failures = 0
        self.latency = 0.0

    @property
    def failing_since(self) -> float | None:
        """Since when nobody answers, or what is written is refused, in seconds since the epoch."""
        return min(filter(None, (self._away_since, self._refused_since)), default=None)

    async def call(self, script: Script | None, keys: Sequence[str], *arguments: Word) -> Any:
        """Call one script or command; its reply. Raises `StoreUnavailable`, `StoreError`."""
        return (await self.run((Call(script, keys, arguments),)))[0]

    async def run(self, calls: Sequence[Call], size: int | None = None) -> list[Any]:
        """Call all of these, in order where they go to the same server; their replies. `size` is theirs, in bytes.

        Raises `StoreUnavailable` if any has none in time, or is refused for now; `StoreError` for any other fault.
        """
        if not calls:
            return []
        if not self._open:
            raise StoreUnavailable("the store is not open: use Tailrace.lifespan, or start and close, around it")
        if size is None:
            size = sum([len(word) for _, _, words in calls for word in words if not isinstance(word, int)])
        if self.waiting and (self.waiting + len(calls) > _WAITING_CALLS or self._size + size > _WAITING_BYTES):
            raise StoreUnavailable("the store is behind: too much waits for it already")
        loop = asyncio.get_running_loop()
        group = _Group(calls, size, next(self._numbers), loop.create_future())
        group.timer = loop.call_later(_PATIENCE, self._give_up, group)
        self._queue.append(group)
        self.waiting += len(calls)
        self._size += size
        self._schedule()
        try:
            return await group.future
        finally:
            group.timer.cancel()
            self.waiting -= len(calls)
            self._size -= size

    def _give_up(self, group: _Group) -> None:
        if not group.future.done():
            if self._open and self._refused_since is None:
                self._note_away(group.told)
            group.future.set_exception(StoreUnavailable(group.told))

    def _note_away(self, told: str) -> None:
        if self._away_since is None:
            self._away_since = self._clock.time()
            log.error("the store is away: %s", told)

    def open(self) -> None:
        """Take calls from now on."""
        self._open = True

    async def close(self) -> None:
        """Give up whatever waits, and take no more."""
        self._open = False
        if self._resting is not None:
            self._resting.cancel()
        for task in self._under_way:
            task.cancel()
        if self._under_way:
            await asyncio.wait(self._under_way)
        for group in self._queue:
            self._give_up(group)
        self._queue.clear()

    # Sending.

    def _schedule(self) -> None:
        if self._open and not self._scheduled and self._resting is None:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._send)

    def _send(self) -> None:
        self._scheduled = False
        # A store that is away is asked with one pipeline at a time.
        while len(self._under_way) < (_UNDER_WAY if self._backoff is None else 1) and (groups := self._take()):
            task = asyncio.get_running_loop().create_task(self._perform(groups))
            self._under_way.add(task)
            task.add_done_callback(self._performed)

    def _performed(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            self._schedule()

    def _take(self) -> list[_Group]:
        """What is to leave next; whoever does not wait any more is passed over."""
        groups: list[_Group] = []
        calls = size = 0
        queue = self._queue
        while queue and not (groups and (calls > _PIPELINE_CALLS or size > _PIPELINE_BYTES)):
            group = queue.popleft()
            if not group.future.done():
                groups.append(group)
                calls += len(group.calls)
                size += group.size
        return groups

    async def _perform(self, groups: Sequence[_Group]) -> None:
        try:
            replies = await self._ask(groups)
            unknown = []
            for group, told in zip(groups, replies, strict=True):
                if _is_unknown(told):
                    unknown.append(group)
                else:
                    self._settle(group, told)
            if unknown:
                for group, told in zip(unknown, await self._ask(unknown, load=True), strict=True):
                    self._settle(group, told)
        except StoreUnavailable as error:
            self._on_silence(groups, error)
        except asyncio.CancelledError:
            for group in groups:
                self._give_up(group)
            raise
        except Exception as error:
            log.exception("the store's servers could not be asked")
            for group in groups:
                _fail(group, StoreError(f"the store failed: {error}"))

    async def _ask(self, groups: Sequence[_Group], *, load: bool = False) -> list[list[Any]]:
        """The replies to each group."""
        commands = [call.command(load=load) for group in groups for call in group.calls]
        begun = self._clock.monotonic()
        replies = iter(await self._servers.run(commands))
        self.latency = self._clock.monotonic() - begun
        self._on_answer()
        return [list(islice(replies, len(group.calls))) for group in groups]

    def _settle(self, group: _Group, replies: list[Any]) -> None:
        error = next((reply for reply in replies if isinstance(reply, Exception)), None)
        if error is None:
            if self._refused_since is not None and group.writes:
                self._refused_since = None
                log.warning("the store takes what is written again")
            if not group.future.done():
                group.future.set_result(replies)
        elif isinstance(error, NotNow):
            self._on_refusal(group, error)
        else:
            _fail(group, StoreError(f"the store failed: {error}"))

    def _on_refusal(self, group: _Group, error: NotNow) -> None:
        """Ask again in a moment, and let the others go on: it may be one server of many that refuses."""
        if self._refused_since is None:
            self._refused_since = self._clock.time()
            log.error("the store takes nothing: %s", error)
        group.told = f"the store takes nothing now: {error}"
        asyncio.get_running_loop().call_later(_REFUSED_REST, self._again, group)

    def _again(self, group: _Group) -> None:
        if not group.future.done():
            self._queue.appendleft(group)
            self._schedule()

    # Away and back.

    def _on_answer(self) -> None:
        self._backoff = None
        if self._away_since is not None:
            self._away_since = None
            log.warning("the store answers again")

    def _on_silence(self, groups: Sequence[_Group], error: StoreUnavailable) -> None:
        self.failures += 1
        self._note_away(str(error))
        for group in groups:
            group.told = str(error)
        left = [group for group in groups if not group.future.done()]
        # Of two pipelines under way either may fail first: the order is that of the calls.
        self._queue = deque(sorted([*left, *self._queue], key=lambda group: group.number))
        if self._resting is None:
            self._backoff = self._backoff or Backoff(longest=_LONGEST_REST)
            self._resting = asyncio.get_running_loop().call_later(self._backoff.wait(), self._rested)

    def _rested(self) -> None:
        self._resting = None
        self._schedule()


def _is_unknown(replies: Sequence[Any]) -> bool:
    """Whether the server did not know a script: then all of the group is called again, in its order."""
    return any(isinstance(reply, NoScriptError) for reply in replies)


def _fail(group: _Group, error: StoreError) -> None:
    if not group.future.done():
        group.future.set_exception(error)
