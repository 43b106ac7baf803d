"""Who follows which log here, and what they were told: by messages, and by comparing heads where one was lost.

A message that is lost leaves a hole, which the next one shows; the last one leaves none. So after each interruption
of the messages, and every few seconds, the heads of all followed logs are compared with what was last told. What
shows then is told as messages tell it: a newest record (whoever follows reads what is missing before it), another
epoch, or, of a run that the store has lost, an epoch without a name.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from itertools import islice
from typing import Any

from tailrace.errors import StoreError, StoreUnavailable
from tailrace.log.backoff import Backoff
from tailrace.log.position import Position
from tailrace.log.redis.followed import Followed
from tailrace.log.redis.logs import Logs
from tailrace.log.redis.messages import Mark, Message
from tailrace.log.redis.states import State
from tailrace.log.store import Follower

__all__ = ["Following"]

log = logging.getLogger("tailrace")

_PERIOD = 3.0
"""Seconds between comparisons, about: how late a viewer hears of a last message that was lost."""
_CHUNK = 250
"""Logs compared in one go, so that nobody's calls wait behind thousands."""
_MOMENT = 0.25
"""Seconds that a message may be behind the store without being taken for lost."""


class Following:
    """The logs that are followed here. `confirm` waits until messages come of logs, as far as they are followed."""

    def __init__(self, logs: Logs, confirm: Callable[[Sequence[str]], Awaitable[None]]) -> None:
        self._logs = logs
        self._confirm = confirm
        self._followed: dict[str, Followed] = {}
        self._interrupted = False  # messages were, since the last comparison
        self._wake = asyncio.Event()
        self._closed = False
        self._fresh: list[str] = []  # followed since a moment
        self._tasks: set[asyncio.Task[None]] = set()

    def __getitem__(self, log: str) -> Followed | None:
        return self._followed.get(log)

    def add(self, log: str, follower: Follower) -> bool:
        """Tell `follower` from now on; whether nobody followed `log` before."""
        followed = self._followed.get(log)
        if followed is None:
            followed = self._followed[log] = Followed(log)
            if not self._fresh:
                asyncio.get_running_loop().call_later(_MOMENT, self._look_at_fresh)
            self._fresh.append(log)
        followed.followers.append(follower)
        return len(followed.followers) == 1

    def remove(self, log: str, follower: Follower) -> bool:
        """Tell `follower` no more; whether that was the last one."""
        followed = self._followed.get(log)
        if followed is None or follower not in followed.followers:
            return False
        followed.followers.remove(follower)
        if followed.followers:
            return False
        del self._followed[log]
        return True

    def _look_at_fresh(self) -> None:
        """Compare what somebody follows who has not looked at it by now: nobody knows what came before messages did."""
        fresh, self._fresh = self._fresh, []
        unknown = [log for log in fresh if (followed := self._followed.get(log)) is not None and not followed.epoch]
        if unknown and not self._closed:
            self._later(self._compare_and_tell(unknown))

    # Messages.

    def on_message(self, log: str, message: bytes) -> None:
        """Tell those who follow `log` what a message says."""
        followed = self._followed.get(log)
        if followed is None:
            return
        told = _parsed(followed, message)
        if told is None:
            return
        if told.mark is Mark.RENAMED:
            self._logs.known.note(log, Position(told.epoch, 0))
            if told.epoch != followed.epoch:  # else whoever had it renamed has told already
                followed.tell_renamed(told.epoch)
        elif told.epoch == followed.epoch and followed.contradicts(told.records):
            self._later(self._renew(followed, None))
        else:
            followed.produced = told.mark is not Mark.PUBLISHED
            followed.tell(told.epoch, told.records, ends=told.mark is Mark.ENDED)
            self._logs.known.note(log, followed.position)

    def on_restored(self) -> None:
        """Compare everything at once: messages were interrupted."""
        self._interrupted = True
        self._wake.set()

    # Comparing.

    def start(self) -> None:
        """Begin to compare now and then, in the running event loop."""
        self._later(self._compare_now_and_then())

    async def close(self) -> None:
        """Compare no more."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _compare_now_and_then(self) -> None:
        backoff = None
        while not self._closed:
            # Not `wait_for`: until Python 3.12 it loses a cancellation that comes as the event is set.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PERIOD if backoff is None else backoff.wait()):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self.compare()
            except StoreUnavailable as error:  # `calls` has told
                log.debug("followed logs cannot be compared with the store now: %s", error)
                backoff = backoff or Backoff(longest=_PERIOD)
            except StoreError as error:
                log.warning("followed logs cannot be compared with the store: %s", error)
                backoff = backoff or Backoff(longest=_PERIOD)
            except Exception:
                log.exception("followed logs could not be compared with the store")
            else:
                backoff = None

    async def compare(self) -> None:
        """Tell what followers have not been told. Raises `StoreUnavailable`: then it is done again."""
        interrupted, self._interrupted = self._interrupted, False
        logs = iter(tuple(self._followed))
        try:
            while chunk := tuple(islice(logs, _CHUNK)):
                if interrupted:
                    await self._compare_and_tell(chunk)
                elif behind := await self._compare(chunk):
                    self._later(self._wait_and_tell(behind))
        except BaseException:
            self._interrupted = self._interrupted or interrupted
            raise

    async def _compare_and_tell(self, logs: Sequence[str]) -> None:
        """Compare without waiting for messages; what stands where the last was told is looked at too."""
        behind = await self._compare(logs)
        shown = [followed for log in logs if (followed := self._followed.get(log)) is not None and followed.newest]
        await asyncio.gather(*[self._check(followed) for followed in {*behind, *shown}])

    async def _compare(self, logs: Sequence[str]) -> dict[Followed, int]:
        """Those that the store has more of than was told, and up to where; of all else what they are is told."""
        await self._confirm(logs)
        before = {log: followed.position for log in logs if (followed := self._followed.get(log)) is not None}
        behind = {}
        for (log, position), state in zip(before.items(), await self._logs.look_all(tuple(before)), strict=True):
            followed = self._followed.get(log)
            if followed is None or followed.epoch != position.epoch:
                continue  # something was told meanwhile
            if state is None:
                await self._tell_gone(followed)
            elif followed.epoch and state.head.epoch != followed.epoch:
                await self._tell_renamed(followed, state)
            elif state.head.last < position.offset and not state.produced:
                await self._renew(followed, position.offset)
            elif state.head.last > followed.offset:
                behind[followed] = state.head.last
        return behind

    async def _tell_gone(self, followed: Followed) -> None:
        if not followed.epoch or followed.ended:
            return  # it never was, or its keeping is over
        if followed.produced:
            followed.tell_lost()
        else:
            await self._tell_renamed(followed, await self._logs.begin(followed.log))

    async def _tell_renamed(self, followed: Followed, state: State) -> None:
        """Tell of another epoch, and of the newest record that it has already."""
        followed.tell_renamed(state.head.epoch)
        if state.head.last:
            await self._check(followed)

    async def _renew(self, followed: Followed, seen: int | None) -> None:
        """Have a log that lost something, or says something else, go on as another epoch."""
        log.warning("%s has lost what was shown of it; it goes on as another epoch", followed.log)
        state = await self._logs.renew(followed.log, followed.epoch, seen)
        if state is not None and state.head.epoch != followed.epoch:
            await self._tell_renamed(followed, state)

    async def _wait_and_tell(self, behind: dict[Followed, int]) -> None:
        """Tell of what no message came for within a moment: most are on their way."""
        await asyncio.sleep(_MOMENT)
        await asyncio.gather(*[self._check(followed) for followed, last in behind.items() if followed.offset < last])

    async def _check(self, followed: Followed) -> None:
        """Tell the newest record of a log, unless what was told before is not what it has there."""
        epoch, newest = followed.position
        page = await self._logs.read(followed.log, newest if followed.newest is None else newest - 1, 2)
        if page is not None and page.head.epoch == epoch and page.records and followed.contradicts(page.records):
            await self._renew(followed, None)
            return
        if page is not None and page.head.last > newest + 1:
            page = await self._logs.read(followed.log, page.head.last - 1, 1)
        if page is None or followed.epoch != epoch:
            return
        if fresh := [record for record in page.records if record.offset > newest or page.head.epoch != epoch]:
            ends = page.head.ended and fresh[-1].offset == page.head.last
            followed.tell(page.head.epoch, fresh, ends=ends)
        else:  # nothing is missing, or it has expired: whoever reads finds out
            followed.offset = max(followed.offset, page.head.last)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # It is found again at the next comparison; that the store is away, `calls` has told.
            away = isinstance(error, StoreUnavailable)
            log.log(logging.DEBUG if away else logging.WARNING, "readers could not be told of news: %s", error)


def _parsed(followed: Followed, message: bytes) -> Message | None:
    """The message; None for one that somebody else has put on the channel."""
    try:
        return Message.parse(message)
    except ValueError as error:
        log.warning("a message that is none came with those of %s: %s", followed.log, error)
        return None
