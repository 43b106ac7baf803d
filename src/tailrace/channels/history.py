"""What a channel retains, for those who look at it rather than follow it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tailrace.log import Position, Record, Store, Verdict, judge
from tailrace.log.content import name_of

__all__ = ["History", "history_of"]


@dataclass(frozen=True, slots=True)
class History:
    """Retained events, the position behind the last of them, and what became of the cursor, where there was one."""

    records: Sequence[Record]
    position: Position
    verdict: Verdict | None


async def history_of(store: Store, log: str, cursor: str | None, limit: int) -> History:
    """At most `limit` retained events past `cursor`, from the oldest if it names no place in the log."""
    head = await store.ensure(log)
    verdict = judge(cursor, head.epoch, head.first, head.last) if cursor is not None else None
    after = verdict.after if verdict is not None and verdict.after is not None else head.first - 1
    page = await store.read(log, after, limit)
    found = page.records if page is not None and page.head.epoch == head.epoch else ()
    records = [record._replace(event=name_of(record.event)) for record in found]
    return History(records, Position(head.epoch, records[-1].offset if records else after), verdict)
