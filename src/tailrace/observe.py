"""Counting as an interface: the floors say what happened, an operator's page or exporter reads it.

Names are dotted nouns (`streams.opened`, `cuts.write_timeout`); amounts are plain numbers. The hot
path counts once for each pass over many connections, never once for each delivery.
"""

from __future__ import annotations

from collections import Counter
from typing import Protocol

__all__ = ["Counters", "Meter"]


class Meter(Protocol):
    """Where the floors report what happened."""

    def add(self, name: str, amount: float = 1) -> None:
        """Add `amount` to the counter called `name`."""
        ...


class Counters:
    """A meter that keeps its sums in this process."""

    __slots__ = ("_sums",)

    def __init__(self) -> None:
        self._sums: Counter[str] = Counter()

    def add(self, name: str, amount: float = 1) -> None:
        """Add `amount` to the counter called `name`."""
        self._sums[name] += amount  # type: ignore[assignment]  # a Counter of floats adds just as well

    def __getitem__(self, name: str) -> float:
        """What was added to `name` so far; 0 where nothing was."""
        return self._sums[name]
