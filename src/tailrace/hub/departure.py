"""How a process that leaves sends its readers elsewhere: one after the other, so that nobody is met by all of them.

Each reader who is here when it begins draws its moment; who comes later is sent on at once. Whose log ends
before its moment simply reads that end.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from tailrace.hub.subscription import Subscription

if TYPE_CHECKING:
    from tailrace.hub.hub import Dismissal, Hub

__all__ = ["Departure"]

_LASTING = 3.0
"""Seconds in which the readers of channels go: they wait for nothing here, and hear everything elsewhere."""


class Departure:
    """The way out of `hub`, over `window` seconds. `draw` gives a number from [0, 1)."""

    def __init__(
        self,
        hub: Hub,
        dismissal: Callable[[], Dismissal],
        window: float,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._hub = hub
        self._dismissal = dismissal
        self._window = window
        self._draw = draw
        self._moments: list[tuple[float, Subscription]] | None = None

    def step(self, *, elsewhere: bool) -> None:
        """Send away whose moment has come. Called again and again.

        While there is no `elsewhere`, only the readers of channels go, and at once: no end is to be waited for.
        """
        hub = self._hub
        hub.dismisses_all = elsewhere
        if not elsewhere:
            hub.dismiss_lasting(self._dismissal)
            return
        hub.dismissal = self._dismissal
        now = hub.clock.monotonic()
        if self._moments is None:
            drawn = [(self._moment(each, now), each) for each in hub.subscriptions]
            self._moments = sorted(drawn, key=lambda moment: moment[0], reverse=True)
        while self._moments and self._moments[-1][0] <= now:
            _, subscription = self._moments.pop()
            if not subscription.view.tail.ended:
                subscription.dismiss(*self._dismissal())

    def _moment(self, subscription: Subscription, now: float) -> float:
        window = min(_LASTING, self._window) if subscription.lasting else self._window
        return now + self._draw() * window
