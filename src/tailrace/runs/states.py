"""The states of a run, as a table.

    running ──┬─> finished      the model, or the producer, came to its end
              ├─> failed        something broke; what was said is kept
              ├─> cancelled     somebody asked for it, or nobody watched any more
              └─> interrupted   the process that produced it stopped or died

A run ends exactly once: a terminal state leads nowhere.
"""

from __future__ import annotations

from enum import StrEnum

from tailrace.errors import ErrorType

__all__ = ["NEXT", "Status", "ending"]


class Status(StrEnum):
    """Where a run stands."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


NEXT: dict[Status, frozenset[Status]] = {
    Status.RUNNING: frozenset({Status.FINISHED, Status.FAILED, Status.CANCELLED, Status.INTERRUPTED}),
    Status.FINISHED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELLED: frozenset(),
    Status.INTERRUPTED: frozenset(),
}

_ENDINGS = {
    ErrorType.CALLER_CANCELLED: Status.CANCELLED,
    ErrorType.CALLER_GONE: Status.CANCELLED,
    ErrorType.TAILRACE_INTERRUPTED: Status.INTERRUPTED,
}


def ending(error: ErrorType) -> Status:
    """The state that a run ends in because of `error`."""
    return _ENDINGS.get(error, Status.FAILED)
