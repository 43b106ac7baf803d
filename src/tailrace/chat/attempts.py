"""What was tried for an answer, as values that a run can keep and log.

Deciding what to try is left to `course`, trying it to `router`.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tailrace.chat.models import Target
from tailrace.runs.deltas import Usage

__all__ = ["ABANDONED", "ANSWERED", "SKIPPED", "Attempt"]

ANSWERED: Final = "answered"
"""The answer began; if it breaks later, its error's type takes this word's place."""
ABANDONED: Final = "abandoned"
"""Whoever asked left, or cancelled, before there was anything to hear; maybe in the wait before the try.

It stands for a try that goes on, too, since that is what it comes to where nothing else becomes of it.
"""
SKIPPED: Final = "skipped"
"""The target was not asked: it failed too often lately."""


class Attempt(msgspec.Struct, frozen=True):  # a fifth of the time that a frozen dataclass takes
    """One try of one target.

    `outcome` is one of this module's words, else the `ErrorType` of what went wrong, and `status` the HTTP
    status that came with that. `seconds` run from the try's start to its first content, or to its failure.
    `waited` is how many seconds were waited before it, `obeyed` whether the provider had asked for them
    (`Retry-After`). `usage` is what it cost, as far as the provider told, where the run's own usage has it not:
    it failed, or was given up, before it said anything, or what it said became void.
    """

    target: Target
    outcome: str
    seconds: float = 0.0
    status: int | None = None
    waited: float = 0.0
    obeyed: bool = False
    usage: Usage | None = None

    def told(self) -> dict[str, Any]:
        """Return what a run tells of it; `status` and `usage` only where there was one."""
        target = self.target
        told = {"provider": target.provider, "model": target.model, "outcome": self.outcome}
        status = {} if self.status is None else {"status": self.status}
        usage = {} if self.usage is None else {"usage": self.usage.known()}
        return {**told, **status, "seconds": round(self.seconds, 4), "waited": round(self.waited, 4), **usage}
