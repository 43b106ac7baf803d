"""The end of a reader's right to its stream: it is told, and sent away to come back with a new one.

Only a reader with such an end has a timer for it, beside its own.
"""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, Final

from tailrace.hub.subscription import Subscription
from tailrace.hub.wheel import TICK

if TYPE_CHECKING:
    from tailrace.hub.hub import Dismissal

__all__ = ["expire"]

_LOOK: Final = 60.0
"""Seconds between looks at the wall clock, which may be set."""


def expire(subscription: Subscription, ends: float) -> None:
    """Send a reader away at `ends`, in Unix seconds.

    One who would take that for a broken answer (`Subscription.dismiss`) reads on to the end of it.
    """
    expiry = _Expiry(subscription, ends)
    wheel = subscription.hub.wheel
    wheel.schedule(expiry, expiry.wait())
    subscription.also(partial(wheel.cancel, expiry))


class _Expiry:
    __slots__ = ("_ends", "_subscription", "slot")

    def __init__(self, subscription: Subscription, ends: float) -> None:
        self._subscription = subscription
        self._ends = ends
        self.slot = -1

    def wait(self) -> float:
        return min(max(0.0, self._ends - self._subscription.hub.clock.time()), _LOOK)

    def on_timer(self, now: float) -> float | None:
        wait = self.wait()
        if wait > 0:
            return wait
        if not self._subscription.bound:
            return None if self._subscription.closed else TICK  # its head is just being sent
        self._subscription.dismiss(*_expired(), reason="expired")
        return None


def _expired() -> Dismissal:
    # Spread: those who were let in by one token come back together.
    retry = random.randint(500, 3000)  # noqa: S311  # spreads reconnects, keeps no secret
    return "reconnect", {"reason": "expired"}, retry
