"""Reading a run's records as they are, for whoever makes one whole thing of them instead of a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from tailrace.errors import ErrorType, RunError
from tailrace.hub import Tail
from tailrace.log import Record
from tailrace.runs.native import error_of_record

__all__ = ["follow", "opening", "read_past"]

_PAGE = 1000


async def read_past(tail: Tail, after: int) -> Sequence[Record]:
    """The next records past an offset: from memory, else a page of the store; none where there is nothing yet."""
    held = tail.since(after)
    if held is not None:
        return list(held)
    page = await tail.hub.store.read(tail.log, after, _PAGE)
    return page.records if page is not None else ()


async def follow(tail: Tail) -> AsyncIterator[Sequence[Record]]:
    """All records of a run, from the first to its end, as they come. The caller's use of the tail goes on.

    Raises what the store raises, and `RunError` where it has lost the run.
    """
    epoch, follower = tail.epoch, _Follower()
    tail.readers.add(follower)
    try:
        while not (tail.ended and follower.cursor >= tail.head):
            records = await _next(tail, follower.cursor, epoch)
            yield records
            follower.cursor = records[-1].offset
            await asyncio.sleep(0)  # a page is about 1 ms of work, and an answer may have many
    finally:
        tail.readers.remove(follower)


class _Follower:
    """A reader as others are: what is said waits for the quickest of them, which this may be."""

    __slots__ = ("cursor",)

    def __init__(self) -> None:
        self.cursor = 0


async def _next(tail: Tail, after: int, epoch: str) -> Sequence[Record]:
    await _more_than(tail, after, epoch)
    records = [record for record in await read_past(tail, after) if record.offset <= tail.head]
    if not records or tail.epoch != epoch:
        raise RunError(ErrorType.TAILRACE_INTERRUPTED, "this answer is lost; the store does not have it any more")
    return records


async def _more_than(tail: Tail, after: int, epoch: str) -> None:
    await tail.wait_for(lambda: tail.head > after or tail.ended or tail.epoch != epoch, None)


async def opening(tail: Tail, seconds: float) -> RunError | None:
    """Wait until a run says something, for at most `seconds`; how it ended, if that is all it says.

    What prepares an answer is held back by whoever produces it, so the first record past the start tells.
    """
    await tail.wait_for(lambda: tail.head > 1, seconds)
    if tail.head == 1 or not (records := await read_past(tail, 1)):
        return None
    _, event, data, _ = records[0]
    return error_of_record(data) if event == "error" and data is not None else None
