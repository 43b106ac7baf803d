"""Runs in a fleet, by property: whatever happens to instances and viewers, everybody reads one story with one end."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.errors import StoreUnavailable
from tailrace.hub import Tail
from tailrace.log import RESERVED
from tailrace.log.backoff import Backoff
from tailrace.runs import Item
from tailrace.sse import Event
from tests.support.instances import Instances, Member
from tests.support.viewers import Viewer

TURNS = 40


class Client:
    """Reads a run as a good client does: it keeps its cursor, and comes back on whichever instance it is sent to."""

    def __init__(self) -> None:
        self.cursor: str | None = None
        self.pieces: list[int] = []
        self.end: list[Event] = []
        self._viewer: Viewer | None = None
        self._taken = 0

    async def attach(self, member: Member, run: str) -> None:
        """Come (back) to an instance."""
        self.leave()
        reading = await member.runs.read(run, None, self.cursor)
        if reading is None:
            assert self.end, "it was told that it has everything"
        else:
            self._viewer, self._taken = Viewer(reading), 0

    def leave(self) -> None:
        """Go away, with what has come by now."""
        viewer, self._viewer = self._viewer, None
        if viewer is not None:
            self._take(viewer)
            if not viewer.finished.is_set():
                viewer.leave()

    @property
    def ended(self) -> bool:
        """Whether it has read the end."""
        if self._viewer is not None:
            self._take(self._viewer)
        return len(self.end) == 2

    def _take(self, viewer: Viewer) -> None:
        events = viewer.events
        for event in events[self._taken :]:
            self._hear(event)
        self._taken = len(events)

    def _hear(self, event: Event) -> None:
        assert not self.ended_by(event), "something came after the end"
        self.cursor = event.id or self.cursor
        match event.event:
            case "message":
                self.pieces.append(int(json.loads(event.data)["text"]))
            case "resume":
                if not json.loads(event.data)["recovered"]:
                    self.pieces.clear()  # it is read once more, from the start
            case "error" | "finish" | "done":
                self.end.append(event)
            case other:
                assert other == "start", other

    def ended_by(self, event: Event) -> bool:
        """Whether the last event was there before this one."""
        return len(self.end) == 2 and event.event != "resume"


class Story:
    """A producer that says the next number when it is told to, and comes to its end."""

    def __init__(self) -> None:
        self.words: asyncio.Queue[str | None] = asyncio.Queue()
        self.said = 0
        self.over = False

    async def __call__(self) -> AsyncIterator[Item]:
        while (word := await self.words.get()) is not None:
            yield word

    def say(self) -> None:
        """Say one more."""
        if not self.over:
            self.words.put_nowait(str(self.said))
            self.said += 1

    def finish(self) -> None:
        """Come to the end."""
        self.over = True
        self.words.put_nowait(None)


_who = st.integers(0, 2)
_steps = st.one_of(
    st.tuples(st.just("say"), st.integers(1, 60), _who),
    st.tuples(st.just("hop"), _who, _who),
    st.tuples(st.just("leave"), _who, _who),
    st.tuples(st.just("away"), _who, st.integers(0, 7)),
    st.tuples(st.just("frozen"), _who, st.integers(0, 7)),
    st.tuples(st.just("wait"), st.integers(1, 9), _who),
    st.tuples(st.just("cancel"), _who, _who),
    st.tuples(st.just("finish"), _who, _who),
)


async def end_of(tail: Tail) -> bool:
    """Wait for an answer to a letter, by the clock of the fleet."""
    clock = tail.hub.clock
    until = clock.monotonic() + 2
    while not tail.ended and clock.monotonic() < until:  # noqa: ASYNC110  # the clock tells nobody
        await asyncio.sleep(0)
    return tail.ended


async def turns(count: int = TURNS) -> None:
    """Let what is under way go on."""
    for _ in range(count):
        await asyncio.sleep(0)


class World:
    """Three instances, the first of which produces a run, and a reader that begins on each."""

    def __init__(self) -> None:
        self.fleet = Instances("a", "b", "c")
        self.members = self.fleet.members
        self.story = Story()
        self.clients = [Client() for _ in self.members]
        self.cancels: list[asyncio.Task[Any]] = []
        self.run = ""

    async def begin(self) -> None:
        await self.fleet.__aenter__()
        self.run = (await self.members[0].start(self.story, grace=1000)).id
        await self._attach_all()

    async def _attach_all(self) -> None:
        for client, member in zip(self.clients, self.members, strict=True):
            await client.attach(member, self.run)

    async def say(self, count: int, _: int) -> None:
        for _ in range(count):
            self.story.say()

    async def hop(self, who: int, whither: int) -> None:
        await self.clients[who].attach(self.members[whither], self.run)

    async def leave(self, who: int, _: int) -> None:
        self.clients[who].leave()

    async def away(self, who: int, seconds: int) -> None:
        self.members[who].line.away = True
        await self.fleet.pass_time(seconds)
        self.members[who].line.away = False

    async def frozen(self, who: int, seconds: int) -> None:
        self.members[who].frozen = True
        await self.fleet.pass_time(seconds)
        self.members[who].frozen = False

    async def wait(self, seconds: int, _: int) -> None:
        await self.fleet.pass_time(seconds)

    async def cancel(self, where: int, _: int) -> None:
        self.cancels.append(asyncio.create_task(self.members[where].runs.cancel(self.run, None)))

    async def finish(self, *_: int) -> None:
        self.story.finish()

    async def end(self) -> None:
        """Let everybody read to the end, and hold the readers against each other."""
        self.story.finish()
        await self.fleet.pass_time(12)
        await self._attach_all()
        async with asyncio.timeout(5):
            while [client for client in self.clients if not client.ended]:
                await self.fleet.pass_time(1)
        for outcome in await asyncio.gather(*self.cancels, return_exceptions=True):
            assert not isinstance(outcome, BaseException) or isinstance(outcome, StoreUnavailable), outcome
        check(self.clients, self.run, self.story.said)
        statuses = {(await member.runs.summary(self.run, None)).status for member in self.members}
        assert len(statuses) == 1, "it ended in one way"
        await self.fleet.__aexit__(None)


async def live_through(steps: list[tuple[str, int, int]]) -> None:
    """Have all this happen to a world, then end it."""
    world = World()
    await world.begin()
    for what, one, two in steps:
        await getattr(world, what)(one, two)
        await turns()
    await world.end()


def check(clients: list[Client], run: str, said: int) -> None:
    """Nothing is lost, nothing comes twice, and the end is one."""
    first = clients[0].end
    for client in clients:
        assert client.pieces == list(range(len(client.pieces))), "lost, repeated or out of order"
        assert client.end == first, "two ends"
        if first[0].event == "finish":
            assert len(client.pieces) == said, "a part of it, told as the whole"
    assert first[1].event == "done"
    offset = int(first[1].id.removeprefix(f"{run}-"))
    assert offset < RESERVED or offset == RESERVED + 2


@settings(max_examples=60)
@given(st.lists(_steps, max_size=12))
def test_everybody_reads_one_story_with_one_end(steps: list[tuple[str, int, int]]) -> None:
    logging.disable()
    try:
        with (
            mock.patch.object(Backoff, "wait", return_value=0.0),
            mock.patch("tailrace.runs.readers._CATCH_UP", 0.02),
            mock.patch("tailrace.runs.elsewhere._end_of", end_of),
        ):
            asyncio.run(live_through(steps))
    finally:
        logging.disable(logging.NOTSET)
