"""How long the client waits, and how often it tries again.

Only numbers are made here; sleeping is left to the shells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Patience", "Retries"]


@dataclass(frozen=True, slots=True)
class Patience:
    """Waiting times in seconds.

    `first` and `longest` bound the delay before another attempt, which doubles from one failure to
    the next; up to the share `jitter` of it is added, so that clients that lost the same server do
    not return at the same moment. `connect` and `answer` bound one attempt up to the head of its
    answer. `silence` is how long a stream may say nothing where the server announced no heartbeat.

    Raises ValueError for a negative or endless time.
    """

    first: float = 1.0
    longest: float = 30.0
    jitter: float = 0.5
    connect: float = 5.0
    answer: float = 30.0
    silence: float = 120.0

    def __post_init__(self) -> None:
        for field in fields(self):
            seconds = getattr(self, field.name)
            if not (math.isfinite(seconds) and seconds >= 0):
                raise ValueError(f"{field.name} is {seconds}; expected a number of seconds, 0 or more")


class Retries:
    """Failures in a row, and what each one costs in time. `random` returns a float in [0, 1)."""

    __slots__ = ("_attempts", "_failures", "_patience", "_random")

    def __init__(self, patience: Patience, attempts: int | None, random: Callable[[], float]) -> None:
        """Allow `attempts` failures in a row; None: any number."""
        if attempts is not None and attempts < 1:
            raise ValueError(f"attempts is {attempts}; expected 1 or more, or None")
        self._patience = patience
        self._attempts = attempts
        self._random = random
        self._failures = 0

    def succeeded(self) -> None:
        """Start counting anew."""
        self._failures = 0

    def failed(self, base: float | None = None, retry_after: float | None = None) -> float | None:
        """Return the delay before the next attempt, None where there is none left.

        `base` is the server's `retry:` and stands for the first delay. `retry_after` is the server's
        word for this one. Neither is ever undercut: jitter only adds.
        """
        self._failures += 1
        if self._attempts is not None and self._failures >= self._attempts:
            return None
        first = self._patience.first if base is None else base
        if self._failures > 1:
            # `retry:` is for a server that is there; a small one must not become a storm on one that is not.
            first = max(first, self._patience.first)
        doubled = first * 2 ** min(self._failures - 1, 32)
        delay = min(doubled, max(first, self._patience.longest)) if retry_after is None else retry_after
        return delay * (1 + self._patience.jitter * self._random())
