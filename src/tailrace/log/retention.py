"""How much of a log is kept: by count, by bytes and by age, whichever is reached first."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FOREVER", "Retention"]


@dataclass(frozen=True, slots=True)
class Retention:
    """The newest `events` records, at most `bytes` of them, none older than `age` seconds. None = no bound."""

    events: int | None = 1000
    bytes: int | None = 1_048_576
    age: float | None = 3600.0

    def __post_init__(self) -> None:
        """Refuse bounds that would keep nothing to resume from."""
        for name in ("events", "bytes", "age"):
            bound = getattr(self, name)
            if bound is not None and bound <= 0:
                raise ValueError(f"retention by {name} must be above 0, not {bound}")


FOREVER = Retention(events=None, bytes=None, age=None)
"""A run's: it is bounded by `max_run_bytes` and forgotten as a whole, some time after its end."""
