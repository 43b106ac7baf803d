"""Several instances in one process, over one store in memory, with time that stands still unless it is told to pass.

    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        run = await a.start(producer)
        viewer = await b.view(run.id)
        a.frozen = True
        await fleet.pass_time(7)         # beats, letters and reaping of whoever is not frozen
        await viewer.ended()

What a real store may do to them can be done by hand: be away for one of them, lose a log, go back.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Self

from tailrace.errors import LogEnded, StoreUnavailable
from tailrace.log import (
    RESERVED,
    Batch,
    Entry,
    Follower,
    Head,
    MemoryCoordination,
    MemoryStore,
    NewState,
    Page,
    Position,
    Record,
    Snapshot,
)
from tailrace.log.fleet import Beat, Roster
from tailrace.log.history import History
from tailrace.observe import Counters
from tailrace.runs.membership import Membership
from tailrace.testing import FakeClock
from tests.support.viewers import House

__all__ = ["Instances", "Line", "Member", "Sea"]


class Sea(MemoryStore):
    """What the instances share: logs, which somebody else than their producer can end, and all that a fleet knows."""

    shared = True

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock=clock)
        self.clock = clock
        self.names = MemoryCoordination(clock)
        self.ends: dict[str, list[Record]] = {}
        self.beats: dict[str, Beat] = {}
        self.letters: defaultdict[str, list[str]] = defaultdict(list)
        self.produced: defaultdict[str, set[str]] = defaultdict(set)
        self.watching: defaultdict[str, set[str]] = defaultdict(set)
        self.viewing: defaultdict[str, dict[str, str]] = defaultdict(dict)

    def lose(self, log: str) -> None:
        """Forget a log, as a store does that was restarted empty: nobody is told."""
        self._forget(log)
        self.ends.pop(log, None)

    def go_back(self, log: str, offset: int) -> None:
        """Be as it was when a log had come to `offset`, as a store is that loads a snapshot: nobody is told."""
        found, said = self._logs[log], self._logs[log].history.read(0, offset)
        found.history = History()
        found.history.extend(said)
        found.ended, found.expires = False, None
        self.ends.pop(log, None)

    async def append(self, batches: Sequence[Batch]) -> None:
        """Append, but nothing to what has been ended."""
        ended = [batch.log for batch in batches if batch.log in self.ends]
        taken = [batch for batch in batches if batch.log not in self.ends]
        try:
            await super().append(taken)
        except LogEnded as error:
            ended += error.logs
        if ended:
            raise LogEnded(ended)

    async def head(self, log: str) -> Head | None:
        """Look at a log, with an end that its producer did not write."""
        head, end = await super().head(log), self.ends.get(log)
        if head is None or end is None:
            return head
        first = head.first if head.first <= head.last else end[0].offset
        return Head(head.epoch, first, end[-1].offset, head.meta, ended=True)

    async def read(self, log: str, after: int, limit: int) -> Page | None:
        """Read from a log, that end included."""
        page, head = await super().read(log, after, limit), await self.head(log)
        if page is None or head is None:
            return None
        end = [record for record in self.ends.get(log, ()) if record.offset > after]
        return Page(head, [*page.records, *end][:limit])

    def seal(self, log: str, epoch: str, entries: Sequence[Entry]) -> bool:
        """End a log, once."""
        found = self._find(log)
        if found is None or found.epoch != epoch or found.ended or log in self.ends:
            return False
        now = self.clock.time()
        self.ends[log] = [Record(RESERVED + i, *entry, now) for i, entry in enumerate(entries, 1)]
        for follower in tuple(found.followers):
            follower.on_records(epoch, self.ends[log], ends=True)
        return True


class Line:
    """One instance's way to the sea: its store, its names and its fleet, which may be `away` for it alone."""

    kind = "sea"
    shared = True
    failing_since: float | None = None

    def __init__(self, sea: Sea, name: str) -> None:
        self.sea = sea
        self.name = name
        self.away = False
        self.count = 0
        self.wake: Callable[[], None] = lambda: None

    async def reach(self) -> Sea:
        """Reach the sea, which takes a turn of the loop."""
        await asyncio.sleep(0)
        if self.away:
            raise StoreUnavailable("away")
        return self.sea

    # As a store.

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def create(self, log: str, epoch: str, meta: str, first: Sequence[Record] = ()) -> None:
        await (await self.reach()).create(log, epoch, meta, first)
        self.sea.produced[self.name].add(log)

    async def publish(
        self, log: str, entries: Sequence[Entry], operation: str | None = None, state: NewState | None = None
    ) -> Position:
        return await (await self.reach()).publish(log, entries, operation, state)

    async def snapshot(self, log: str) -> Snapshot:
        return await (await self.reach()).snapshot(log)

    async def append(self, batches: Sequence[Batch]) -> None:
        await (await self.reach()).append(batches)

    async def head(self, log: str) -> Head | None:
        return await (await self.reach()).head(log)

    async def ensure(self, log: str) -> Head:
        return await (await self.reach()).ensure(log)

    async def read(self, log: str, after: int, limit: int) -> Page | None:
        return await (await self.reach()).read(log, after, limit)

    async def drop(self, log: str) -> Head:
        return await (await self.reach()).drop(log)

    def follow(self, log: str, follower: Follower) -> None:
        self.sea.follow(log, follower)

    def unfollow(self, log: str, follower: Follower) -> None:
        self.sea.unfollow(log, follower)

    # As names.

    async def claim(self, name: str, value: str, seconds: float) -> str:
        return await (await self.reach()).names.claim(name, value, seconds)

    async def lookup(self, name: str) -> str | None:
        return await (await self.reach()).names.lookup(name)

    async def extend(self, name: str, seconds: float) -> None:
        await (await self.reach()).names.extend(name, seconds)

    async def release(self, name: str, value: str | None = None) -> None:
        await (await self.reach()).names.release(name, value)

    # As a fleet.

    async def beat(self, *, leaving: bool = False) -> Roster:
        sea = await self.reach()
        self.count += 1
        sea.beats[self.name] = Beat(self.count, leaving)
        return Roster(dict(sea.beats), sea.letters.pop(self.name, []))

    async def resign(self) -> None:
        (await self.reach()).beats.pop(self.name, None)

    async def forget(self, instance: str) -> None:
        sea = await self.reach()
        sea.beats.pop(instance, None)
        sea.produced.pop(instance, None)

    async def send(self, instance: str, letter: str) -> None:
        (await self.reach()).letters[instance].append(letter)

    def on_wake(self, wake: Callable[[], None]) -> None:
        self.wake = wake

    async def produced_by(self, instance: str) -> Sequence[str]:
        return sorted((await self.reach()).produced[instance])

    async def watch(self, log: str) -> None:
        (await self.reach()).watching[log].add(self.name)

    async def unwatch(self, log: str) -> None:
        (await self.reach()).watching[log].discard(self.name)

    async def watchers(self, log: str) -> frozenset[str]:
        return frozenset((await self.reach()).watching[log])

    async def tell_viewers(self, said: Mapping[str, str]) -> None:
        sea = await self.reach()
        for log, words in said.items():
            sea.viewing[log][self.name] = words

    async def viewers(self, log: str) -> Mapping[str, str]:
        return {name: words for name, words in (await self.reach()).viewing[log].items() if words}

    async def seal(
        self, log: str, epoch: str, entries: Sequence[Entry], keep: float | None, meta: str | None = None
    ) -> bool:
        sea = await self.reach()
        if meta is not None and await sea.head(log) is None:
            await sea.create(log, epoch, meta)
        return sea.seal(log, epoch, entries)


