"""How many answers of one endpoint may be in progress, and the line of those who wait for a place.

The line is bounded in length and in time: past either, who wants a place is told at once to come back
later, instead of waiting unseen. What is done with a place is not known here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Annotated

from msgspec import Meta

from tailrace.chat.checked import Checked
from tailrace.errors import ErrorType, ProviderError

__all__ = ["NO_QUEUE", "Places", "Queue", "Saturated"]

_SOONEST = 1.0
"""Seconds after which to come back at the soonest: a place comes free when an answer ends, and answers take seconds."""


class Queue(Checked, frozen=True, kw_only=True):
    """How many may wait for a place, and how many `seconds` each at most; a `length` of 0 lets nobody wait."""

    length: Annotated[int, Meta(ge=0)] = 1000
    seconds: Annotated[float, Meta(gt=0, le=86_400)] = 5.0


NO_QUEUE = Queue(length=0)


class Saturated(ProviderError):
    """No place came free: a bound of ours, which says nothing about the provider."""

    def __init__(self, text: str, queue: Queue) -> None:
        super().__init__(ErrorType.PROVIDER_OVERLOADED, text, retry_after=max(_SOONEST, queue.seconds))


class Places:
    """At most `most` places, given away first come, first served.

    Whoever has one gives it back by `leave`, once.
    """

    __slots__ = ("_line", "_most", "_queue", "taken")

    def __init__(self, most: int, queue: Queue = NO_QUEUE) -> None:
        self.taken = 0
        self._most = most
        self._queue = queue
        self._line: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """Return how many stand in line."""
        return len(self._line)

    def enter(self) -> bool:
        """Take a place where one is free; else the way to one is `wait`."""
        # A place that comes free goes to the first in line without ever being free, so nobody is overtaken.
        if self.taken < self._most:
            self.taken += 1
            return True
        return False

    async def wait(self) -> None:
        """Stand in line for a place. Who is cancelled meanwhile leaves the line.

        Raises:
            Saturated: the line is full, or the wait was too long.
        """
        queue = self._queue
        if len(self._line) >= queue.length:
            text = f"{self._most} answers of this provider are in progress, which is the limit"
            raise Saturated(f"{text}, and {queue.length} wait for a place" if queue.length else text, queue)
        turn = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            async with asyncio.timeout(queue.seconds):
                await turn
        except BaseException as error:
            self._step_out(turn)
            if isinstance(error, TimeoutError):
                text = f"{self._most} answers of this provider are in progress; none ended within {queue.seconds:g} s"
                raise Saturated(text, queue) from None
            raise

    def leave(self) -> None:
        """Give a place back: to the first in line, where somebody waits."""
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.taken -= 1

    def _step_out(self, turn: asyncio.Future[None]) -> None:
        if turn.done() and not turn.cancelled():
            self.leave()  # it was this one's turn in the very moment
        elif turn in self._line:
            self._line.remove(turn)
