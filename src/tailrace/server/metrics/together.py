"""The figures of several processes as one: as JSON from one to another, and added up.

What only rises is summed, also over processes that are gone; what there is now comes from those that answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from tailrace.observe import Key, Snapshot, Spread
from tailrace.server.metrics.catalog import CATALOG, Together

__all__ = ["as_json", "from_json", "risen", "together"]

_RULES: Final[Mapping[Together, Callable[[Iterable[float]], float]]] = {"sum": sum, "most": max, "least": min}
_OF: Final = {metric.name: _RULES[metric.together] for metric in CATALOG}


def as_json(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot in what JSON can carry."""
    return {
        "sums": [[name, labels, value] for (name, labels), value in snapshot.sums.items()],
        "spreads": [[name, labels, each.counts, each.total] for (name, labels), each in snapshot.spreads.items()],
        "gauges": [[name, labels, value] for (name, labels), value in snapshot.gauges.items()],
    }


def from_json(said: Mapping[str, Any]) -> Snapshot:
    """Read what `as_json` wrote, by this release or another."""
    return Snapshot(
        {(name, tuple(labels)): value for name, labels, value in said.get("sums", ())},
        {(name, tuple(labels)): Spread(counts, total) for name, labels, counts, total in said.get("spreads", ())},
        {(name, tuple(labels)): value for name, labels, value in said.get("gauges", ())},
    )


def risen(each: Sequence[Snapshot]) -> Snapshot:
    """What only rises of all of them together: what is left of processes that are gone."""
    sums: defaultdict[Key, float] = defaultdict(int)
    spreads: dict[Key, Spread] = {}
    for snapshot in each:
        for key, value in snapshot.sums.items():
            sums[key] += value
        for key, spread in snapshot.spreads.items():
            known = spreads.get(key)
            # Of another release, which tells other durations apart: the newer one's, since nothing adds up.
            comparable = known is not None and len(known.counts) == len(spread.counts)
            spreads[key] = known.plus(spread) if known is not None and comparable else spread
    return Snapshot(sums, spreads)


def together(said: Sequence[Snapshot], left: Sequence[Snapshot]) -> Snapshot:
    """The figures of all processes: those that answer, and those that are gone."""
    total = risen([*left, *said])
    gauges: defaultdict[Key, list[float]] = defaultdict(list)
    for snapshot in said:
        for key, value in snapshot.gauges.items():
            gauges[key].append(value)
    return Snapshot(total.sums, total.spreads, {key: _OF.get(key[0], sum)(each) for key, each in gauges.items()})
