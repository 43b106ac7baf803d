"""The runs of this process: starting them, finding them again, and who may.

A run that has ended, or that another process produces, is read from the store like any log; only what
is produced here has a `Run` object.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from tailrace.errors import ErrorType, KeyReused, RunError, RunNotFound
from tailrace.hub import Hub, Reading, Renderer, Tail, control, resume
from tailrace.log import RESERVED, Coordination, Position, Record, Verdict, Writer, judge, new_run_id
from tailrace.log.fleet import Fleet
from tailrace.runs.events import RunEvents
from tailrace.runs.following import read_past
from tailrace.runs.instance import Instance, cancelled
from tailrace.runs.keys import Keys, Taken
from tailrace.runs.meta import RunMeta, log_of
from tailrace.runs.native import RETRY, NativeRenderer, start_entry
from tailrace.runs.options import RunOptions
from tailrace.runs.producer import Producer, discard
from tailrace.runs.run import Run
from tailrace.runs.summary import Summary
from tailrace.runs.tasks import Tasks

__all__ = ["Attached", "Runs"]

Result = TypeVar("Result")

_CATCH_UP = 2.0
"""Seconds that a reader who has seen more than the store has waits for it: its producer's writes are on their way."""
_LAST_APPEND = 2.0
"""Seconds that an answer about an ended run waits for its end, where the store is just deciding which one it is."""
_REFUSAL_SECONDS = 60.0
"""How long a refusal can be read: for a client's next attempt. Whoever comes later is refused anew."""


@dataclass(frozen=True, slots=True)
class Attached:
    """A run that somebody may read: its tail (to be closed by whoever got it), and the run if it is produced here."""

    id: str
    tail: Tail
    run: Run | None


