"""Counting as an interface: the floors say what happened and how long it took, an operator's page or exporter reads it.

Names are dotted nouns (`streams.opened`, `store.seconds`), and what a name means, with the names of its labels, is
said where it is shown. The values of labels are words from closed lists, or names that an operator has set: never
what a caller sent, of which there is no end. The hot path counts once for each pass over many connections, never
once for each delivery.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

__all__ = ["BOUNDS", "Counters", "Durations", "Gauge", "Key", "Labels", "Meter", "Snapshot", "Spread"]

Labels: TypeAlias = tuple[str, ...]
Key: TypeAlias = tuple[str, Labels]
"""A name, and the values of its labels."""

Gauge: TypeAlias = Callable[[], float | Mapping[Labels, float]]
"""Says how much there is now: a number, or one for each set of labels."""

BOUNDS: Final = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0),
)
"""Seconds between which durations are told apart: from a turn of the event loop to the longest answer."""


class Durations:
    """How long something took, each time: in seconds, sorted between `BOUNDS`. Kept by whoever measures it often."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Take one."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


class Meter(Protocol):
    """Where the floors report what happened."""

    def add(self, name: str, amount: float = 1, labels: Labels = ()) -> None:
        """Add `amount` to the counter called `name`."""
        ...

    def durations(self, name: str, labels: Labels = ()) -> Durations:
        """Where the durations called `name` are kept; always the same object."""
        ...

    def gauge(self, name: str, read: Gauge) -> None:
        """Have `read` say how much there is now of what is called `name`. Asked rarely; must not block or raise."""
        ...


@dataclass(frozen=True, slots=True)
class Spread:
    """How often something took how long: a count for each of `BOUNDS` (and one above), and the seconds in all."""

    counts: Sequence[int]
    total: float

    def plus(self, other: Spread) -> Spread:
        """Return both together."""
        return Spread([one + two for one, two in zip(self.counts, other.counts, strict=True)], self.total + other.total)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All figures of a moment, by name and labels: what only rises (`sums`, `spreads`) and what there is (`gauges`)."""

    sums: Mapping[Key, float] = field(default_factory=dict)
    spreads: Mapping[Key, Spread] = field(default_factory=dict)
    gauges: Mapping[Key, float] = field(default_factory=dict)

    def sum(self, name: str) -> float:
        """What was added to `name`, whatever its labels."""
        return sum(value for (each, _), value in self.sums.items() if each == name)


class Counters:
    """A meter that keeps its figures in this process."""

    __slots__ = ("_durations", "_gauges", "_sums")

    def __init__(self) -> None:
        self._sums: defaultdict[Key, float] = defaultdict(int)
        self._durations: dict[Key, Durations] = {}
        self._gauges: dict[str, Gauge] = {}

    def add(self, name: str, amount: float = 1, labels: Labels = ()) -> None:
        """Add `amount` to the counter called `name`."""
        self._sums[name, labels] += amount

    def durations(self, name: str, labels: Labels = ()) -> Durations:
        """Where the durations called `name` are kept; always the same object."""
        kept = self._durations.get((name, labels))
        if kept is None:
            kept = self._durations[name, labels] = Durations()
        return kept

    def gauge(self, name: str, read: Gauge) -> None:
        """Have `read` say how much there is now of what is called `name`; instead of who said it before."""
        self._gauges[name] = read

    def __getitem__(self, name: str) -> float:
        """What was added to `name` so far, whatever its labels; 0 where nothing was."""
        return self.sum(name)

    def sum(self, name: str, *first: str) -> float:
        """What was added to `name` so far where its labels begin with these values."""
        size = len(first)
        return sum([value for (each, labels), value in self._sums.items() if each == name and labels[:size] == first])

    def spread(self, name: str) -> Spread:
        """All durations called `name` so far, whatever their labels."""
        each = [kept for (called, _), kept in self._durations.items() if called == name]
        counts = [sum(column) for column in zip(*[kept.counts for kept in each], strict=True)]
        return Spread(counts or [0] * (len(BOUNDS) + 1), sum(kept.total for kept in each))

    def snapshot(self) -> Snapshot:
        """All figures of this moment; what is counted later is not in it."""
        spreads = {key: Spread(tuple(each.counts), each.total) for key, each in self._durations.items()}
        gauges: dict[Key, float] = {}
        for name, read in self._gauges.items():
            value = read()
            each = value if isinstance(value, Mapping) else {(): value}
            gauges |= {(name, labels): amount for labels, amount in each.items()}
        return Snapshot(dict(self._sums), spreads, gauges)
