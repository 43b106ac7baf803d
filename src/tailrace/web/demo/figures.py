"""What the demo shows, as a function of the second that it is.

So every instance of a fleet tells the same story, and it goes on where it was after a restart.
"""

from __future__ import annotations

import math
from random import Random
from typing import Any, Final

__all__ = ["LINES", "line", "load", "prices"]

LINES: Final = 12
"""Lines of the log that a page is shown when it opens."""

_OPENING: Final = {"EUR/USD": 1.0712, "GBP/USD": 1.2688, "USD/JPY": 151.3, "XAU/USD": 2384.0, "BTC/USD": 67_250.0}
_SWING: Final = 0.004  # of its opening price, either way

_REQUESTS: Final = ("GET /events/prices 200", "POST /api/chat 200", "GET /events 200", "POST /events/orders 200")
_WARNINGS: Final = ("a reader is 41 events behind", "retrying an upstream after 529", "a queue is half full")


def prices(second: int) -> dict[str, Any]:
    """The prices that are new in this second, as a patch to those before: some of them, and in each minute all."""
    names = [name for name in _OPENING if second % 60 == 0 or _dice(second, name).random() < 0.6]
    return {name: _quote(name, second) for name in names}


def _quote(name: str, second: int) -> dict[str, float]:
    opening = _OPENING[name]
    digits = 4 if opening < 10 else 2
    price = round(opening * (1 + _SWING * _wave(second, name)), digits)
    return {"price": price, "change": round(price / opening * 100 - 100, 3)}


def load(second: int) -> dict[str, Any]:
    """The whole state of the gauge: a load between 0 and 1, and requests a second."""
    share = round(0.5 + 0.4 * _wave(second * 4, "load"), 3)
    return {"load": share, "requests": round(share * 1800) + _dice(second, "requests").randrange(60)}


def line(second: int) -> dict[str, Any]:
    """A line of the log, as a patch: it takes the place of the one `LINES` seconds ago."""
    dice = _dice(second, "log")
    is_warning = dice.random() < 0.12
    text = dice.choice(_WARNINGS if is_warning else _REQUESTS)
    if not is_warning:
        text += f" {dice.randrange(1, 90)} ms"
    return {str(second % LINES): {"at": second, "level": "warning" if is_warning else "info", "text": text}}


def _wave(second: int, name: str) -> float:
    """Something that wanders between -1 and 1."""
    dice = Random(name)  # noqa: S311  # moves a needle, keeps no secret
    periods = [dice.uniform(20, 400) for _ in range(4)]
    tremble = _dice(second, name).uniform(-0.1, 0.1)
    return 0.9 * sum(math.sin(2 * math.pi * second / period) for period in periods) / len(periods) + tremble


def _dice(second: int, name: str) -> Random:
    return Random(f"{name} {second}")  # noqa: S311  # moves a needle, keeps no secret
