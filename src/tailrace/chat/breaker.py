"""When to stop asking a target that fails, and how to find out that it answers again.

    CLOSED      everybody may ask
      | `failures` in a row, or the share `rate` of at least `least` tries within `window` seconds
      v
    OPEN        nobody may, until the cool-down is over
      | the cool-down is over, and somebody asks
      v
    HALF_OPEN   one may: the probe
      | the probe begins to answer: CLOSED       | it fails: OPEN, for twice as long

Pure: time and chance are arguments, and nothing is ever waited for. What a failure is, and what is done
instead, is left to `retries` and `course`.
"""

from __future__ import annotations

import math
import random
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, NamedTuple

from msgspec import Meta

from tailrace.chat.checked import Checked
from tailrace.chat.rate import Rate
from tailrace.clock import SYSTEM, Clock

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Breaker", "BreakerOptions", "State", "Ticket"]

_LONGEST = 8
"""How many times the first cool-down the longest may be: a target that is back is asked within that."""


class State(StrEnum):
    """Who may ask; the module says how one leads to another."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class _Outcome(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"


# What an outcome leads to. In CLOSED a failure does so only once there are enough of them; in OPEN there are
# outcomes because somebody who had nobody else to ask was let through.
_NEXT = {
    (State.CLOSED, _Outcome.FAILED): State.OPEN,
    (State.OPEN, _Outcome.SUCCEEDED): State.CLOSED,
    (State.HALF_OPEN, _Outcome.SUCCEEDED): State.CLOSED,
    (State.HALF_OPEN, _Outcome.FAILED): State.OPEN,
}


class BreakerOptions(Checked, frozen=True, kw_only=True):
    """When a breaker opens, and for how long; `window` and `cooldown` are seconds."""

    failures: Annotated[int, Meta(ge=1)] = 5
    rate: Annotated[float, Meta(gt=0, le=1)] = 0.5
    window: Annotated[float, Meta(gt=0, le=86_400)] = 30.0
    least: Annotated[int, Meta(ge=1)] = 20
    cooldown: Annotated[float, Meta(gt=0, le=86_400)] = 10.0


class Ticket(NamedTuple):
    """Leave to ask once, to be given back to its breaker with what came of it.

    What came of a try tells nothing about a state that began after it did: such a ticket's `generation` is
    past, and giving it back does nothing.
    """

    generation: int
    probe: bool = False


class Breaker:
    """The breaker of one target.

    Every ticket has to come back, once: by `succeeded`, `failed` or `released`. `jitter` draws from
    [0, 1); `changed` is told each new state.
    """

    __slots__ = (
        "_changed",
        "_clock",
        "_cooldown",
        "_jitter",
        "_options",
        "_probing",
        "_rate",
        "_reopens",
        "_row",
        "_state",
        "_ticket",
    )

    def __init__(
        self,
        options: BreakerOptions | None = None,
        *,
        clock: Clock = SYSTEM,
        jitter: Callable[[], float] = random.random,
        changed: Callable[[State], None] = lambda _: None,
    ) -> None:
        self._options = options or BreakerOptions()
        self._clock = clock
        self._jitter = jitter
        self._changed = changed
        self._state = State.CLOSED
        self._ticket = Ticket(0)  # what everybody gets who is no probe
        self._probing = False
        self._row = 0  # failures in a row
        self._rate = Rate(self._options.window)
        self._cooldown = self._options.cooldown  # of the next opening
        self._reopens = math.inf

    @property
    def state(self) -> State:
        """Who may ask now."""
        if self._state is State.OPEN and self._clock.monotonic() >= self._reopens:
            return State.HALF_OPEN
        return self._state

    def admit(self) -> Ticket | None:
        """Return leave to ask, or None: not now."""
        if self._state is State.CLOSED:
            return self._ticket
        if self.state is State.OPEN or self._probing:
            return None
        if self._state is State.OPEN:
            self._enter(State.HALF_OPEN)
        self._probing = True
        return self._ticket._replace(probe=True)

    def force(self) -> Ticket:
        """Return leave to ask in spite of everything: for who has nobody else to ask."""
        return self._ticket

    def began(self, ticket: Ticket) -> Ticket:
        """Tell that the answer has begun; the ticket that it returns is to be given back instead.

        A probe has then shown what it was sent for, however long its answer takes.
        """
        if not ticket.probe:
            return ticket
        self._settle(ticket, _Outcome.SUCCEEDED)
        return self._ticket

    def succeeded(self, ticket: Ticket) -> None:
        """Give a ticket back: the target answered."""
        if ticket.generation == self._ticket.generation and self._state is State.CLOSED:
            self._row = 0
            self._rate.add(self._clock.monotonic(), failed=False)
        else:
            self._settle(ticket, _Outcome.SUCCEEDED)

    def failed(self, ticket: Ticket) -> None:
        """Give a ticket back: the target failed."""
        if ticket.generation == self._ticket.generation and self._state is State.CLOSED and not self._too_many():
            return
        self._settle(ticket, _Outcome.FAILED)

    def released(self, ticket: Ticket) -> None:
        """Give a ticket back that says nothing about the target: nobody waited for it, or it was the caller's fault."""
        if ticket.probe and ticket.generation == self._ticket.generation:
            self._probing = False

    def _too_many(self) -> bool:
        """Count a failure; return whether it is one too many."""
        now = self._clock.monotonic()
        self._row += 1
        self._rate.add(now, failed=True)
        tries, failures = self._rate.totals(now)
        return self._row >= self._options.failures or (
            tries >= self._options.least and failures >= tries * self._options.rate
        )

    def _settle(self, ticket: Ticket, outcome: _Outcome) -> None:
        following = _NEXT.get((self._state, outcome))
        if following is not None and ticket.generation == self._ticket.generation:
            self._enter(following)

    def _enter(self, state: State) -> None:
        self._state = state
        self._ticket = Ticket(self._ticket.generation + 1)
        self._probing = False
        if state is State.OPEN:
            # At random up to a half shorter: instances that lost the target together come back one by one.
            self._reopens = self._clock.monotonic() + self._cooldown * (1 - self._jitter() / 2)
            self._cooldown = min(self._cooldown * 2, self._options.cooldown * _LONGEST)
        elif state is State.CLOSED:
            self._cooldown = self._options.cooldown
            self._row = 0
            self._rate.clear()
        self._changed(state)
