"""A line of the report: what was measured, what it is compared with, and where it should stand.

Targets are ratios wherever there is something to compare with in the same run, since figures
from one machine say little about another.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Row", "Target", "at_least", "at_most"]


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on a row's ratio where it has one, else on its figure."""

    kind: Literal["at most", "at least"]
    value: float

    def met_by(self, measured: float) -> bool:
        return measured <= self.value if self.kind == "at most" else measured >= self.value

    def __str__(self) -> str:
        return f"{self.kind} {self.value:g}"


def at_most(value: float) -> Target:
    return Target("at most", value)


def at_least(value: float) -> Target:
    return Target("at least", value)


@dataclass(frozen=True, slots=True)
class Row:
    """One result. `ratio` is `figure` to that of `against`, the median over pairs of the same run."""

    benchmark: str
    what: str
    figure: float
    unit: str
    ratio: float | None = None
    against: str = ""
    target: Target | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where the row has none."""
        if self.target is None:
            return None
        return self.target.met_by(self.figure if self.ratio is None else self.ratio)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"target": str(self.target) if self.target else None, "met": self.met}
