"""Why a request is not let in. How it is answered is the web floor's matter."""

from __future__ import annotations

from enum import StrEnum
from math import ceil

from tailrace.access.limits.account import Account, Asked
from tailrace.errors import TailraceError
from tailrace.log.quotas import Over, Standing

__all__ = ["Reason", "Refused", "refusal_of"]

_PLACE_IN = 2.0
"""Seconds after which a place may have come free. Nobody knows: streams end when they end."""


class Reason(StrEnum):
    """What there is too much of, or why nobody can tell. Metrics carry it as a label."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    STREAMS = "streams"
    STORE = "store"
    """The store that counts is away, and nobody is to be let in without."""


class Refused(TailraceError):
    """A request that is not let in. `retry_after` is in seconds; `standing` is the caller's, where it is counted."""

    def __init__(self, reason: Reason, detail: str, retry_after: float, standing: Standing | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after
        self.standing = standing


def refusal_of(account: Account, asked: Asked, standing: Standing) -> Refused:
    """Say what the caller has too much of, and when it will be less. Of several reasons the longest wait counts."""
    waits: list[tuple[float, Reason, str]] = []
    rate = account.rates.get(asked)
    if standing.over & Over.REQUESTS and rate is not None:
        told = f"at most {rate.units} {asked} a minute are allowed"
        waits.append((rate.wait(standing.used), Reason.REQUESTS, told))
    if standing.over & Over.TOKENS and account.budget is not None:
        told = f"the {account.budget.units} tokens a minute are used up"
        waits.append((account.budget.wait(standing.tokens), Reason.TOKENS, told))
    if standing.over & Over.STREAMS:
        told = f"at most {account.most} streams at a time are allowed"
        waits.append((_PLACE_IN, Reason.STREAMS, told))
    wait, reason, told = max(waits)
    return Refused(reason, f"{told[0].upper()}{told[1:]}; come again in {ceil(wait)} s.", wait, standing)
