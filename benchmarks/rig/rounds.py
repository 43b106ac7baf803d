"""Repeats against noise: contestants take turns, and are compared within a turn.

On a small machine that others use too, a figure drifts by a third within minutes. Contestants
measured in turns A B C, A B C drift together, so the median of their ratios holds still.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

__all__ = ["Rounds", "play"]

Measured = TypeVar("Measured")


class Rounds(Generic[Measured]):
    """The measurements of each contestant, by name, one for each round."""

    def __init__(self, measured: Mapping[str, Sequence[Measured]]) -> None:
        self._measured = measured

    def __getitem__(self, name: str) -> Sequence[Measured]:
        return self._measured[name]

    def median(self, name: str, figure: Callable[[Measured], float]) -> float:
        return statistics.median(map(figure, self._measured[name]))

    def ratio(self, name: str, against: str, figure: Callable[[Measured], float]) -> float:
        """Return the median, over the rounds, of one contestant's figure to the other's."""
        return self.paired(name, against, lambda one, other: figure(one) / figure(other))

    def paired(self, name: str, against: str, compare: Callable[[Measured, Measured], float]) -> float:
        """Return the median, over the rounds, of what `compare` says of the two contestants."""
        return statistics.median(map(compare, self._measured[name], self._measured[against]))


def play(contestants: Mapping[str, Callable[[], Measured]], rounds: int) -> Rounds[Measured]:
    """Measure each contestant once in each round."""
    measured: dict[str, list[Measured]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, measure in contestants.items():
            measured[name].append(measure())
    return Rounds(measured)