class Member(House):
    """An instance. One that is `frozen` gives no beats and notices no time, but what it was told goes on."""

    def __init__(self, sea: Sea, name: str) -> None:
        self.line = Line(sea, name)
        super().__init__(clock=sea.clock, store=self.line, coordination=self.line, fleet=self.line)
        self.name = name
        self.frozen = False

    @property
    def membership(self) -> Membership:
        """Its place in the fleet."""
        assert self.runs._instance is not None
        return self.runs._instance.membership

    def counted(self, name: str) -> float:
        """What this instance counted."""
        assert isinstance(self.hub.meter, Counters)
        return self.hub.meter[name]

    async def round(self) -> None:
        """Beat once."""
        await self.membership.round()

    async def quiet(self) -> None:
        """Wait until nothing is under way here."""
        await self.settled(lambda: not self.runs._tasks._tasks and not self.membership._reaped._tasks)


class Instances:
    """Members of one fleet. Leaving the block fails where one that still lives has left something behind."""

    def __init__(self, *names: str) -> None:
        self.clock = FakeClock()
        self.sea = Sea(self.clock)
        self.members = [Member(self.sea, name) for name in names]

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, second by second, with a round of each member in each."""
        for _ in range(int(seconds)):
            self.clock.advance(1)
            for member in self.members:
                if not member.frozen:
                    await member.round()
                    member.hub.wheel.advance()
            for _ in range(30):
                await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        for _ in range(2):  # with the second beat everybody is known to live
            for member in self.members:
                await member.round()
        return self

    async def __aexit__(self, kind: object, *error: object) -> None:
        for member in self.members:
            await member.__aexit__(kind or member.frozen or None, *error)
