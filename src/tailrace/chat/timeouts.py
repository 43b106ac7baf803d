"""How long an upstream may take, and the one timer that watches an exchange.

Only time is judged here: the transport tells the watch what it sees, and is told what has run out.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import msgspec

from tailrace.errors import ErrorType, ProviderError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Timeouts", "Watch"]


class Timeouts(msgspec.Struct, frozen=True):
    """The four timeouts of one provider, in seconds.

    `connect` covers name resolution, TCP and TLS; `first_token` runs from the request to the first
    piece of the answer (pings and lifecycle frames do not stop it); `idle` is silence after that, any
    byte ending it; `total` is the whole answer.

    Raises:
        SettingsError: one of them is not a positive, finite number.
    """

    connect: float = 5.0
    first_token: float = 60.0
    idle: float = 60.0
    total: float = 900.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            seconds = getattr(self, name)
            if not (math.isfinite(seconds) and seconds > 0):
                raise SettingsError(f"timeouts.{name} is {seconds}; expected a positive number of seconds")


class Watch:
    """The first-token, idle and total timeout of one exchange, on a single loop timer.

    A chunk costs two attribute writes: the timer is never moved by traffic, it looks when it fires
    whether the deadline has moved meanwhile and sleeps for the rest.
    """

    __slots__ = ("_armed_for", "_expire", "_first_due", "_handle", "_loop", "_timeouts", "_total_due", "waiting_since")

    def __init__(self, timeouts: Timeouts, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        self._loop = loop
        self._timeouts = timeouts
        self._total_due = now + timeouts.total
        self._first_due = now + timeouts.first_token
        self._armed_for = math.inf
        self._handle: asyncio.TimerHandle | None = None
        self._expire: Callable[[ProviderError], None] | None = None
        self.waiting_since = math.inf
        """Loop time at which the reader began to wait; infinity while it does not, since silence counts
        only while somebody listens: a consumer that takes its time is not the upstream's fault."""

    @property
    def head_due(self) -> float:
        """Loop time by which the response's head must be here."""
        return min(self._first_due, self._total_due)

    def head_overdue(self) -> ProviderError:
        """Say what ran out when `head_due` passed."""
        return self._first_token() if self._first_due <= self._total_due else self._total()

    def start(self, expire: Callable[[ProviderError], None]) -> None:
        """Begin to watch the body; `expire` is called, once at most, with what ran out."""
        self._expire = expire
        # No later than silence could be too long: so the first token, which moves what is due, moves no timer.
        self._arm(min(self.head_due, self._loop.time() + self._timeouts.idle))

    def token_seen(self) -> None:
        """The answer has begun: from here silence counts, not the first token."""
        if self._first_due != math.inf:
            self._first_due = math.inf
            self._arm(min(self._armed_for, self._loop.time() + self._timeouts.idle))

    def stop(self) -> None:
        """Forget the exchange. Safe to call again."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._expire = None

    def _arm(self, due: float) -> None:
        if self._expire is None or due == self._armed_for:
            return
        if self._handle is not None:
            self._handle.cancel()
        self._armed_for = due
        self._handle = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        error = self._overdue(now)
        if error is None:
            self._armed_for = math.inf
            self._arm(self._next_due(now))
        elif self._expire is not None:
            expire = self._expire
            self.stop()
            expire(error)

    def _overdue(self, now: float) -> ProviderError | None:
        if now >= self._total_due:
            return self._total()
        if self.waiting_since == math.inf:
            return None
        if now >= self._first_due:
            return self._first_token()
        if self._first_due == math.inf and now >= self.waiting_since + self._timeouts.idle:
            return self._idle()
        return None

    def _next_due(self, now: float) -> float:
        """Return the next moment to look: never after a deadline that can be known now."""
        limits = self._timeouts
        if self.waiting_since == math.inf:
            return min(self._total_due, now + min(limits.idle, limits.first_token))
        due = self.waiting_since + limits.idle if self._first_due == math.inf else self._first_due
        return min(self._total_due, due)

    def _first_token(self) -> ProviderError:
        limit = self._timeouts.first_token
        return ProviderError(ErrorType.PROVIDER_FIRST_TOKEN_TIMEOUT, f"the provider began no answer within {limit:g} s")

    def _idle(self) -> ProviderError:
        limit = self._timeouts.idle
        return ProviderError(ErrorType.PROVIDER_IDLE_TIMEOUT, f"the provider fell silent for {limit:g} s")

    def _total(self) -> ProviderError:
        limit = self._timeouts.total
        return ProviderError(ErrorType.PROVIDER_TOTAL_TIMEOUT, f"the answer was not complete after {limit:g} s")
