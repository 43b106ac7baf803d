"""Where each open stream stands: how far behind its reader is, and what keeps it there.

It is only looked at what is there anyway. An idle stream costs 0.2 us, and one of an answer 4 us, so a page that asks
each second costs a server with a thousand of them some thousandths of a core.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from tailrace.facade import Tailrace
from tailrace.hub import Confluence, Subscription, Tail
from tailrace.hub.several import Gathered
from tailrace.log import RESERVED
from tailrace.log.record import RECORD_OVERHEAD, size_of
from tailrace.runs import Run, RunMeta

__all__ = ["SHOWN_OF_RUN", "standings"]

SHOWN_OF_RUN: Final = 10
"""Characters of a run's id that are shown. All of it is the right to the answer, where nobody says who they are."""
_SILENT: Final = 1.0
"""Seconds after which it is worth a word that an answer's provider says nothing."""
_SAMPLE: Final = 64
"""Records from which the size of what a reader has not got is told."""
_LONGEST: Final = 200
"""Characters of a name that is shown."""


class _Standing(NamedTuple):
    """One stream, or an answer that nobody reads here (`subscription` is None). The worst is the greatest."""

    lag: int
    seconds: float
    number: int  # so that nothing behind it is ever compared
    why: str
    subscription: Subscription | None
    run: Run | None


def standings(tailrace: Tailrace, lines: Mapping[str, int], most: int, zero: float) -> list[dict[str, Any]]:
    """The `most` streams that are furthest behind, or have waited longest, the worst first.

    `lines` says for each provider how many answers wait for a place, `zero` is the Unix time at which the monotonic
    clock stood at 0. A stream has `log` (`run`, `channel`, `channels` or `page`), `name` (of a run the beginning of its
    id), `model`, `dialect`, `reader`, `opened` in Unix seconds, `records` and `bytes` behind (None: nobody here knows),
    `pending` bytes on their way, and `why` it waits, for how many `seconds`:

    `socket` (the peer takes nothing), `history` (it reads what is not in memory), `behind` (it is being written to),
    `ahead` (the provider waits for the reader), `place` (so does the answer for its provider), `first` (the provider
    has said nothing yet), `upstream` (it says nothing now), `unwatched` (nobody reads it here), or empty.
    """
    now = tailrace.hub.clock.monotonic()
    runs = {run.tail: run for run in tailrace.runs.live.values()}
    found: list[_Standing] = []
    idle: list[_Standing] = []  # most are: a few of them stand for all
    for number, each in enumerate(tailrace.hub.subscriptions):
        tail = each.view.tail
        if tail in runs or each.full or each.cursor != tail.head:
            found.append(_stands(number, each, runs.get(tail), lines, now))
        elif len(idle) < most:
            idle.append(_Standing(0, 0.0, number, "", each, None))
    unwatched = [run for run in runs.values() if not run.viewers]
    found += [_Standing(0, 0.0, -number, "unwatched", None, run) for number, run in enumerate(unwatched, 1)]
    return [_told(each, now, zero) for each in heapq.nlargest(most, [*found, *idle])]


def _stands(
    number: int, subscription: Subscription, run: Run | None, lines: Mapping[str, int], now: float
) -> _Standing:
    lag, stuck = _lag(subscription), subscription.stuck_since
    if stuck is not None:
        return _Standing(lag, now - stuck, number, "socket", subscription, run)
    if subscription.catching_up:
        return _Standing(lag, 0.0, number, "history", subscription, run)
    why, seconds = _of_run(run, lines, now) if run is not None else ("", 0.0)
    return _Standing(lag, seconds, number, why or ("behind" if lag else ""), subscription, run)


def _of_run(run: Run, lines: Mapping[str, int], now: float) -> tuple[str, float]:
    silent = now - run.said_at
    if silent < _SILENT:
        return "", 0.0
    if run.pace is not None and (read := run.tail.furthest) is not None and run.pace.exceeded(read):
        return "ahead", silent
    if run.ledger.first_token is None:
        return ("place" if lines.get(run.options.provider) else "first"), silent
    return "upstream", silent


def _lag(subscription: Subscription) -> int:
    """Records between a reader and the head of what it reads."""
    if isinstance(subscription, Gathered) and subscription.place is not None:
        heads = subscription.confluence.positions
        places = zip(heads, subscription.place, strict=True)
        return sum(_between(head.epoch, at.epoch, head.offset, at.offset) for head, at in places)
    tail = subscription.view.tail
    return _between(tail.epoch, subscription.epoch, tail.head, subscription.cursor)


def _between(epoch: str, of: str, head: int, cursor: int) -> int:
    after = cursor if epoch == of else 0
    if after < RESERVED < head:  # an end in its producer's place: nobody knows what would have been before it
        return head - RESERVED
    return max(0, head - after)


def _told(stands: _Standing, now: float, zero: float) -> dict[str, Any]:
    subscription, run = stands.subscription, stands.run
    told = {"why": stands.why, "seconds": round(stands.seconds, 1), "records": stands.lag}
    if subscription is None:
        return told | _of_unwatched(run, now, zero)
    tail = subscription.view.tail
    return told | {
        **_named(tail, run),
        "dialect": subscription.view.renderer.dialect,
        "reader": subscription.reader[:_LONGEST],
        "opened": round(zero + subscription.opened_at, 2),
        "bytes": _size(tail, subscription.cursor, stands.lag),
        "pending": subscription.pending,
    }


def _of_unwatched(run: Run | None, now: float, zero: float) -> dict[str, Any]:
    if run is None:
        return {}
    return {
        **_named(run.tail, run),
        "dialect": "",
        "reader": run.options.owner or "",
        "opened": round(zero + now - run.ledger.account(now).seconds, 2),
        "bytes": 0,
        "pending": 0,
    }


def _named(tail: Tail, run: Run | None) -> dict[str, str]:
    kind, _, name = tail.log.partition(":")
    if kind == "run":
        model = run.options.model if run is not None else RunMeta.parse(tail.meta).model
        return {"log": "run", "name": name[:SHOWN_OF_RUN], "model": model[:_LONGEST]}
    if isinstance(tail, Confluence):
        return {"log": "channels", "name": tail.log.replace("channel:", "").replace(",", ", ")[:_LONGEST], "model": ""}
    return {"log": "channel" if kind == "channel" else "page", "name": name[:_LONGEST], "model": ""}


def _size(tail: Tail, cursor: int, lag: int) -> int | None:
    """About how many bytes of text `lag` records past `cursor` have; None where none of them is in memory."""
    if not lag:
        return 0
    # Where the beginning is not held, the newest records stand for all of them.
    for after in (cursor, tail.head - _SAMPLE, tail.head - _SAMPLE // 4, tail.head - 1):
        held: Sequence[Any] = [*islice(tail.since(after) or (), _SAMPLE)]
        if held:
            return (size_of(held) // len(held) - RECORD_OVERHEAD) * lag
    return None
