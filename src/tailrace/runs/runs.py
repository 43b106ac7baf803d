"""The runs of this process: starting them, finding them again, and who may.

A run that has ended, or that another process produces, is read from the store like any log; only what
is produced here has a `Run` object.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import lru_cache

from tailrace.errors import ErrorType, KeyReused, RunError, RunNotFound, StoreError
from tailrace.hub import Hub, Reading, Tail, control, resume
from tailrace.log import Coordination, Position, Record, Writer, judge, new_run_id
from tailrace.runs.native import RETRY, NativeRenderer, Summary, start_entry
from tailrace.runs.run import Producer, Run, RunEvents, RunOptions, discard

__all__ = ["Attached", "Runs"]

log = logging.getLogger("tailrace")

_PAGE = 1000
_RUN_SECONDS = 86_400.0
"""How long a key is kept while its run goes on: longer than any run may take."""
_REFUSAL_SECONDS = 60.0
"""How long a refusal can be read: for a client's next attempt. Whoever comes later is refused anew."""


@dataclass(frozen=True, slots=True)
class Attached:
    """A run that somebody may read: its tail (to be closed by whoever got it), and the run if it is produced here."""

    id: str
    tail: Tail
    run: Run | None


class Runs:
    """Starts and finds runs."""

    def __init__(self, hub: Hub, coordination: Coordination) -> None:
        self._hub = hub
        self._coordination = coordination
        self._writer = Writer(hub.store)
        self._events = RunEvents(self._on_ended, self._on_stored)
        self._keeping: set[asyncio.Task[None]] = set()
        self._keys: dict[str, str] = {}
        self._patient = False
        self.live: dict[str, Run] = {}

    # Starting.

    async def start(self, producer: Producer, options: RunOptions) -> Run:
        """Start a run."""
        run = await self._create(options)
        run.begin(producer)
        return run

    async def _create(self, options: RunOptions, *, refused: bool = False) -> Run:
        name = new_run_id()
        meta = _meta(options.owner, options.provider)
        # What every run says first is created with it: one call of the store less for each.
        first = [] if refused else [Record(1, *start_entry(name, options.model), self._hub.clock.time())]
        await self._hub.store.create(_log(name), name, meta, first)
        tail = self._hub.produce(_log(name), name, meta)
        if first:
            tail.append(first)
            tail.on_stored(1)
        run = Run(name, tail, options, hub=self._hub, writer=self._writer, events=self._events)
        run.patient = self._patient
        self.live[name] = run
        self._hub.meter.add("runs.started")
        return run

    async def start_once(self, key: str, fingerprint: str, options: RunOptions, producer: Producer) -> str:
        """Start a run unless `key` of the same owner started one already; the id of the one that stands.

        Raises `KeyReused` where the key came with another request, told by its `fingerprint`.
        """
        name = f"key:{json.dumps([options.owner, key])}"
        standing = await self._coordination.lookup(name)
        if standing is None:
            run = await self._create(options)
            standing = await self._claim(name, run, fingerprint)
            if run.id in self._keys:
                run.begin(producer)
                return run.id
        await discard(producer)
        first, first_fingerprint = json.loads(standing)
        if first_fingerprint != fingerprint:
            raise KeyReused
        return str(first)

    async def _claim(self, name: str, run: Run, fingerprint: str) -> str:
        """Take a key for a run that has not begun; one that comes too late never begins."""
        mine = json.dumps([run.id, fingerprint])
        standing = None
        try:
            # A run over its time is gone with its key; until then the key outlives whatever the run does.
            standing = await self._coordination.claim(name, mine, _RUN_SECONDS)
        finally:
            if standing == mine:
                self._keys[run.id] = name
            else:
                run.cancel(RunError(ErrorType.CALLER_CANCELLED, "the same request was started elsewhere"))
        return standing

    async def refuse(self, options: RunOptions) -> Run:
        """A run that never ran: the answer to a cursor of a run that is not there, where one would be started.

        It has a terminal of its own, so that a client which comes back with its id is told to stop.
        """
        run = await self._create(replace(options, keep=_REFUSAL_SECONDS), refused=True)
        run.cancel(RunError(ErrorType.CALLER_UNKNOWN_RUN, "the run that this cursor names is not here; ask again"))
        return run

    # Reading.

    async def read(
        self, run: str, owner: str | None, cursor: str | None = None, *, snapshot: bool = False
    ) -> Reading | None:
        """Begin to read a run from its start, or on from `cursor`; None where the reader has everything.

        With `snapshot`, and no cursor, what was said so far comes as one event. Raises `RunNotFound`.
        """
        attached = await self.attach(run, owner)
        tail, after, prelude = attached.tail, 0, b""
        if cursor is not None:
            verdict = judge(cursor, tail.epoch, 1, tail.head)
            if verdict.recovered and tail.ended and verdict.after == tail.head:
                self._hub.close(tail)
                return None
            after = verdict.after or 0
            prelude = resume(verdict, Position(tail.epoch, after))
        elif snapshot:
            after, prelude = await self._snapshot(tail)
        return self._reading(attached, after, prelude)

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

    def _reading(self, attached: Attached, after: int, prelude: bytes) -> Reading:
        run = attached.run
        if run is not None:
            run.watch()
        unwatch = run.unwatch if run is not None else None
        return Reading(attached.tail, NativeRenderer(), after, prelude, on_closed=unwatch)

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
        tail = await self._hub.open(_log(run))
        if tail is None:
            raise RunNotFound(run)
        return json.loads(tail.meta)["owner"], tail

    async def summary(self, run: str, owner: str | None) -> Summary:
        """What a run's records come to so far. Raises `RunNotFound`."""
        attached = await self.attach(run, owner)
        tail = attached.tail
        summary = await self._fold(tail)
        summary.provider = summary.provider or json.loads(tail.meta)["provider"]
        self._hub.close(tail)
        return summary

    async def _fold(self, tail: Tail) -> Summary:
        """Fold a run's records up to its head. Where that fails, the caller's use of the tail is over."""
        summary, after, goal = Summary(), 0, tail.head
        try:
            while after < goal and (records := await self._some(tail, after)):
                summary.add(records)
                after = records[-1].offset
                await asyncio.sleep(0)  # a page is about 1 ms of work, and an answer may have many
        except BaseException:
            self._hub.close(tail)
            raise
        return summary

    async def _some(self, tail: Tail, after: int) -> list[Record]:
        held = tail.since(after)
        if held is not None:
            return list(held)
        page = await self._hub.store.read(tail.log, after, _PAGE)
        return list(page.records) if page is not None else []

    # Ending.

    async def cancel(self, run: str, owner: str | None) -> Summary:
        """Cancel a run for its owner; one that has ended stays as it ended. Raises `RunNotFound`."""
        attached = await self.attach(run, owner)
        self._hub.close(attached.tail)
        if attached.run is not None:
            attached.run.cancel(RunError(ErrorType.CALLER_CANCELLED, "this answer was cancelled"))
        return await self.summary(run, owner)

    def _on_ended(self, run: Run) -> None:
        del self.live[run.id]
        # One that never began is no answer that failed: it tells a client that there is none.
        if run.begun:
            self._hub.meter.add(f"runs.{run.status}")
        self._hub.meter.add("tokens", run.usage()["output_tokens"])

    def _on_stored(self, run: Run) -> None:
        self._hub.close(run.tail)
        name = self._keys.pop(run.id, None)
        if name is not None and run.options.keep is not None:
            task = asyncio.get_running_loop().create_task(self._keep_key(name, run.options.keep))
            self._keeping.add(task)
            task.add_done_callback(self._keeping.discard)

    async def _keep_key(self, name: str, seconds: float) -> None:
        try:
            await self._coordination.extend(name, seconds)
        except StoreError as error:
            log.warning("the idempotency key of an ended run is kept for longer than the run: %s", error)

    # Leaving.

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
        await self._writer.close(patience)
        await _settled(tuple(self._keeping), patience)


async def _settled(tasks: Collection[asyncio.Future[None]], patience: float) -> None:
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=patience)
        for task in late:
            task.cancel()


@lru_cache(maxsize=1024)
def _meta(owner: str | None, provider: str) -> str:
    return json.dumps({"owner": owner, "provider": provider})


def _log(run: str) -> str:
    return f"run:{run}"
