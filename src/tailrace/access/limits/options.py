"""How much a caller may use, as an operator says."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

__all__ = ["MINUTE", "Fail", "LimitOptions", "Limits"]

MINUTE = 60.0
"""Seconds that rates are counted over. All of a minute may come at once, after a minute without any."""

Fail = Literal["open", "closed", "local"]
"""What counts while the shared store is away: nothing, nobody is let in, or each process for itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on one caller. None: nothing is said of it; 0: there is no bound."""

    requests_per_minute: int | None = None
    concurrent_streams: int | None = None
    tokens_per_minute: int | None = None

    def __post_init__(self) -> None:
        """Refuse what is no bound. Raises `ValueError`."""
        for field in fields(self):
            bound = getattr(self, field.name)
            if bound is not None and bound < 0:
                raise ValueError(f"{field.name} must be 0 or more, not {bound}")

    def over(self, defaults: Limits) -> Limits:
        """These, and the defaults' where nothing is said."""
        both = [(field.name, getattr(self, field.name), getattr(defaults, field.name)) for field in fields(self)]
        return Limits(**{name: default if own is None else own for name, own, default in both})

    @property
    def any(self) -> bool:
        """Whether anything is bounded."""
        return bool(self.requests_per_minute or self.concurrent_streams or self.tokens_per_minute)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitOptions:
    """What is counted: `caller` bounds each caller who has no limits of its own; `fail` is for a store that is away."""

    caller: Limits = Limits()
    fail: Fail = "local"
