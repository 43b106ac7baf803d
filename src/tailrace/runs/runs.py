"""The runs of this process: starting them, ending them, and leaving. How they are read is `readers`'s.

Only what is produced here has a `Run` object.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from tailrace.errors import ErrorType, KeyReused, Overloaded, RunError
from tailrace.hub import Hub, Reading, Renderer, Tail
from tailrace.log import Coordination, Record, Writer, new_run_id
from tailrace.log.fleet import Fleet
from tailrace.runs.account import Ended, report
from tailrace.runs.audience import Audience
from tailrace.runs.events import RunEvents
from tailrace.runs.instance import Instance, cancelled
from tailrace.runs.keys import Keys, Taken
from tailrace.runs.meta import RunMeta, log_of
from tailrace.runs.native import start_entry
from tailrace.runs.options import RunOptions
from tailrace.runs.producer import Producer, discard
from tailrace.runs.readers import Attached, Readers
from tailrace.runs.rights import Reader
from tailrace.runs.run import Run
from tailrace.runs.summary import Summary
from tailrace.runs.tasks import Tasks

__all__ = ["Runs"]

_LAST_APPEND = 2.0
"""Seconds that an answer about an ended run waits for its end, where the store is just deciding which one it is."""
_REFUSAL_SECONDS = 60.0
"""How long a refusal can be read: for a client's next attempt. Whoever comes later is refused anew."""


class Runs:
    """Starts and finds runs; at most `most` are produced here at once (0: any number).

    With a `fleet`, other instances share the store: `join` them, and `close` at the end.
    """

    def __init__(self, hub: Hub, coordination: Coordination, fleet: Fleet | None = None, most: int = 0) -> None:
        self._hub = hub
        self._most = most
        self._keys = Keys(coordination)
        self._writer = Writer(hub.store)
        self._tasks = Tasks()
        self._patient = False
        self.live: dict[str, Run] = {}
        self._ours: set[str] = set()  # the logs that are produced here, until the store has all of them
        self._instance = Instance(hub, fleet, self.live, self._ours, self._tasks) if fleet is not None else None
        self._readers = Readers(hub, self.live, self._instance)
        self.audience = Audience(hub, self._readers, self._instance)
        self.observers: list[Callable[[Ended], None]] = [report]
        """Who hears of the end of each run that was begun here; must not raise."""
        self._gaps = hub.meter.durations("token_gap.seconds")
        self._events = self._heard_by(self._instance)

    def _heard_by(self, instance: Instance | None) -> RunEvents:
        alone = RunEvents(
            self._on_ended,
            self._on_stored,
            watched=self.audience.on_change,
            reported=self._on_reported,
            gaps=self._gaps,
        )
        if instance is None:
            return alone
        return replace(
            alone,
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
        """Start a run. Raises `Overloaded`."""
        run = await self._create(options)
        self._begin(run, producer)
        return run

    def _begin(self, run: Run, producer: Producer) -> None:
        run.begin(producer)
        self._hub.meter.add("runs.started")  # as the ends are: of those that were never begun no end is counted

    async def _create(self, options: RunOptions, *, refused: bool = False) -> Run:
        if self._most and len(self._ours) >= self._most and not refused:
            self._hub.meter.add("limits.hit", 1, ("max_runs",))
            raise Overloaded("answers in progress")
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

        Raises `KeyReused` where the key came with another request, told by its `fingerprint`; `Overloaded`.
        """
        standing = await self._keys.find(options.owner, key, self._is_there)
        if standing is None:
            run = await self._create(options)
            standing = await self._claim(key, run, fingerprint)
            if standing.run == run.id:
                self._begin(run, producer)
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

    async def alias(self, run: str, alias: str, keep: float | None, *, newest: bool = False) -> None:
        """Have a run that was started here be found by `alias` too, for `keep` seconds after its end.

        Where another run is found by it, that stays so, unless this is to be the `newest`.
        """
        await self._keys.alias(run, alias, newest=newest)
        if run not in self.live:
            self._keep_names(run, keep)

    async def aliased(self, alias: str) -> str | None:
        """The run that an alias stands for, if any."""
        return await self._keys.aliased(alias)

    # Reading.

    async def attach(self, run: str, owner: Reader) -> Attached:
        """Find a run for its owner. Raises `RunNotFound` where it is not there, or another's."""
        return await self._readers.attach(run, owner)

    async def read(
        self, run: str, owner: Reader, cursor: str | None = None, *, snapshot: bool = False
    ) -> Reading | None:
        """Begin to read a run from its start, or on from `cursor`; None where the reader has everything.

        With `snapshot`, and no cursor, what was said so far comes as one event. Raises `RunNotFound`.
        """
        return await self._readers.read(run, owner, cursor, snapshot=snapshot)

    async def read_as(self, run: str, owner: Reader, make: Callable[[Tail], Renderer]) -> Reading:
        """Begin to read a run from its start in the view that `make` gives for its tail. Raises `RunNotFound`.

        Where nothing was said yet, the view's own heartbeat comes at once, to show that somebody is there.
        """
        return await self._readers.read_as(run, owner, make)

    async def summary(self, run: str, owner: Reader) -> Summary:
        """What a run's records come to so far. Raises `RunNotFound`."""
        return await self._readers.summary(run, owner)

    # Ending.

    async def cancel(self, run: str, owner: Reader) -> Summary:
        """Cancel a run for its owner; one that has ended stays as it ended. Raises `RunNotFound`."""
        attached = await self._readers.attach(run, owner)
        await self._readers.using(attached.tail, self._cancel(attached))
        return await self._readers.summarise(attached.tail)

    async def _cancel(self, attached: Attached) -> None:
        tail = attached.tail
        if attached.run is not None:
            attached.run.cancel(cancelled())
            await tail.wait_for(lambda: tail.ended, _LAST_APPEND)
        elif self._instance is not None and not tail.ended:
            await self._instance.elsewhere.cancel(tail)

    def _on_ended(self, run: Run) -> None:
        del self.live[run.id]

    def _on_reported(self, ended: Ended) -> None:
        meter, usage = self._hub.meter, ended.account.usage
        status = ended.status.value
        meter.add("runs.ended", 1, (status, ended.error.type.value if ended.error is not None else ""))
        meter.durations("run.seconds", (status,)).observe(ended.account.seconds)
        meter.add("tokens", usage["output_tokens"], ("output",))
        for observer in self.observers:
            observer(ended)
        if ended.options.span is not None:
            ended.options.span.ended(ended)

    @property
    def unwritten(self) -> int:
        """Batches that wait for the store, or are on their way to it."""
        return self._writer.pending

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
    def instance(self) -> Instance | None:
        """This process among those that share the store, where it is shared."""
        return self._instance

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
            self._instance.close()
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
