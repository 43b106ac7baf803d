"""What an answer took: tokens, time, and who was tried for it; told in a run's terminal and logged with its end.

Who decides whom to try stands above; here an attempt is only what it tells of itself.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tailrace.errors import RunError
from tailrace.runs.options import RunOptions
from tailrace.runs.states import Status
from tailrace.runs.tally import Tally

__all__ = ["Account", "Attempted", "Ended", "Ledger", "report"]

log = logging.getLogger("tailrace")

_DIGITS = 4  # of a time in seconds: a tenth of a millisecond


class Attempted(Protocol):
    """One try of one upstream."""

    def told(self) -> dict[str, Any]:
        """What is told of it: `provider`, `model`, `outcome`, and what else is known."""
        ...


@dataclass(frozen=True, slots=True)
class Account:
    """What an answer took. Times are in seconds from its beginning; `first_token` is None where nothing was said."""

    usage: dict[str, int | bool]
    model: str
    provider: str
    first_token: float | None
    seconds: float
    attempts: Sequence[dict[str, Any]] = ()

    def told(self) -> dict[str, Any]:
        """As it is told."""
        return {
            "usage": self.usage,
            "model": self.model,
            "provider": self.provider,
            "first_token": self.first_token,
            "seconds": self.seconds,
            "attempts": self.attempts,
        }


class Ledger:
    """Where what one run takes is written down while it goes on."""

    __slots__ = ("_began", "_options", "first_token", "tally")

    def __init__(self, options: RunOptions, now: float) -> None:
        self.tally = Tally(options.prompt_bytes)
        self._options = options
        self._began = now
        self.first_token: float | None = None

    def begin(self, now: float) -> None:
        """Count the time from `now` on."""
        self._began = now

    def speak(self, now: float) -> None:
        """Note that something was said."""
        if self.first_token is None:
            self.first_token = round(now - self._began, _DIGITS)

    def account(self, now: float) -> Account:
        """What it came to. Who answered is whoever was tried last, where somebody says who was."""
        options = self._options
        attempts = [attempt.told() for attempt in options.attempts]
        model, provider = options.model, options.provider
        if attempts:
            model, provider = attempts[-1]["model"], attempts[-1]["provider"]
        seconds = round(now - self._began, _DIGITS)
        return Account(self.tally.usage(), model, provider, self.first_token, seconds, attempts)


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a run that was begun here: how, what it took, and what it was.

    `reason` is why the model ended, in the native dialect's words; empty where it did not.
    """

    run: str
    status: Status
    account: Account
    error: RunError | None
    options: RunOptions
    reason: str = ""


def report(ended: Ended) -> None:
    """Log the end of a run, on one line for people and with fields for programs. Nothing that was said is in it."""
    if log.isEnabledFor(logging.INFO):
        account, error = ended.account, ended.error
        fields = {"run": ended.run, "status": str(ended.status), "error": error and str(error.type), **account.told()}
        if ended.options.owner is not None:
            fields["owner"] = ended.options.owner
        if ended.options.span is not None:
            fields["trace_id"], fields["span_id"] = ended.options.span.ids
        who = f"{account.provider}/{account.model}".strip("/") or "an application"
        log.info("run %s of %s: %s after %g s", ended.run, who, ended.status, account.seconds, extra=fields)
