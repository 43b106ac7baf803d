"""Answers that say when to come again: to a resume as a stream, to anything else as a 503.

A native `EventSource` gives up for good on a 503; told within a stream, it comes back with its cursor.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import ceil

from tailrace.asgi.problem import Answer, problem
from tailrace.asgi.stream import HEADERS
from tailrace.errors import Overloaded, StoreUnavailable
from tailrace.hub import control

__all__ = ["NotNow", "come_back", "detail_of", "not_now", "reason_of", "wait_of"]

NotNow = StoreUnavailable | Overloaded

_SPREAD = 2000
"""Milliseconds over which those come back who are told in one moment."""


def come_back(reason: str, seconds: float, headers: Sequence[tuple[bytes, bytes]] = ()) -> Answer:
    """Tell a resume that it cannot be served now: a stream that says so, and ends. It is to come in `seconds`."""
    retry = int(seconds * 1000) + random.randint(0, _SPREAD)  # noqa: S311  # spreads reconnects, keeps no secret
    block = control("reconnect", {"reason": reason}, retry=retry)
    answer = Answer(200, block or b"")
    answer.headers = [*HEADERS, *headers]
    return answer


def not_now(error: NotNow) -> Answer:
    """Say that something cannot be had now, and when to come again."""
    code = "overloaded" if isinstance(error, Overloaded) else "store_unavailable"
    return problem(503, code, detail_of(error), headers={"retry-after": str(wait_of(error))})


def detail_of(error: NotNow) -> str:
    """What a caller reads of it. Where the store is, and what it said, is the operator's, and stands in the log."""
    return str(error) if isinstance(error, Overloaded) else "The store cannot be had now; come again."


def reason_of(error: NotNow) -> tuple[str, float]:
    """What a resume is told of it: the reason, and the seconds to wait."""
    return ("overloaded" if isinstance(error, Overloaded) else "unavailable", error.retry_after)


def wait_of(error: NotNow) -> int:
    """Whole seconds to wait. Those who are refused because of their number do not all come back at once."""
    spread = random.uniform(0.4, 1.6) if isinstance(error, Overloaded) else 1.0  # noqa: S311  # no secret either
    return ceil(error.retry_after * spread)
