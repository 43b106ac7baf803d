"""How long to wait before a store that is away is asked again."""

from __future__ import annotations

import random
from collections.abc import Callable

__all__ = ["Backoff"]

_FIRST = 0.05
_LONGEST = 5.0


class Backoff:
    """Seconds to wait between attempts: doubled each time up to `longest`, and shortened at random.

    The randomness spreads those who lost the store at the same moment. `jitter` draws from [0, 1).
    """

    __slots__ = ("_jitter", "_longest", "_next")

    def __init__(self, jitter: Callable[[], float] = random.random, longest: float = _LONGEST) -> None:
        self._jitter = jitter
        self._longest = longest
        self._next = _FIRST

    def wait(self) -> float:
        """How long to wait now; longer at each call."""
        bound, self._next = self._next, min(self._next * 2, self._longest)
        return bound * (1 - self._jitter() / 2)
