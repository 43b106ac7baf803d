"""How one provider is guarded: against more callers than it can take, and callers against its failures."""

from __future__ import annotations

import msgspec

from tailrace.chat.breaker import BreakerOptions
from tailrace.chat.places import Queue

__all__ = ["Guard"]


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """The line of those who wait while the provider has all the streams that it may, and the breaker of each target."""

    queue: Queue = msgspec.field(default_factory=Queue)
    breaker: BreakerOptions = msgspec.field(default_factory=BreakerOptions)
