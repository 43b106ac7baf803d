"""How a reader of several logs is led to their head: log by log, a piece of each in turn.

Each log's own order is kept, and nothing else is promised. What a tail holds is read there, what it does not hold in
the pages of its log, which all readers share. So the way takes one page at a time, however many logs there are.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from tailrace.errors import StoreError
from tailrace.hub.pages import Place
from tailrace.log import Position, Record

if TYPE_CHECKING:
    from tailrace.hub.several import Gathered

__all__ = ["gather"]

log = logging.getLogger("tailrace")


async def gather(reader: Gathered) -> None:
    """Write what comes past the reader's place until it is in step with the others, or is closed."""
    try:
        with ExitStack() as stack:
            pages = _Pages(reader, stack)
            while (index := reader.next_behind()) is not None:
                await _read_part(reader, pages, index)
                await asyncio.sleep(0)  # a piece is up to a millisecond of work, and others have their turn
                await reader.wait_for_room()
    except StoreError as error:
        log.warning("a reader of %s was cut, since the store failed: %s", reader.confluence.log, error)
        reader.abort("store")
    except Exception:
        log.exception("a reader of %s was cut", reader.confluence.log)
        reader.abort("failed")


class _Pages:
    """Where a reader is among the pages of its logs; in those of a log from its first one to the end of the way."""

    def __init__(self, reader: Gathered, stack: ExitStack) -> None:
        self._members = reader.confluence.members
        self._stack = stack
        self._places: dict[int, Place] = {}

    def __getitem__(self, index: int) -> Place:
        place = self._places.get(index)
        if place is None:
            place = self._places[index] = self._stack.enter_context(Place(self._members[index]))
        return place


async def _read_part(reader: Gathered, pages: _Pages, index: int) -> None:
    place, tail = reader.place, reader.confluence.members[index]
    if place is None:
        return
    epoch, after = place[index]
    if epoch != tail.epoch:
        reader.miss(index, Position(tail.epoch, 0), None)
        return
    if tail.head < after:
        # A page has shown this reader more of the log than its tail was told of.
        tail.reread()
        await tail.wait_for(lambda: tail.head >= after or tail.epoch != epoch, None)
        return
    records: Iterable[Record] | None = tail.since(after)
    if records is None:
        records = await _read_page(reader, pages[index], index, after)
    if records is not None and tail.epoch == epoch and not reader.closed:
        reader.put_part(index, reader.confluence.join_part(reader.view, place, index, records))


async def _read_page(reader: Gathered, pages: Place, index: int, after: int) -> list[Record] | None:
    """The next records of one log from the store; None where something else has to be told first."""
    tail = reader.confluence.members[index]
    epoch = tail.epoch
    page = await pages.read(after)
    await reader.wait_for_room()  # a heartbeat may have filled the sink meanwhile
    if reader.closed or tail.epoch != epoch:
        return None
    if page is None:
        raise StoreError("the log is gone")
    if page.head.epoch != epoch:
        tail.begin_epoch(page.head.epoch)
        tail.reread()
        return None
    first = page.head.first
    if after < first - 1:
        reader.miss(index, Position(epoch, first - 1), first - 1 - after)
        return None
    # Not past the head: what the tail has not heard of yet, it will see to itself.
    records = [record for record in page.records if after < record.offset <= tail.head]
    if not records:
        raise StoreError(f"the log has nothing past {after}, though its head is {tail.head}")
    return records
