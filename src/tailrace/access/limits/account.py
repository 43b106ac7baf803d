"""What one caller uses, as far as this process knows, and what it is to be refused for.

Where nothing is shared this is all there is. Where the instances share a store, that judges, and what it says is kept
here: for the budget of an answer while it streams, and for the time in which the store is away. `now` is always the
process's monotonic clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from itertools import count

from tailrace.access.limits.gcra import Rate
from tailrace.access.limits.options import MINUTE, Limits
from tailrace.log.quotas import Claim, Over, Standing

__all__ = ["Account", "Asked"]

_RESUMES = 10
"""Resumes that count as much as one request. They cost no model, and after a deploy everybody's come at once."""
_REPLACING = 2
"""How often a caller's streams there may be while they are being resumed: the connection that a client has lost is
noticed here later than there, and who comes back must not be refused for the sake of it."""
_WITHIN = Over(0)
_NUMBERS = count(1)
"""Of claims: one that was made for a caller before it was forgotten here is still older than any that comes."""


class Asked(StrEnum):
    """What a request counts as: the name of the bucket that it fills."""

    REQUEST = "requests"
    RESUME = "resumes"


class Account:
    """One caller.

    `streams` are those that have a place here, `stated` as many as the store knows of, if that is sure. `answers` are
    being charged to it. `unsaid` is by how much tokens have filled their bucket since the store heard of them.
    """

    __slots__ = (
        "_empty",
        "_number",
        "_tokens_empty",
        "answers",
        "bounded",
        "budget",
        "limits",
        "most",
        "name",
        "rates",
        "stated",
        "streams",
        "unsaid",
    )

    def __init__(self, name: str, limits: Limits) -> None:
        self.name = name
        self.limits = limits
        self.bounded = limits.any
        self.rates: Mapping[Asked, Rate] = _rates(limits.requests_per_minute)
        self.budget = Rate(limits.tokens_per_minute, MINUTE) if limits.tokens_per_minute else None
        self.most = limits.concurrent_streams or None
        self.streams = 0
        self.stated: int | None = 0
        self._empty = dict.fromkeys(Asked, 0.0)  # when each bucket is empty again
        self._tokens_empty = 0.0
        self.unsaid = 0.0
        self.answers = 0
        self._number = 0

    def places(self, asked: Asked) -> int | None:
        """How many streams there may be when one more is asked for; None: any number."""
        return self.most * _REPLACING if self.most is not None and asked is Asked.RESUME else self.most

    def is_idle(self, now: float) -> bool:
        """Whether an account that is made anew would say the same."""
        last = max(*self._empty.values(), self._tokens_empty)
        return not (self.streams or self.answers or self.unsaid) and last <= now

    # Judged here.

    def judge(self, asked: Asked, now: float, *, streaming: bool = False, starting: bool = False) -> Standing:
        """Grant a request, and count it; or say what the caller has too much of.

        One that is `streaming` has its place among `streams` already; one that is `starting` an answer needs tokens.
        """
        rate, places = self.rates.get(asked), self.places(asked)
        used, tokens = max(0.0, self._empty[asked] - now), self._tokens_used(now)
        over = _WITHIN
        if rate is not None and rate.wait(used):
            over |= Over.REQUESTS
        if starting and self.budget is not None and self.budget.wait(tokens):
            over |= Over.TOKENS
        if streaming and places is not None and self.streams > places:
            over |= Over.STREAMS
        if rate is not None and not over:
            used += rate.cost(1)
            self._empty[asked] = now + used
        return Standing(over, used, tokens, self.streams - (streaming and bool(over)))

    # Judged by a store.

    def claim(self, asked: Asked | None = None, *, streaming: bool = False, starting: bool = False) -> Claim:
        """What is said to the store, and asked of it as of `judge`; None asks for nothing."""
        self._number = next(_NUMBERS)
        self.stated = None
        spent, self.unsaid = self.unsaid, 0.0
        rate = None if asked is None else self.rates.get(asked)
        return Claim(
            caller=self.name,
            number=self._number,
            streams=self.streams - streaming,
            streaming=streaming,
            most=None if asked is None else self.places(asked),
            bucket="" if asked is None else asked.value,
            cost=0.0 if rate is None else rate.cost(1),
            window=0.0 if rate is None else rate.seconds,
            spent=spent,
            budget=None if self.budget is None or not starting else self.budget.seconds - self.budget.cost(1),
        )

    def learn(self, claim: Claim, standing: Standing, now: float) -> None:
        """Take what the store says."""
        if claim.bucket:
            self._empty[Asked(claim.bucket)] = now + standing.used
        self._tokens_empty = now + standing.tokens + self.unsaid
        if claim.number == self._number:
            self.stated = claim.streams + (claim.streaming and not standing.over)

    # Tokens.

    def spend(self, tokens: int, now: float) -> float:
        """Charge tokens, or give back where it is fewer than none; by how much they fill their bucket, in seconds."""
        cost = 0.0 if self.budget is None else self.budget.cost(tokens)
        self._tokens_empty = max(now, max(self._tokens_empty, now) + cost)
        return cost

    def is_overspent(self, now: float) -> bool:
        """Whether more tokens are used than there were."""
        return self.budget is not None and self.budget.wait(self._tokens_used(now), 0) > 0

    def _tokens_used(self, now: float) -> float:
        return max(0.0, self._tokens_empty - now)


def _rates(a_minute: int | None) -> Mapping[Asked, Rate]:
    if not a_minute:
        return {}
    return {Asked.REQUEST: Rate(a_minute, MINUTE), Asked.RESUME: Rate(a_minute * _RESUMES, MINUTE)}
