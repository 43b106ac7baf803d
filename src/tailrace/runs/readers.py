"""Who reads runs: whether they may, from where on, and as what.

A run that has ended, or that another process produces, is read from the store like any log; one that is produced
here is read beside its producer, which hears that somebody watches. Starting and ending runs is `runs`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from tailrace.errors import RunNotFound
from tailrace.hub import Hub, Reading, Renderer, Tail, control, resume
from tailrace.log import RESERVED, Position, Verdict, judge
from tailrace.runs.following import read_past
from tailrace.runs.instance import Instance
from tailrace.runs.meta import RunMeta, log_of
from tailrace.runs.native import RETRY, NativeRenderer
from tailrace.runs.rights import Reader, may_have
from tailrace.runs.run import Run
from tailrace.runs.summary import Summary

__all__ = ["Attached", "Readers"]

Result = TypeVar("Result")

_CATCH_UP = 2.0
"""Seconds that a reader who has seen more than the store has waits for it: its producer's writes are on their way."""


@dataclass(frozen=True, slots=True)
class Attached:
    """A run that somebody may read: its tail (to be closed by whoever got it), and the run if it is produced here."""

    id: str
    tail: Tail
    run: Run | None


class Readers:
    """Finds runs for whoever may read them: those that are `live` here, and those in the store.

    Where instances share the store, `instance` is this one, and hears of what is read here.
    """

    def __init__(self, hub: Hub, live: Mapping[str, Run], instance: Instance | None) -> None:
        self._hub = hub
        self._live = live
        self._instance = instance

    async def attach(self, run: str, owner: Reader) -> Attached:
        """Find a run for its owner. Raises `RunNotFound` where it is not there, or another's."""
        live = self._live.get(run)
        if live is not None:  # most are: a run is read by whoever has just started it
            belongs_to, tail = live.options.owner, self._hub.share(live.tail)
        else:
            belongs_to, tail = await self._open(run)
        if not may_have(belongs_to, owner):
            self._hub.close(tail)
            raise RunNotFound(run)
        return Attached(run, tail, live)

    async def _open(self, run: str) -> tuple[str | None, Tail]:
        """Find a run that has ended, or that another process produces: its owner and its tail."""
        tail = await self._hub.open(log_of(run))
        if tail is None:
            raise RunNotFound(run)
        return RunMeta.parse(tail.meta).owner, tail

    async def read(
        self, run: str, owner: Reader, cursor: str | None = None, *, snapshot: bool = False
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
            complete = verdict.recovered and tail.ended and verdict.after == tail.head
            self._hub.meter.add("resumes", 1, ("run", "complete" if complete else verdict.reason))
            if complete:
                self._hub.close(tail)
                return None
            after = tail.first - 1 if verdict.after is None else verdict.after
            prelude = resume(verdict, Position(tail.epoch, after))
        elif snapshot:
            after, prelude = await self._snapshot(tail)
        framed = RunMeta.parse(tail.meta).framed
        return await self._reading(attached, NativeRenderer(framed=framed), after, prelude)

    async def read_as(self, run: str, owner: Reader, make: Callable[[Tail], Renderer]) -> Reading:
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
            await self.using(tail, self._catch_up(self._instance, attached, position.offset))
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
            unwatch = await self.using(tail, self._instance.enter(tail))
        return Reading(tail, renderer, after, prelude, on_closed=unwatch)

    async def using(self, tail: Tail, work: Awaitable[Result]) -> Result:
        """Wait for something that is done with a tail. Where that fails, the caller's use of it is over."""
        try:
            return await work
        except BaseException:
            self._hub.close(tail)
            raise

    async def summary(self, run: str, owner: Reader) -> Summary:
        """What a run's records come to so far. Raises `RunNotFound`."""
        attached = await self.attach(run, owner)
        if attached.run is None and self._instance is not None:
            self._instance.suspect(attached.tail)
        return await self.summarise(attached.tail)

    async def summarise(self, tail: Tail) -> Summary:
        """What a tail's records come to; the caller's use of the tail is over."""
        summary = await self._fold(tail)
        meta = RunMeta.parse(tail.meta)
        summary.model, summary.provider = summary.model or meta.model, summary.provider or meta.provider
        self._hub.close(tail)
        return summary

    async def _fold(self, tail: Tail) -> Summary:
        """Fold a run's records up to its head. Where that fails, the caller's use of the tail is over."""
        summary = Summary()
        await self.using(tail, self._fold_into(summary, tail))
        return summary

    async def _fold_into(self, summary: Summary, tail: Tail) -> None:
        after, goal = 0, tail.head
        while after < goal and (records := await read_past(tail, after)):
            summary.add(records)
            after = records[-1].offset
            await asyncio.sleep(0)  # a page is about 1 ms of work, and an answer may have many
