"""A thread that does what it is given, all that has come meanwhile as one group.

The loop hands over jobs and gets their futures, the thread hands back whole groups. What a group is for
(one commit, one look) is its performer's matter.

A thread that waits for the interpreter asks for it after 5 ms in which nobody let go of it. A busy event loop
lets go in each of its turns, for a moment that is too short for another thread to wake up in, and so may keep
it for good: measured, a read took up to 10 s. So the loop stands back for a moment now and then while the
thread has something to do; then no read took more than 30 ms.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeVar

__all__ = ["Job", "Worker"]

log = logging.getLogger("tailrace")

Work = TypeVar("Work", bound=Callable[..., Any])
Result = TypeVar("Result")

_PATIENCE = 0.005
"""Seconds that the thread gets before the loop stands back for it, and again after that."""
_MOMENT = 0.00005
"""Seconds to stand back at least: the kernel makes about twice that of it, which is 2 % of the loop's time at most."""
_GROUP = 1000
"""Jobs in a group at most: the first must not wait for all of a flood."""


class Job(Generic[Work]):
    """Something to be done in the thread.

    `then` is called on the loop with the result, before whoever waits goes on.
    """

    __slots__ = ("error", "future", "result", "then", "work")

    def __init__(self, work: Work, future: asyncio.Future[Any], then: Callable[[Any], None] | None) -> None:
        self.work = work
        self.future = future
        self.then = then
        self.result: Any = None
        self.error: Exception | None = None

    def settle(self) -> None:
        """Tell what came of it, on the loop."""
        if self.error is None and self.then is not None:
            try:
                self.then(self.result)
            except Exception:
                log.exception("a follower of a log failed")
        if self.future.done():
            return  # whoever waited has left; it was done all the same
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class Worker(Generic[Work]):
    """The thread. `perform` gives each job of a group its result or its error; what it raises is everybody's.

    Made in a running event loop, whose thread alone may submit.
    """

    def __init__(self, name: str, perform: Callable[[Sequence[Job[Work]]], None]) -> None:
        self._perform = perform
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[Job[Work] | None] = SimpleQueue()
        self._waiting = 0  # jobs whose results are not here yet
        self._nudge: asyncio.TimerHandle | None = None
        # A daemon: an application that forgets to close must be able to end. What it was told is committed.
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Work, then: Callable[[Any], None] | None = None) -> asyncio.Future[Any]:
        """Have `work` done; the future of its result."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._jobs.put(Job(work, future, then))
        self._waiting += 1
        if self._nudge is None:
            self._nudge = self._loop.call_later(_PATIENCE, self._let_run)
        return future

    def _let_run(self) -> None:
        # Whether the thread waits for the interpreter or for the disk, nobody can tell.
        self._nudge = None
        if self._waiting:
            time.sleep(_MOMENT)
            self._nudge = self._loop.call_later(_PATIENCE, self._let_run)

    async def stop(self) -> None:
        """Do what was submitted, then end. Nothing may be submitted from now on."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _settle(self, group: Sequence[Job[Work]]) -> None:
        self._waiting -= len(group)
        for job in group:
            job.settle()

    def _run(self) -> None:
        while group := self._next_group():
            try:
                self._perform(group)
            except Exception as error:  # noqa: BLE001  # whatever it is, somebody waits for it
                for job in group:
                    job.error = error
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._settle, group)

    def _next_group(self) -> list[Job[Work]]:
        """All that is there, once there is something; nothing when it is time to end."""
        group: list[Job[Work]] = []
        job = self._jobs.get()
        while job is not None:
            group.append(job)
            if len(group) == _GROUP:
                return group
            try:
                job = self._jobs.get_nowait()
            except Empty:
                return group
        if group:
            self._jobs.put(None)  # first this group, then the end
        return group
