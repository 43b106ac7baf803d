"""How long events were held back on their way: when they arrived, against when the server says that they left."""

from __future__ import annotations

import json
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tailrace.client.doctor.facts import Watched

__all__ = ["Arrival", "arrival"]

_HELD: Final = 0.12
"""Seconds. HAProxy without `option http-no-delay` waits for 0.2 whether more is to be sent."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Of `count` events, one usually came `typical` seconds later than it should have, and one `worst` seconds.

    The clocks of both ends need not agree: the event that was quickest counts as not delayed at all. So what delays
    all events alike is not seen, and need not be: it is distance, not a buffer. The last event of a stream is among
    them, since whoever waits for more has nothing to wait for then.
    """

    count: int
    typical: float
    worst: float

    @property
    def held(self) -> bool:
        """Whether something collects events. A moment in which either end was busy delays only a few of them."""
        return self.count < 2 or self.typical > _HELD


def arrival(stream: Watched) -> Arrival:
    """Compare the two times of each tick."""
    delays = [
        (at - json.loads(event.data)["at"], event.event)
        for at, event in stream.events
        if event.event in {"tick", "end"}
    ]
    quickest = min([delay for delay, _ in delays], default=0.0)
    behind = [delay - quickest for delay, kind in delays if kind == "tick"]
    return Arrival(len(behind), median(behind or [0.0]), max(behind, default=0.0))