class Runs:
    """Starts and finds runs. With a `fleet`, other instances share the store: `join` them, and `close` at the end."""

    def __init__(self, hub: Hub, coordination: Coordination, fleet: Fleet | None = None) -> None:
        self._hub = hub
        self._keys = Keys(coordination)
        self._writer = Writer(hub.store)
        self._tasks = Tasks()
        self._patient = False
        self.live: dict[str, Run] = {}
        self._ours: set[str] = set()  # the logs that are produced here, until the store has all of them
        self._instance = Instance(hub, fleet, self.live, self._ours, self._tasks) if fleet is not None else None
        self._events = self._heard_by(self._instance)

    def _heard_by(self, instance: Instance | None) -> RunEvents:
        if instance is None:
            return RunEvents(self._on_ended, self._on_stored)
        return RunEvents(
            self._on_ended,
            self._on_stored,
            refused=instance.lease.on_refused,
            deserted=instance.lease.on_deserted,
            certain=instance.certain,
            presumed_dead=instance.presumed_dead,
        )

    async def join(self) -> None:
        """Take this instance's place among those that share the store, where it is shared."""
        if self._instance is not None:
            await self._instance.membership.join()

    # Starting.

    async def start(self, producer: Producer, options: RunOptions) -> Run:
        """Start a run."""
        run = await self._create(options)
        run.begin(producer)
        return run

    async def _create(self, options: RunOptions, *, refused: bool = False) -> Run:
        name = new_run_id()
        meta = self._meta(options)
        # What every run says first is created with it: one call of the store less for each.
        first = [] if refused else [Record(1, *start_entry(name, options.model), self._hub.clock.time())]
        await self._begin_log(name, meta, first)
        tail = self._hub.produce(log_of(name), name, meta)
        if first:
            tail.append(first)
            tail.on_stored(1)
        run = Run(name, tail, options, hub=self._hub, writer=self._writer, events=self._events)
        run.patient = self._patient
        self.live[name] = run
        self._hub.meter.add("runs.started")
        return run

    async def _begin_log(self, run: str, meta: str, first: Sequence[Record]) -> None:
        self._ours.add(log_of(run))
        try:
            await self._hub.store.create(log_of(run), run, meta, first)
        except BaseException:
            self._ours.discard(log_of(run))
            raise

    async def start_once(self, key: str, fingerprint: str, options: RunOptions, producer: Producer) -> str:
        """Start a run unless `key` of the same owner started one already; the id of the one that stands.

        Raises `KeyReused` where the key came with another request, told by its `fingerprint`.
        """
        standing = await self._keys.find(options.owner, key, self._is_there)
        if standing is None:
            run = await self._create(options)
            standing = await self._claim(key, run, fingerprint)
            if standing.run == run.id:
                run.begin(producer)
                return run.id
        await discard(producer)
        if standing.fingerprint != fingerprint:
            raise KeyReused
        return standing.run

    async def _is_there(self, run: str) -> bool:
        return run in self.live or await self._hub.store.head(log_of(run)) is not None

    async def _claim(self, key: str, run: Run, fingerprint: str) -> Taken:
        """Take a key for a run that has not begun; one that comes too late never begins."""
        owner, mine = run.options.owner, Taken(run.id, fingerprint)
        try:
            standing = await self._keys.claim(owner, key, mine)
        except BaseException:
            # It may have been performed all the same: whoever was given the key meanwhile is told what is true.
            run.cancel(RunError(ErrorType.TAILRACE_INTERRUPTED, "the store failed before this answer began; ask again"))
            self._tasks.start(self._keys.give_up(owner, key, mine))
            raise
        if standing != mine:
            run.cancel(RunError(ErrorType.CALLER_CANCELLED, "the same request was started elsewhere"))
        return standing

    async def refuse(self, options: RunOptions) -> Run:
        """A run that never ran: the answer to a cursor of a run that is not there, where one would be started.

        It has a terminal of its own, so that a client which comes back with its id is told to stop.
        """
        run = await self._create(replace(options, keep=_REFUSAL_SECONDS), refused=True)
        run.cancel(RunError(ErrorType.CALLER_UNKNOWN_RUN, "the run that this cursor names is not here; ask again"))
        return run

    async def alias(self, run: str, alias: str, keep: float | None) -> None:
        """Have a run that was started here be found by `alias` too, for `keep` seconds after its end."""
        await self._keys.alias(run, alias)
        if run not in self.live:
            self._keep_names(run, keep)

    async def aliased(self, alias: str) -> str | None:
        """The run that an alias stands for, if any."""
        return await self._keys.aliased(alias)

    # Reading.

    async def read(
        self, run: str, owner: str | None, cursor: str | None = None, *, snapshot: bool = False
    ) -> Reading | None:
        """Begin to read a run from its start, or on from `cursor`; None where the reader has everything.

        With `snapshot`, and no cursor, what was said so far comes as one event. Raises `RunNotFound`.
        """
        attached = await self.attach(run, owner)
        tail = attached.tail
        # From the very beginning: where the store has lost it, that is told, though the end is all that is left.
        after, prelude = 0, b""
        if cursor is not None:
            verdict = await self._judge(cursor, attached)
            if verdict.recovered and tail.ended and verdict.after == tail.head:
                self._hub.close(tail)
                return None
            after = tail.first - 1 if verdict.after is None else verdict.after
            prelude = resume(verdict, Position(tail.epoch, after))
        elif snapshot:
            after, prelude = await self._snapshot(tail)
        framed = RunMeta.parse(tail.meta).framed
        return await self._reading(attached, NativeRenderer(framed=framed), after, prelude)

    async def read_as(self, run: str, owner: str | None, make: Callable[[Tail], Renderer]) -> Reading:
        """Begin to read a run from its start in the view that `make` gives for its tail. Raises `RunNotFound`.

        Where nothing was said yet, the view's own heartbeat comes at once, to show that somebody is there.
        """
        attached = await self.attach(run, owner)
        tail = attached.tail
        try:
            renderer = make(tail)
        except BaseException:
            self._hub.close(tail)
            raise
        prelude = renderer.heartbeat if tail.head <= 1 else b""
        return await self._reading(attached, renderer, tail.first - 1, prelude)

    async def _judge(self, cursor: str, attached: Attached) -> Verdict:
        """What becomes of a cursor. Where that fails, the caller's use of the tail is over."""
        tail = attached.tail
        verdict = judge(cursor, tail.epoch, tail.first, tail.head)
        position = Position.parse(cursor) if verdict.reason == "ahead" else None
        if position is not None and self._instance is not None:
            await self._using(tail, self._catch_up(self._instance, attached, position.offset))
            verdict = judge(cursor, tail.epoch, tail.first, tail.head)
        if verdict.missed is not None and (verdict.after or 0) >= RESERVED:
            return replace(verdict, missed=None)  # an end stands alone, and nobody knows how much stood before it
        return verdict

    async def _catch_up(self, instance: Instance, attached: Attached, offset: int) -> None:
        """Wait for what somebody has seen elsewhere.

        Viewers are shown what is said before the store has it, so one who comes from there may be ahead of it. One
        who has seen an end of a run that goes on here knows more than its producer.
        """
        run, tail = attached.run, attached.tail
        if run is not None:
            if offset <= RESERVED:
                return
            await instance.lease.look_at(run)
        else:
            await self._hub.store.head(tail.log)  # one that is away cannot say that nobody has seen this: it raises
        await tail.wait_for(lambda: tail.ended or tail.head >= offset, _CATCH_UP)

    async def _snapshot(self, tail: Tail) -> tuple[int, bytes]:
        """The text so far as one event, and the offset behind it; made once for all who ask at the same head."""
        if tail.snapshot is None or tail.snapshot[0] != tail.head:
            head = tail.head
            summary = await self._fold(tail)
            # How it ended, if it has, is not in the snapshot: the reader is told as everyone is.
            position = Position(tail.epoch, summary.spoken)
            prelude = control("snapshot", summary.snapshot(), position=position, retry=RETRY)
            tail.snapshot = (head, position.offset, prelude)
        return tail.snapshot[1:]

    async def _reading(self, attached: Attached, renderer: Renderer, after: int, prelude: bytes) -> Reading:
        run, tail, unwatch = attached.run, attached.tail, None
        if run is not None:
            run.watch()
            unwatch = run.unwatch
        elif self._instance is not None:
            unwatch = await self._using(tail, self._instance.enter(tail))
        return Reading(tail, renderer, after, prelude, on_closed=unwatch)

    async def _using(self, tail: Tail, work: Awaitable[Result]) -> Result:
        """Wait for something. Where that fails, the caller's use of the tail is over."""
        try:
            return await work
        except BaseException:
            self._hub.close(tail)
            raise

    async def attach(self, run: str, owner: str | None) -> Attached:
        """Find a run for its owner. Raises `RunNotFound` where it is not there, or another's."""
        live = self.live.get(run)
        if live is not None:  # most are: a run is read by whoever has just started it
            belongs_to, tail = live.options.owner, self._hub.share(live.tail)
        else:
            belongs_to, tail = await self._open(run)
        if belongs_to is not None and belongs_to != owner:
            self._hub.close(tail)
            raise RunNotFound(run)
        return Attached(run, tail, live)

    async def _open(self, run: str) -> tuple[str | None, Tail]:
        """Find a run that has ended, or that another process produces: its owner and its tail."""
        tail = await self._hub.open(log_of(run))
        if tail is None:
            raise RunNotFound(run)
        return RunMeta.parse(tail.meta).owner, tail

    async def summary(self, run: str, owner: str | None) -> Summary:
        """What a run's records come to so far. Raises `RunNotFound`."""
        attached = await self.attach(run, owner)
        if attached.run is None and self._instance is not None:
            self._instance.suspect(attached.tail)
        return await self._summary(attached.tail)

    async def _summary(self, tail: Tail) -> Summary:
        """What a tail's records come to; the caller's use of the tail is over."""
        summary = await self._fold(tail)
        meta = RunMeta.parse(tail.meta)
        summary.model, summary.provider = summary.model or meta.model, summary.provider or meta.provider
        self._hub.close(tail)
        return summary

    async def _fold(self, tail: Tail) -> Summary:
        """Fold a run's records up to its head. Where that fails, the caller's use of the tail is over."""
        summary = Summary()
        await self._using(tail, self._fold_into(summary, tail))
        return summary

    async def _fold_into(self, summary: Summary, tail: Tail) -> None:
        after, goal = 0, tail.head
        while after < goal and (records := await read_past(tail, after)):
            summary.add(records)
            after = records[-1].offset
            await asyncio.sleep(0)  # a page is about 1 ms of work, and an answer may have many

    # Ending.

    async def cancel(self, run: str, owner: str | None) -> Summary:
        """Cancel a run for its owner; one that has ended stays as it ended. Raises `RunNotFound`."""
        attached = await self.attach(run, owner)
        await self._using(attached.tail, self._cancel(attached))
        return await self._summary(attached.tail)

    async def _cancel(self, attached: Attached) -> None:
        tail = attached.tail
        if attached.run is not None:
            attached.run.cancel(cancelled())
            await tail.wait_for(lambda: tail.ended, _LAST_APPEND)
        elif self._instance is not None and not tail.ended:
            await self._instance.elsewhere.cancel(tail)

    def _on_ended(self, run: Run) -> None:
        del self.live[run.id]
        # One that never began is no answer that failed: it tells a client that there is none.
        if run.begun:
            self._hub.meter.add(f"runs.{run.status}")
        self._hub.meter.add("tokens", run.usage["output_tokens"])

    def _on_stored(self, run: Run) -> None:
        self._ours.discard(run.tail.log)
        self._hub.close(run.tail)
        self._keep_names(run.id, run.options.keep)

    def _keep_names(self, run: str, keep: float | None) -> None:
        for claimed in self._keys.pop(run):
            if keep is not None:
                self._tasks.start(self._keys.keep(claimed, keep))

    # Leaving.

    @property
    def has_others(self) -> bool:
        """Whether another instance lives, and stays, on which everything here can be read on."""
        return self._instance is not None and bool(self._instance.membership.liveness.others)

    async def leave(self) -> None:
        """Tell the others that this instance is on its way out, and look who stays."""
        if self._instance is not None:
            await self._instance.membership.leave()

    def suspend_grace(self) -> None:
        """Cancel nothing any more for want of viewers: they are being sent away."""
        self._patient = True
        for run in self.live.values():
            run.patient = True

    def interrupt_all(self) -> None:
        """End what is left as interrupted."""
        for run in tuple(self.live.values()):
            run.cancel(RunError(ErrorType.TAILRACE_INTERRUPTED, "the server that produced this answer was stopped"))

    async def close(self, patience: float) -> None:
        """End what is left, and have the store take everything.

        Producers, the store's writes and its bookkeeping get at most `patience` seconds each.
        """
        left = [asyncio.ensure_future(run.wait_closed()) for run in self.live.values()]
        self.interrupt_all()
        await _settled(left, patience)
        if self._instance is not None:
            self._instance.elsewhere.close()
        written = await self._writer.close(patience)
        settled = await self._tasks.settle(patience)
        if self._instance is not None:
            # What is not written was produced by one that is gone: the others end it once they find that out.
            await self._instance.membership.close(resign=written and settled)

    def _meta(self, options: RunOptions) -> str:
        by, keep, model = (None, None, "")
        if self._instance is not None:
            by, keep, model = self._instance.name, options.keep, options.model
        return str(RunMeta(options.owner, options.provider, by, keep, model, options.framed, options.view))


async def _settled(tasks: Collection[asyncio.Future[None]], patience: float) -> None:
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=patience)
        for task in late:
            task.cancel()
