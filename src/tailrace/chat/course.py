"""The way of one answer through its route: who is tried next, and when it is over.

Sans-IO: `router` asks the providers and tells what came of it; the breakers and the list of attempts
are kept here.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tailrace.chat.attempts import ABANDONED, ANSWERED, SKIPPED, Attempt
from tailrace.chat.breaker import Ticket
from tailrace.chat.retries import Step, counts, judge, pause
from tailrace.clock import SYSTEM, Clock
from tailrace.runs.deltas import Restart

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tailrace.chat.breaker import Breaker
    from tailrace.chat.models import Policy, Target
    from tailrace.errors import ProviderError
    from tailrace.runs.deltas import Usage

__all__ = ["Chance", "Course"]

_FREE = Ticket(-1)  # no leave was needed


@dataclass(frozen=True, slots=True)
class Chance:
    """Time and chance; `jitter` draws from [0, 1)."""

    clock: Clock = SYSTEM
    jitter: Callable[[], float] = random.random


class Course:
    """The decisions of one answer.

    First `begin`; then, for the `target` in turn, `answered` at the first content, and one of
    `completed`, `abandoned` and `failed`. Where `failed` returned a wait, `started` tells that it is
    over and the next try begins; where it returned None, so is the answer.
    """

    __slots__ = (
        "_attempts",
        "_breaker",
        "_breakers",
        "_broke",
        "_chance",
        "_failures",
        "_forced",
        "_left",
        "_open",
        "_policy",
        "_skipped",
        "_speaking",
        "_started",
        "_ticket",
        "_usage",
        "_waited",
        "target",
    )

    def __init__(
        self,
        targets: Sequence[Target],
        policy: Policy,
        breakers: Mapping[Target, Breaker],
        attempts: list[Attempt],
        chance: Chance,
    ) -> None:
        self.target = targets[0]
        self._policy = policy
        self._breakers = breakers
        self._attempts = attempts
        self._chance = chance
        self._left = iter(targets)
        self._skipped: list[Target] = []
        self._forced = False
        self._breaker: Breaker | None = None  # of the target in turn
        self._ticket = _FREE
        self._failures = 0  # of the target in turn
        self._waited = (0.0, False)  # before the try in turn, and whether it was asked for
        self._started = 0.0
        self._open = False  # the try in turn is noted as one that is given up, until it is known what came of it
        self._speaking = False  # the try in turn has said something
        self._usage: Usage | None = None  # of the try in turn, as far as it is told
        self._broke: str | None = None  # why an answer that had begun did not go on

    def begin(self) -> None:
        """Find the first target to ask."""
        if not self._advance():
            # All of them failed too often lately; an answer is more likely from one of them than from none.
            self._forced = True
            self._left = iter(self._skipped)
            self._advance()
        self.started()

    def started(self) -> None:
        """The try in turn begins."""
        self._started = self._chance.clock.monotonic()
        self._usage = None
        # At once: a run that is cancelled tells whom it was waiting for before anything is given up here.
        self._note(ABANDONED)
        self._open = True

    def counted(self, usage: Usage) -> None:
        """The try in turn told what it costs so far."""
        self._usage = usage if self._usage is None else self._usage.updated(usage)
        if self._open:
            self._note(ABANDONED, usage=self._usage)
            self._open = True

    def answered(self) -> Restart | None:
        """The first content is here: what was said before by another target, if anything, is void from now on."""
        self._speaking = True
        self._note(ANSWERED)
        if self._breaker is not None:
            self._ticket = self._breaker.began(self._ticket)
        if self._broke is None:
            return None
        return Restart(self.target.provider, self.target.model, self._broke)

    def completed(self) -> None:
        """The answer is complete."""
        if self._breaker is not None:
            self._breaker.succeeded(self._ticket)

    def abandoned(self) -> None:
        """Nobody waits for the answer any more."""
        if self._speaking:
            self.completed()  # as far as it was waited for, the target answered
            return
        if self._breaker is not None:
            self._breaker.released(self._ticket)
        self._note(ABANDONED, usage=self._usage)

    def failed(self, error: ProviderError) -> float | None:
        """The try in turn failed. Return the seconds to wait before `target` is asked, None where it is over."""
        step = judge(error, spoke=self._speaking)
        over = step is Step.NOWHERE or (self._speaking and self._policy.after_content == "fail")
        # What was said stands, if the answer ends with it, and what it cost is the run's usage.
        self._record(error, step, None if self._speaking and over else self._usage)
        if over:
            return None
        if self._speaking:
            self._speaking, self._broke = False, error.type
        wait = self._next_try(error, step)
        if wait is not None:
            self.started()  # who leaves during the wait has left this try
        return wait

    def _record(self, error: ProviderError, step: Step, usage: Usage | None) -> None:
        if self._speaking:
            self._attempts.pop()  # it was noted as answered
        self._note(error.type, error.status, usage)
        if self._breaker is not None:
            (self._breaker.failed if counts(error, step) else self._breaker.released)(self._ticket)
        self._failures += 1

    def _next_try(self, error: ProviderError, step: Step) -> float | None:
        self._waited = (0.0, False)
        if step is Step.AGAIN and self._failures <= self._policy.retries and not self._forced:
            wait = pause(error.retry_after, self._failures, self._chance.jitter())
            if wait is not None and self._admitted(self.target):
                self._waited = (wait, error.retry_after is not None)
                return wait
        return 0.0 if self._advance() else None

    def _advance(self) -> bool:
        """Go to the next target that may be asked; return whether there is one."""
        for target in self._left:
            if self._admitted(target):
                self.target = target
                self._failures = 0
                return True
            self._skipped.append(target)
            self._attempts.append(Attempt(target, SKIPPED))
        return False

    def _admitted(self, target: Target) -> bool:
        breaker = self._breaker = self._breakers.get(target)
        if breaker is None:
            return True
        ticket = breaker.force() if self._forced else breaker.admit()
        self._ticket = ticket or _FREE
        return ticket is not None

    def _note(self, outcome: str, status: int | None = None, usage: Usage | None = None) -> None:
        seconds = self._chance.clock.monotonic() - self._started
        if self._open:
            self._attempts.pop()
            self._open = False
        self._attempts.append(Attempt(self.target, outcome, seconds, status, *self._waited, usage))
