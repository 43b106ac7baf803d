"""One answer in progress: a log that ends, and the task that produces it.

A run belongs to nobody's connection. It goes on while its viewers come and go, until its producer is
through, somebody cancels it, or nobody has watched it for its grace period.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence

from tailrace.errors import ErrorType, RunError
from tailrace.hub import Hub, Tail
from tailrace.log import Batch, Record, Writer
from tailrace.runs.account import Account, Ended, Ledger
from tailrace.runs.deltas import Frame
from tailrace.runs.events import RunEvents
from tailrace.runs.frames import Said, carrying
from tailrace.runs.intake import take
from tailrace.runs.native import DONE, error_entry, finish_entry, interruption
from tailrace.runs.options import RunOptions
from tailrace.runs.pace import Pace
from tailrace.runs.producer import Item, Producer, close, discard
from tailrace.runs.producing import PRODUCING, Producing
from tailrace.runs.states import NEXT, Status, ending
from tailrace.runs.tally import size

__all__ = ["Run"]

log = logging.getLogger("tailrace")

_TURN = 0.0025  # seconds after which it is looked whether a producer lets others have their turn
_PACE = 0.05  # seconds between looks whether a viewer has caught up
_FIRST_VIEWER = 1.0
"""Seconds that a run waits for its first viewer at least: with no grace at all, nobody could come in time."""
_LOOK_ELSEWHERE = 5.0
"""Seconds between looks at whether another instance's viewers are still there; their leaving is told at once."""
_DOUBT = 0.5
"""Seconds for which an end is kept back until the store has decided that it is the end.

A store that is there answers within milliseconds. One that is away decides for nobody else either, so after
this the viewers here are not kept waiting for it.
"""
_LONG_DOUBT = 10.0
"""The same, where this instance is out of touch for so long that others, if they are not, have ended its runs.

Nobody can tell a store that is away from a way to it that is broken. If that lasts for longer still, viewers
here may be told another end than all others: those who have read the whole answer are not kept for ever.
"""


