"""How long a store takes for what it is asked, and what it refuses.

What follows a log is told by the store itself, and costs nothing here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from time import monotonic
from typing import Any, Final

from tailrace.errors import LogEnded, StoreUnavailable
from tailrace.log.store import Store
from tailrace.observe import Meter

__all__ = ["measure"]

_OPERATIONS: Final = ("append", "create", "drop", "ensure", "head", "publish", "read", "snapshot")

_Operation = Callable[..., Awaitable[Any]]


def measure(store: Store, meter: Meter) -> None:
    """Have a store's operations measured from now on: `store.seconds` of each, `store.errors` by what went wrong.

    It stays the object that it is, with all that it can do beside a `Store`.
    """
    for name in _OPERATIONS:
        setattr(store, name, _timed(name, getattr(store, name), meter))


def _timed(name: str, operation: _Operation, meter: Meter) -> _Operation:
    taken = meter.durations("store.seconds", (name,))

    @wraps(operation)
    async def timed(*arguments: Any, **named: Any) -> Any:
        began = monotonic()
        try:
            return await operation(*arguments, **named)
        except Exception as error:
            meter.add("store.errors", 1, (name, _kind(error)))
            raise
        finally:
            taken.observe(monotonic() - began)

    return timed


def _kind(error: Exception) -> str:
    """What went wrong, in a word of a closed list."""
    if isinstance(error, StoreUnavailable):
        return "unavailable"
    return "ended" if isinstance(error, LogEnded) else "fault"
