"""Runs without a network: a hub over memory, and viewers that take every byte.

    async with House() as house:
        run = await house.start(producer)
        viewer = await house.view(run.id)
        await viewer.ended()
        assert viewer.text == "Hello"

Leaving the block fails where something was left behind: a task, a tail, a subscription, a timer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Self

from tailrace.clock import Clock
from tailrace.hub import Consumer, Framing, Hub, Reading
from tailrace.log import Coordination, MemoryCoordination, MemoryStore, Store
from tailrace.log.fleet import Fleet
from tailrace.runs import Producer, Run, RunOptions, Runs
from tailrace.sse import Decoder, Event
from tailrace.testing import FakeClock
from tests.support.waiting import eventually

__all__ = ["House", "Viewer"]


class Viewer:
    """A sink that is never full, and the reader behind it."""

    framing = Framing.PLAIN
    ready = True

    def __init__(self, reading: Reading) -> None:
        self.data = bytearray(reading.prelude)
        self.finished = asyncio.Event()
        self.aborted = False
        self._consumer: Consumer | None = None
        reading.begin(self.framing).bind(self)

    @property
    def events(self) -> list[Event]:
        """What it has read so far."""
        return Decoder().receive(bytes(self.data))

    @property
    def names(self) -> list[str]:
        """The types of what it has read."""
        return [event.event for event in self.events]

    @property
    def text(self) -> str:
        """The answer's text, as far as it has read it."""
        return "".join([self.said(event)["text"] for event in self.events if event.event in {"message", "snapshot"}])

    @property
    def error(self) -> dict[str, Any]:
        """What its `error` event says."""
        (error,) = [self.said(event)["error"] for event in self.events if event.event == "error"]
        return dict(error)

    @staticmethod
    def said(event: Event) -> dict[str, Any]:
        """An event's data."""
        return dict(json.loads(event.data))

    async def ended(self) -> None:
        """Wait for the end of the stream."""
        async with asyncio.timeout(10):
            await self.finished.wait()

    async def saw(self, event: str) -> None:
        """Wait for an event of this type."""
        async with asyncio.timeout(10):
            await eventually(lambda: event in self.names)

    def leave(self) -> None:
        """Go away."""
        assert self._consumer is not None
        self._consumer.on_closed("gone")

    # As a sink.

    def bind(self, consumer: Consumer) -> None:
        self._consumer = consumer

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)

    def queue(self, rest: bytes | memoryview) -> bool:
        raise AssertionError("it took everything")

    def backlog(self) -> int:
        return 0

    def acknowledged(self) -> int:
        return len(self.data)

    def settle(self) -> None:
        pass

    def finish(self) -> None:
        self.finished.set()

    def abort(self) -> None:
        self.aborted = True
        self.finished.set()


class House:
    """A hub and its runs, with time that stands still unless `clock` says otherwise."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        store: Store | None = None,
        coordination: Coordination | None = None,
        fleet: Fleet | None = None,
    ) -> None:
        self.clock = clock if isinstance(clock, FakeClock) else FakeClock()
        used = clock or self.clock
        self.store = store or MemoryStore(clock=used)
        self.hub = Hub(self.store, clock=used)
        self.runs = Runs(self.hub, coordination or MemoryCoordination(used), fleet)

    async def start(self, producer: Producer, **options: Any) -> Run:
        """Start a run that goes on unwatched, unless the options say otherwise."""
        return await self.runs.start(producer, RunOptions(**{"grace": None, **options}))

    async def view(self, run: str, cursor: str | None = None, *, snapshot: bool = False) -> Viewer:
        """Read a run, which must have something to read."""
        reading = await self.runs.read(run, None, cursor, snapshot=snapshot)
        assert reading is not None
        return Viewer(reading)

    async def whole(self, run: str) -> Viewer:
        """Read a run to its end."""
        viewer = await self.view(run)
        await viewer.ended()
        return viewer

    def pass_time(self, seconds: float) -> None:
        """Let the clock go on, and call whoever is due."""
        self.clock.advance(seconds)
        self.hub.wheel.advance()

    async def settled(self, condition: Callable[[], object]) -> None:
        """Wait for a condition that no event tells."""
        async with asyncio.timeout(10):
            await eventually(condition)

    @property
    def left(self) -> list[object]:
        """Whatever of runs and readers is still here."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        tasks = [task for task in others if task.get_name().startswith("run ")]
        waiting = [len(self.hub.wheel)] if len(self.hub.wheel) else []
        return [*tasks, *self.hub.subscriptions, *self.hub._tails, *self.runs.live, *self.runs._tasks._tasks, *waiting]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        if error[0] is None:
            await self.runs._writer.flush()
            for _ in range(20):
                await asyncio.sleep(0)
            assert not self.left
        await self.runs.close(1)
        self.hub.wheel.close()
