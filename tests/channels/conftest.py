"""Two instances on a Redis of the module's own."""

from __future__ import annotations

from tests.support.pair import instances, redis

__all__ = ["instances", "redis"]
