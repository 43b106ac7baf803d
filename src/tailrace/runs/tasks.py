"""What goes on beside requests: tasks that nobody waits for, kept from being collected and heard when they fail."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine

__all__ = ["Tasks"]

log = logging.getLogger("tailrace")


class Tasks:
    """Tasks under way."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Have `work` done beside everything else."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a task of runs failed", exc_info=error)

    async def settle(self, patience: float) -> bool:
        """Wait for what is under way for at most `patience` seconds, and cancel the rest; whether all was done."""
        if not self._tasks:
            return True
        _, late = await asyncio.wait(tuple(self._tasks), timeout=patience)
        for task in late:
            task.cancel()
        return not late

    def cancel(self) -> None:
        """Stop everything."""
        for task in tuple(self._tasks):
            task.cancel()
