"""[limits]: how much callers may use, and how much one process takes on.

A key of [auth] may have `CallerLimits` of its own; what they leave out is as said here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from tailrace.access.limits.options import LimitOptions, Limits
from tailrace.server.settings.section import Section

__all__ = ["CallerLimits", "LimitSettings"]

Bound = Annotated[int, Meta(ge=0, le=1_000_000_000)]
"""0: there is none."""


class CallerLimits(Section, frozen=True, kw_only=True):
    """A key's own limits. What is not said is as [limits] has it; 0 lifts a bound."""

    requests_per_minute: Bound | None = None
    concurrent_streams: Bound | None = None
    tokens_per_minute: Bound | None = None

    def limits(self) -> Limits:
        """Return them as a value."""
        return Limits(
            requests_per_minute=self.requests_per_minute,
            concurrent_streams=self.concurrent_streams,
            tokens_per_minute=self.tokens_per_minute,
        )


class LimitSettings(Section, frozen=True, kw_only=True):
    """[limits]: the first three are each caller's, the next four each process's; 0: no bound."""

    requests_per_minute: Bound = 0
    concurrent_streams: Bound = 0
    tokens_per_minute: Bound = 0
    max_streams: Bound = 100_000
    """An idle stream takes 3 KB, a slow one up to 64 KB on top."""
    max_runs: Bound = 20_000
    """An answer in progress takes 15 KB beside its text."""
    max_connections: Bound = 0
    connections_per_address: Bound = 0
    fail: Literal["open", "closed", "local"] = "local"
    """What counts while the shared store is away: nothing, nobody is let in, or each process for itself."""

    def options(self) -> LimitOptions:
        """Return what is counted of callers."""
        each = Limits(
            requests_per_minute=self.requests_per_minute,
            concurrent_streams=self.concurrent_streams,
            tokens_per_minute=self.tokens_per_minute,
        )
        return LimitOptions(caller=each, fail=self.fail)
