"""What to do about a try that failed: try here again, elsewhere, or give up.

A failure that the request itself brought about would meet it everywhere; one of the provider, of its
network or of our account there would not.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from tailrace.chat.places import Saturated
from tailrace.errors import ErrorType

if TYPE_CHECKING:
    from tailrace.errors import ProviderError

__all__ = ["Step", "counts", "judge", "pause"]

_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 4.0
_LONGEST_RETRY_AFTER = 5.0
"""Seconds of a `Retry-After` that are waited out; within the time for which the HTTP status is held back."""


class Step(Enum):
    """What to do next."""

    AGAIN = auto()
    """Try the same target once more, then others."""
    ELSEWHERE = auto()
    """Try another target."""
    NOWHERE = auto()
    """Nobody would answer this."""


# These say that the time is up, not that something broke: who gets it a second time would take as long.
_SPENT = frozenset(
    {ErrorType.PROVIDER_FIRST_TOKEN_TIMEOUT, ErrorType.PROVIDER_IDLE_TIMEOUT, ErrorType.PROVIDER_TOTAL_TIMEOUT}
)

_ABOUT_THE_TARGET = frozenset({402, 404, 405, 407, 410})
"""Statuses below 500 that are no judgement on the request: an unpaid bill, or a model or path that is not there.
Redirects, which are not followed, belong to them; 401, 403 and 429 have error types of their own."""


_WORDS_ABOUT_THE_TARGET = frozenset(
    {"billing_error", "billing_hard_limit_reached", "billing_not_active", "not_found_error", "model_not_found"}
)
"""The same in the providers' own words, which stand inside a stream, or beside a 400."""


def judge(error: ProviderError, *, spoke: bool = False) -> Step:
    """Return what to do about `error`, met before the target said anything or, where it `spoke`, after."""
    if error.type is ErrorType.PROVIDER_REJECTED and not (error.retryable or _is_about_target(error)):
        return Step.NOWHERE
    if error.type is ErrorType.TAILRACE_INTERRUPTED:
        return Step.NOWHERE  # this process is closing
    if spoke and error.type is ErrorType.PROVIDER_TOTAL_TIMEOUT:
        return Step.NOWHERE  # it was saying more than there is time for, as any other would
    if spoke or not error.retryable or error.type in _SPENT or isinstance(error, Saturated):
        return Step.ELSEWHERE
    return Step.AGAIN


def counts(error: ProviderError, step: Step) -> bool:
    """Tell whether `error`, judged to be a `step`, says something bad about the target that was asked."""
    return step is not Step.NOWHERE and not isinstance(error, Saturated)


def pause(retry_after: float | None, failures: int, jitter: float) -> float | None:
    """Return the seconds to wait before the same target is tried again after so many `failures` of it.

    None where the provider asks for more patience than there is. `jitter`, from [0, 1), spreads those
    who failed together: a provider's own wait is never shortened by it.
    """
    if retry_after is not None:
        return retry_after + _FIRST_PAUSE * jitter if retry_after <= _LONGEST_RETRY_AFTER else None
    longest = min(_FIRST_PAUSE * 2.0 ** (failures - 1), _LONGEST_PAUSE)
    return longest * (1 - jitter / 2)


def _is_about_target(error: ProviderError) -> bool:
    if error.code in _WORDS_ABOUT_THE_TARGET or error.kind in _WORDS_ABOUT_THE_TARGET:
        return True
    status = error.status
    return status is not None and (status in _ABOUT_THE_TARGET or 300 <= status < 400)
