"""Between the store and its servers: calls wait for their turn, and leave together.

What is called within a tick of the loop, or while a pipeline is under way, leaves as one pipeline, the fleet's
calls before all others. A call that meets no answer is made again, until its time is over: every script may be
repeated. So a caller waits about two seconds for a store that is away, and then is told; and where too much waits
already, or has to wait too long, at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from enum import IntEnum
from itertools import count, islice
from typing import Any, Final, NamedTuple

from redis.exceptions import NoScriptError

from tailrace.clock import SYSTEM, Clock
from tailrace.errors import StoreError, StoreUnavailable
from tailrace.log.backoff import Backoff
from tailrace.log.redis.replies import REFUSALS
from tailrace.log.redis.scripts import Script
from tailrace.log.redis.servers import Command, Servers

__all__ = ["Call", "Calls", "Turn", "Word"]

log = logging.getLogger("tailrace")

Word = str | bytes | int

_PATIENCE: Final = 2.0
"""Seconds that a caller waits for a store that is away."""
_UNDER_WAY: Final = 2
"""Pipelines under way: while the server works on one, the next is on its way to it."""
_PIPELINE_CALLS: Final = 1000
_PIPELINE_BYTES: Final = 1_048_576
"""About what a pipeline holds at most, so that its replies are not late because of its size."""
_WAITING_CALLS: Final = 8000
_WAITING_BYTES: Final = 16_777_216
"""What may wait of each turn: as much as a process says in well under its patience, so that whoever is let in gets
through. With twice as much 20,000 publishers at once all waited in vain, again and again."""
_BEHIND: Final = 0.5
"""Seconds that what is published may wait for its turn while the store answers: who comes later is better told at
once than when its patience is over."""
_REFUSED_REST: Final = 0.1
"""Seconds after which a call is made again that a server would not take."""
_REFUSED_FOR: Final = 5.0
"""Seconds after which a refusal that does not come again is over, though it was something else that was taken since."""
_LONGEST_REST: Final = 1.0
"""Seconds between attempts at most: when it is back the store must be used well before anybody counts as dead."""


class Turn(IntEnum):
    """What leaves before what. Of each that waits some leaves with every pipeline, so that none waits for ever."""

    FLEET = 0
    """Beats, letters, looks and ends: few, and an instance whose beats are late counts as dead."""
    RUNS = 1
    """What producers say, and all else that is short and that somebody waits for."""
    EVENTS = 2
    """What is published."""
    PAGES = 3
    """What is read of the past."""
    LIMITS = 4
    """Whether callers are within their limits: an answer that is late is done without."""


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

    __slots__ = ("calls", "future", "number", "queued", "size", "timer", "told", "turn", "under_way")

    def __init__(self, calls: Sequence[Call], size: int, turn: Turn, number: int) -> None:
        loop = asyncio.get_running_loop()
        self.calls = calls
        self.size = size
        self.turn = turn
        self.number = number
        self.future: asyncio.Future[list[Any]] = loop.create_future()
        self.queued = loop.time()
        self.timer: asyncio.TimerHandle | None = None
        self.told = ""  # why it has no reply yet, by the servers' word
        self.under_way = False

    @property
    def written(self) -> frozenset[Script]:
        """The scripts among these that show, by being performed, that the store takes what is written."""
        return frozenset([call.script for call in self.calls if call.script is not None and call.script.writes])


class _Queue:
    """The groups of one turn: those that have not left yet, and how much there is of all that have no reply."""

    __slots__ = ("calls", "groups", "size")

    def __init__(self) -> None:
        self.groups: deque[_Group] = deque()
        self.calls = 0
        self.size = 0

    @property
    def oldest(self) -> _Group | None:
        """Who waits here first; whoever does not wait any more is let go."""
        while self.groups and self.groups[0].future.done():
            self.groups.popleft()
        return self.groups[0] if self.groups else None

    def has_room(self, calls: int, size: int) -> bool:
        """Whether so much more may wait; one of any size may."""
        return not self.calls or (self.calls + calls <= _WAITING_CALLS and self.size + size <= _WAITING_BYTES)

    def put_back(self, groups: Sequence[_Group]) -> None:
        """Take in again what met no answer. Of two pipelines either may fail first: the order is that of the calls."""
        for group in groups:
            group.under_way = False
        self.groups = deque(sorted([*groups, *self.groups], key=lambda group: group.number))


class Calls:
    """The calls of one process.

    `failing_since` is when the store began to take nothing, in seconds since the epoch; None while it does.
    `failures` counts pipelines without an answer and `latency` is what the last one took, in seconds.
    """

    def __init__(self, servers: Servers, clock: Clock = SYSTEM) -> None:
        self._servers = servers
        self._clock = clock
        self._queues = tuple(_Queue() for _ in Turn)
        self._numbers = count()
        self._open = False
        self._scheduled = False
        self._under_way: set[asyncio.Task[None]] = set()
        self._resting: asyncio.TimerHandle | None = None
        self._backoff: Backoff | None = None
        self._away_since: float | None = None
        self._refused_since: float | None = None
        self._refused: frozenset[Script] = frozenset()  # what was refused last,
        self._refused_at = 0.0  # and when, on the loop's clock
        self.failures = 0
        self.latency = 0.0

    @property
    def failing_since(self) -> float | None:
        """Since when nobody answers, or what is written is refused, in seconds since the epoch."""
        return min(filter(None, (self._away_since, self._refused_since)), default=None)

    @property
    def waiting(self) -> int:
        """Calls that have no reply yet."""
        return sum([queue.calls for queue in self._queues])

    async def call(self, script: Script | None, keys: Sequence[str], *arguments: Word, turn: Turn = Turn.RUNS) -> Any:
        """Call one script or command; its reply. Raises `StoreUnavailable`, `StoreError`."""
        return (await self.run((Call(script, keys, arguments),), turn=turn))[0]

    async def run(
        self, calls: Sequence[Call], size: int | None = None, turn: Turn = Turn.RUNS, patience: float = _PATIENCE
    ) -> list[Any]:
        """Call all of these, in order where they go to the same server; their replies.

        `size` is theirs, in bytes, or that of their replies where that is more. `patience` is in seconds.

        Raises `StoreUnavailable` if any has none in time, or is refused for now; `StoreError` for any other fault.
        """
        if not calls:
            return []
        if not self._open:
            raise StoreUnavailable("the store is not open: use Tailrace.lifespan, or start and close, around it")
        if size is None:
            size = sum([len(word) for _, _, words in calls for word in words if not isinstance(word, int)])
        self.admit(turn, len(calls), size)
        queue = self._queues[turn]
        group = _Group(calls, size, turn, next(self._numbers))
        group.timer = asyncio.get_running_loop().call_later(patience, self._give_up, group)
        queue.groups.append(group)
        queue.calls += len(calls)
        queue.size += size
        self._schedule()
        try:
            return await group.future
        finally:
            group.timer.cancel()
            queue.calls -= len(calls)
            queue.size -= size

    def admit(self, turn: Turn, calls: int = 1, size: int = 0) -> None:
        """Raise `StoreUnavailable` where so much more may not wait."""
        queue = self._queues[turn]
        if not queue.has_room(calls, size) or (turn is Turn.EVENTS and self._is_behind(queue)):
            raise StoreUnavailable("the store is behind: too much waits for it already")

    def _is_behind(self, queue: _Queue) -> bool:
        """Whether a store that answers does not get to what waits. One that is away may be back in a moment.

        What leaves as one pipeline is no backlog: then it was the loop that was busy.
        """
        if self._away_since is not None or not (queue.calls > _PIPELINE_CALLS or queue.size > _PIPELINE_BYTES):
            return False
        if (oldest := queue.oldest) is None:
            return False
        return asyncio.get_running_loop().time() - oldest.queued > _BEHIND

    def _give_up(self, group: _Group) -> None:
        if group.future.done():
            return
        # Whether it is away is the servers' to say, who know when they heard of it last: here the loop may be busy.
        late = "the store does not answer" if group.under_way or self._away_since else "the store is behind"
        group.future.set_exception(StoreUnavailable(group.told or late))

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
        for queue in self._queues:
            for group in queue.groups:
                self._give_up(group)
            queue.groups.clear()

    # Sending.

    def _schedule(self) -> None:
        if self._open and not self._scheduled and self._resting is None:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._send)

    def _send(self) -> None:
        self._scheduled = False
        while len(self._under_way) < self._allowed and (groups := self._take()):
            task = asyncio.get_running_loop().create_task(self._perform(groups))
            self._under_way.add(task)
            task.add_done_callback(self._performed)

    @property
    def _allowed(self) -> int:
        """How many pipelines may be under way: of a store that is away one is asked; the fleet waits for none."""
        if self._backoff is not None:
            return 1
        return _UNDER_WAY + (self._queues[Turn.FLEET].oldest is not None)

    def _performed(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            self._schedule()

    def _take(self) -> list[_Group]:
        """What is to leave next: in turn, as much as a pipeline holds, and one of each at least."""
        groups: list[_Group] = []
        calls = size = 0
        for queue in self._queues:
            waiting, first = queue.groups, True
            while waiting and (first or (calls <= _PIPELINE_CALLS and size <= _PIPELINE_BYTES)):
                group = waiting.popleft()
                if not group.future.done():  # else whoever waited has left
                    group.under_way = True
                    groups.append(group)
                    calls += len(group.calls)
                    size += group.size
                    first = False
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
            if self._refused_since is not None:
                self._on_taken(group.written)
            if not group.future.done():
                group.future.set_result(replies)
        elif isinstance(error, REFUSALS):
            self._on_refusal(group, error)
        else:
            _fail(group, StoreError(f"the store failed: {error}"))

    def _on_refusal(self, group: _Group, error: Exception) -> None:
        """Ask again in a moment, and let the others go on: it may be one server of many that refuses."""
        self._refused, self._refused_at = group.written, asyncio.get_running_loop().time()
        if self._refused_since is None:
            self._refused_since = self._clock.time()
            log.error("the store takes nothing: %s", error)
        group.told = f"the store takes nothing now: {error}"
        asyncio.get_running_loop().call_later(_REFUSED_REST, self._again, group)

    def _on_taken(self, written: frozenset[Script]) -> None:
        """Note that what is written is taken again, where these show it: rights may lack for one script alone."""
        over = asyncio.get_running_loop().time() - self._refused_at > _REFUSED_FOR
        if written & self._refused or (written and over):
            self._refused_since = None
            log.warning("the store takes what is written again")

    def _again(self, group: _Group) -> None:
        if not group.future.done():
            group.queued, group.under_way = asyncio.get_running_loop().time(), False
            self._queues[group.turn].groups.appendleft(group)
            self._schedule()

    # Away and back.

    def _on_answer(self) -> None:
        self._backoff = None
        if self._away_since is not None:
            self._away_since = None
            log.warning("the store answers again")

    def _on_silence(self, groups: Sequence[_Group], error: StoreUnavailable) -> None:
        self.failures += 1
        if self._away_since is None:
            self._away_since = self._clock.time()
            log.error("the store is away: %s", error)
        for group in groups:
            group.told = str(error)
        for turn, queue in zip(Turn, self._queues, strict=True):
            if left := [group for group in groups if group.turn is turn and not group.future.done()]:
                queue.put_back(left)
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
