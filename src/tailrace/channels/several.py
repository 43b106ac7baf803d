"""How a reader of several channels begins: where in each of them, and what it is told of that.

One cursor stands for all. Each channel judges its own part of it, so a reader that comes back for other channels than
before goes on in those that it had.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tailrace.channels.names import log_of
from tailrace.channels.snapshots import snapshot_of, snapshots_event
from tailrace.errors import InvalidName
from tailrace.hub import Confluence, Hub, SeveralReading, SeveralRenderer, Tail, control
from tailrace.log import Head, Position, Verdict, judge
from tailrace.log.positions import MOST_LOGS, Positions

__all__ = ["Beginning", "bounds", "logs_of", "read_several"]


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a reader wants to begin: on from `cursor`, else with a `snapshot`, else `earliest`, else now.

    `earliest` is at the oldest retained event.
    """

    cursor: str | None = None
    earliest: bool = False
    snapshot: bool = False


def logs_of(channels: Sequence[str]) -> Mapping[str, str]:
    """The logs of several channels by their names, in order. Raises `InvalidName`, also for too many."""
    names = sorted(set(channels))
    if not 1 <= len(names) <= MOST_LOGS:
        raise InvalidName(f"one connection follows 1 to {MOST_LOGS} channels, not {len(names)}")
    return {name: log_of(name) for name in names}


async def read_several(
    hub: Hub, channels: Sequence[str], begin: Beginning, only: Iterable[str], retry: int
) -> SeveralReading:
    """Begin to read several channels as one. `retry` is in milliseconds. Raises `InvalidName`, `StoreUnavailable`."""
    logs = logs_of(channels)
    confluence = await hub.gather(logs)
    try:
        if begin.cursor is not None:
            place, prelude = await _resumed(hub, confluence, begin.cursor)
        else:
            place, prelude = await _ready(hub, confluence, begin, list(dict.fromkeys(channels)), retry)
    except BaseException:
        hub.close(confluence)
        raise
    return SeveralReading(confluence, SeveralRenderer(frozenset(only)), 0, prelude, lasting=True, place=place)


async def _ready(
    hub: Hub, confluence: Confluence, begin: Beginning, channels: Sequence[str], retry: int
) -> tuple[Positions, bytes]:
    told = {"channels": channels}
    if begin.snapshot:
        place, snapshot = await _snapshot(hub, confluence)
        # Without an id: who loses the connection before the snapshot is to get it when it comes back.
        return place, control("ready", told, retry=retry) + snapshot
    heads = await _heads(hub, confluence)
    place = _earliest(confluence, heads) if begin.earliest else confluence.positions
    return place, control("ready", told, position=place, retry=retry)


async def _snapshot(hub: Hub, confluence: Confluence) -> tuple[Positions, bytes]:
    begun = await asyncio.gather(*[snapshot_of(hub, tail) for tail in confluence.members])
    place = Positions([each.position for each in begun])
    return place, snapshots_event(dict(zip(confluence.names, begun, strict=True)), place)


async def _heads(hub: Hub, confluence: Confluence) -> Sequence[Head]:
    return await asyncio.gather(*[hub.store.ensure(tail.log) for tail in confluence.members])


def _earliest(confluence: Confluence, heads: Sequence[Head]) -> Positions:
    members = confluence.members
    return Positions(
        [Position(tail.epoch, bounds(tail, head)[0] - 1) for tail, head in zip(members, heads, strict=True)]
    )


def bounds(tail: Tail, head: Head) -> tuple[int, int]:
    """The oldest and the newest offset of a log. The store may be ahead of what this process was told."""
    return (head.first, max(head.last, tail.head)) if head.epoch == tail.epoch else (1, tail.head)


async def _resumed(hub: Hub, confluence: Confluence, cursor: str) -> tuple[Positions, bytes]:
    members, heads = confluence.members, await _heads(hub, confluence)
    verdicts = [judge(cursor, tail.epoch, *bounds(tail, head)) for tail, head in zip(members, heads, strict=True)]
    found = [
        None if verdict.after is None else Position(tail.epoch, verdict.after)
        for tail, verdict in zip(members, verdicts, strict=True)
    ]
    # What this process was not told of yet is waited for on the way. Where a cursor names no place, it is the head.
    place = Positions([at or tail.position for at, tail in zip(found, members, strict=True)])
    for verdict in verdicts:
        hub.meter.add("resumes", 1, ("channel", verdict.reason))
    recovered = all(verdict.recovered for verdict in verdicts)
    told = {
        "recovered": recovered,
        "channels": {name: _told(verdict) for name, verdict in zip(confluence.names, verdicts, strict=True)},
    }
    return place, control("resume", told, position=None if recovered else place)


def _told(verdict: Verdict) -> dict[str, object]:
    return {"recovered": verdict.recovered, "reason": verdict.reason, "missed": verdict.missed}