class Run:
    """An answer in progress."""

    __slots__ = (
        "_bytes",
        "_elsewhere",
        "_events",
        "_fenced",
        "_held",
        "_hub",
        "_last_words",
        "_producing",
        "_task",
        "_turn_ends",
        "_turned",
        "_writer",
        "id",
        "ledger",
        "options",
        "pace",
        "patient",
        "said_at",
        "slot",
        "status",
        "tail",
        "viewers",
    )

    def __init__(
        self, run: str, tail: Tail, options: RunOptions, *, hub: Hub, writer: Writer, events: RunEvents
    ) -> None:
        self.id = run
        self.tail = tail
        self.options = options
        self.status = Status.RUNNING
        self.viewers = 0
        self.patient = False  # while this process leaves, a run waits for viewers who are on their way elsewhere
        self.slot = -1
        self.said_at = hub.clock.monotonic()
        self._hub = hub
        self._writer = writer
        self._events = events
        self.ledger = Ledger(options, self.said_at)
        self._last_words: Sequence[Said] = ()
        self._held: Sequence[Record] = ()  # an end that is kept back while the store decides
        self._fenced = False
        self._elsewhere = False  # whether somebody was seen to watch it on another instance
        self._bytes = 0
        self.pace: Pace | None = None  # of a run that says much
        self._turn_ends = 0.0
        self._turned = True  # whether the loop came round since the producer was looked at
        self._task: asyncio.Task[None] | None = None
        self._producing = False

    @property
    def begun(self) -> bool:
        """Whether it was ever started."""
        return self._task is not None

    @property
    def ended(self) -> bool:
        """Whether its terminal is said."""
        return self.status is not Status.RUNNING

    def begin(self, producer: Producer) -> None:
        """Start producing."""
        self.ledger.begin(self._hub.clock.monotonic())
        self._task = asyncio.get_running_loop().create_task(self._produce(producer), name=f"run {self.id}")
        self._wait_for_viewers(_FIRST_VIEWER)

    async def _produce(self, producer: Producer) -> None:
        if self.ended:
            await discard(producer)
            return
        self._producing = True
        PRODUCING.set(producing := Producing(self))
        items = None
        try:
            items = aiter(producer() if callable(producer) else producer)
            await self._consume(items)
            self._finish("stop")
        except RunError as error:
            self._fail(self._checked(error))
        except asyncio.CancelledError:
            self._fail_cancelled()
            raise
        except Exception:
            log.exception("the producer of run %s raised", self.id)
            self._fail(_producer_failed())
        finally:
            await close(items)
            producing.run = None

    async def _consume(self, items: AsyncIterator[Item]) -> None:
        clock = self._hub.clock
        self._turn_ends = clock.monotonic() + _TURN
        paced_from = self.options.max_ahead // 2
        async for item in items:
            if not self.ended:  # it may be, by the producer itself, or in spite of one that ignores a cancellation
                self._take(item)
            if self.ended:
                return
            if clock.monotonic() > self._turn_ends:
                await self._look_at_turns()
                self._turn_ends = clock.monotonic() + _TURN
            if self._bytes > paced_from:
                await self._keep_pace()

    async def _keep_pace(self) -> None:
        """Wait while this is too far ahead of everybody who reads it here; who reads it elsewhere is not known."""
        pace = self.pace = self.pace or Pace(self.options.max_ahead)
        pace.note(self.tail.head, self._bytes)
        # To be woken by each write would burden all runs for the sake of the few that ever come here.
        while self.viewers and (read := self.tail.furthest) is not None and pace.exceeded(read):  # noqa: ASYNC110
            await asyncio.sleep(_PACE)

    async def _look_at_turns(self) -> None:
        """Make way for others, where the producer has not waited since the last look.

        One that waits for each token, which takes longer than a look, needs no second wait for it.
        """
        if not self._turned:
            await asyncio.sleep(0)
        self._turned = False
        asyncio.get_running_loop().call_soon(self._on_turn)

    def _on_turn(self) -> None:
        self._turned = True

    def _checked(self, error: RunError) -> RunError:
        """The error, if its type is one that clients know; the operator reads of it as well."""
        kind: object = error.type
        if not isinstance(kind, ErrorType):
            log.error("the producer of run %s raised an error of unknown type %r: %s", self.id, error.type, error)
            return _producer_failed()
        what = "/".join(filter(None, [self.options.provider, self.options.model])) or "an application"
        fields = {"run": self.id, "error": str(error.type)}
        log.warning("run %s of %s failed: %s: %s", self.id, what, error.type, error.message, extra=fields)
        return error

    def _fail_cancelled(self) -> None:
        """End a run whose task was cancelled by somebody else: the loop that closes, or the producer itself."""
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            self._fail(RunError(ErrorType.TAILRACE_INTERRUPTED, "the task that produced this answer was cancelled"))
        else:
            self._fail(_producer_failed())

    def _take(self, item: Item) -> None:
        ledger = self.ledger
        entries, end = take(item, ledger.tally)
        if entries:
            now = self._hub.clock.monotonic()
            if ledger.first_token is None:
                ledger.speak(now)
            else:
                self._events.gaps.observe(now - self.said_at)
        self._bytes += size("".join([data for _, data in entries]))
        if end is not None and end.frame is not None:
            self._bytes += size(end.frame.data)
        if ledger.tally.said > self.options.max_bytes or self._bytes > self.options.max_kept:
            self._fail(_too_large(self.options, self._bytes))
        elif end is not None:
            self._finish(end.finish.reason, entries, end.frame)
        elif entries:
            self._append(entries)

    def _finish(self, reason: str, entries: Sequence[Said] = (), frame: Frame | None = None) -> None:
        if self.ended:
            return
        account = self._account()
        finish = finish_entry(reason, account)
        self._report(Status.FINISHED, account, reason=reason)
        self._end(Status.FINISHED, [*entries, carrying(finish, frame) if frame else finish, DONE])

    def _fail(self, error: RunError) -> None:
        if self.ended:
            return
        status, account = ending(error.type), self._account()
        self._report(status, account, error)
        self._end(status, [error_entry(error, account), DONE])

    def _report(self, status: Status, account: Account, error: RunError | None = None, reason: str = "") -> None:
        if self.begun:  # one that never was is no answer, and took nothing
            self._events.reported(Ended(self.id, status, account, error, self.options, reason))

    def _account(self) -> Account:
        # One that never was took no time: else a cursor of another's run could be told from one of none.
        return self.ledger.account(self._hub.clock.monotonic() if self.begun else self.said_at)

    def cancel(self, error: RunError) -> bool:
        """End the run because of `error`, and abort what produces it; False if it has ended already."""
        if self.ended:
            return False
        self._fail(error)
        self._abort()
        return True

    def _abort(self) -> None:
        if self._task is not None and self._producing:  # else its task sees to the producer when it begins
            self._task.cancel()

    def _end(self, status: Status, entries: Sequence[Said]) -> None:
        if status not in NEXT[self.status]:
            return
        self.status = status
        self._last_words = entries
        self._hub.wheel.cancel(self)
        self._append(entries, ends=True)
        self._events.ended(self)

    def _append(self, entries: Sequence[Said], *, ends: bool = False) -> None:
        tail, now = self.tail, self._hub.clock.time()
        self.said_at = self._hub.clock.monotonic()
        records = [Record(offset, event, data, now) for offset, (event, data) in enumerate(entries, tail.head + 1)]
        if ends and not self._events.certain():
            self._hold(records)
        else:
            tail.append(records, ends=ends)
        keep = self.options.keep if ends else None
        stored = self._stored_all if ends else tail.on_stored
        refused = self.on_refused if self._events.refused is not None else None
        self._writer.put(Batch(tail.log, tail.epoch, records, ends, keep), stored, refused)

    def _hold(self, records: Sequence[Record]) -> None:
        """Keep an end back: this process was out of touch, and the run may have been ended in its place."""
        self._held = records
        # Who leaves has no time for more: its viewers are cut, and come back elsewhere.
        doubt = _LONG_DOUBT if self._events.presumed_dead() and not self.patient else _DOUBT
        asyncio.get_running_loop().call_later(doubt, self._show_held)

    def _show_held(self) -> None:
        held, self._held = self._held, ()
        if held:
            self.tail.append(held, ends=True)

    def _stored_all(self, offset: int) -> None:
        self._show_held()
        self.tail.on_stored(offset)
        self._events.stored(self)

    # Where the store is shared, others may end it: it was taken for dead, or somebody cancelled it who had no answer.

    def on_refused(self) -> None:
        """Stop: the store takes nothing more of this run. Its viewers wait for `conclude`."""
        if self._fenced or self._events.refused is None:
            return
        self._fenced = True
        self._held = ()
        if not self.ended:
            self.status = Status.INTERRUPTED
            self._report(self.status, self._account())
            self._hub.wheel.cancel(self)
            self._abort()
            self._events.ended(self)
        self._events.refused(self)

    def last_words(self) -> Sequence[Said]:
        """The end that the log is to get if it has none: how the run failed here, else that it broke.

        Not that it is finished, though viewers here were told so: the store lacks some of what was said.
        """
        if self.tail.ended and self.status is not Status.FINISHED:
            return self._last_words
        return interruption("this answer was cut off from its store, which may have lost some of it", self._account())

    def conclude(self, records: Sequence[Record]) -> None:
        """Show the end that the run has in the store, if the viewers here have seen none."""
        if not self.tail.ended:
            self.tail.append(records, ends=True)
        self.tail.on_stored(self.tail.head)
        self._events.stored(self)

    async def wait_closed(self) -> None:
        """Wait until nothing of the producer is left."""
        if self._task is not None:
            await asyncio.wait((self._task,))

    # Who watches.

    def watch(self) -> None:
        """Count a viewer in."""
        self.viewers += 1
        self._elsewhere = False
        self._hub.wheel.cancel(self)
        self._events.watched(self.tail.log)

    def unwatch(self) -> None:
        """Count a viewer out; the last one starts the grace period."""
        self.viewers -= 1
        self._events.watched(self.tail.log)
        self._wait_for_viewers()

    def _wait_for_viewers(self, least: float = 0.0) -> None:
        grace = self.options.grace
        if self.viewers or grace is None or self.ended:
            return
        seconds = max(grace, least)
        if seconds > 0 or self.patient:
            self._hub.wheel.schedule(self, seconds)
        else:
            self._desert()

    def on_timer(self, now: float) -> float | None:
        """Cancel what nobody watched for its grace period."""
        if self.patient:
            return max(self.options.grace or 0.0, 1.0)
        if not self.viewers:
            self._desert()
        return None

    def _desert(self) -> None:
        """After its grace period: look whether somebody watches it on another instance."""
        if self._events.deserted is None:
            self._abandon()
        else:
            self._events.deserted(self)

    def found(self, *, watched: bool) -> None:
        """Take the answer to that look. Whoever cannot find out says that it is watched."""
        if self.viewers or self.ended or self.patient:
            return
        if watched:
            self._elsewhere = True
            self._hub.wheel.schedule(self, max(self.options.grace or 0.0, _LOOK_ELSEWHERE))
        elif self._elsewhere:
            self.on_unwatched()  # they may have left just now
        else:
            self._abandon()

    def on_unwatched(self) -> None:
        """Begin the grace period: another instance says that its last viewer has left."""
        self._elsewhere = False
        self._wait_for_viewers()

    def _abandon(self) -> None:
        self.cancel(RunError(ErrorType.CALLER_GONE, "nobody was watching this answer any more"))


def _too_large(options: RunOptions, kept: int) -> RunError:
    what, most = "the answer", options.max_bytes
    if kept > options.max_kept:
        what, most = "what was sent for the answer, with all that is said around it,", options.max_kept
    return RunError(ErrorType.POLICY_RUN_TOO_LARGE, f"{what} is larger than the {most} bytes that are allowed")


def _producer_failed() -> RunError:
    return RunError(ErrorType.TAILRACE_PRODUCER, "the application that produces this answer failed")
