"""What happens to a connection, for those who want to show it. The events do not depend on it."""

from __future__ import annotations

from dataclasses import dataclass

from tailrace.errors import TailraceError

__all__ = ["Connected", "Ended", "Notice", "Reconnecting", "Resumed"]


@dataclass(frozen=True, slots=True)
class Connected:
    """The server answered with a stream."""


@dataclass(frozen=True, slots=True)
class Reconnecting:
    """The connection is gone, for `reason`; the next attempt follows in `delay` seconds."""

    delay: float
    reason: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """The server's verdict on the cursor: `recovered`, or else why not and how many events were missed.

    `missed` is None where the server cannot tell.
    """

    recovered: bool
    reason: str
    missed: int | None


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing more will come: the server has no more, or there is an `error`, which iterating raises next."""

    error: TailraceError | None = None


Notice = Connected | Reconnecting | Resumed | Ended
