"""What callers have used, in Redis: one hash for each of them, and one script that judges and notes in one step.

Nobody's events wait for this: these calls leave after all others, and whoever waits for one is told soon that there is
no answer.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Final

from tailrace.log.quotas import Claim, Over, Standing
from tailrace.log.redis.calls import Call, Calls, Turn
from tailrace.log.redis.keys import Keys
from tailrace.log.redis.scripts import Scripts

__all__ = ["RedisQuotas"]

_PATIENCE: Final = 0.25
"""Seconds that a request waits to be judged, at most."""
_ANY: Final = -1


class RedisQuotas:
    """The quotas of a `RedisStore`, which is to be open."""

    lease = 30.0

    def __init__(self, calls: Calls, keys: Keys, scripts: Scripts) -> None:
        self._calls = calls
        self._keys = keys
        self._script = scripts.limit
        self._instance = secrets.token_hex(8)

    async def settle(self, claims: Sequence[Claim]) -> Sequence[Standing]:
        """Judge and note claims, all in one pipeline."""
        calls = [self._call(claim) for claim in claims]
        return [_standing(reply) for reply in await self._calls.run(calls, turn=Turn.LIMITS, patience=_PATIENCE)]

    def _call(self, claim: Claim) -> Call:
        most = _ANY if claim.most is None else claim.most
        budget = _ANY if claim.budget is None else claim.budget
        words = (
            *(self._instance, claim.number, claim.streams, int(claim.streaming), most, _shown(self.lease)),
            *(claim.bucket, _shown(claim.cost), _shown(claim.window), _shown(claim.spent), _shown(budget)),
        )
        return Call(self._script, (self._keys.quota(claim.caller),), words)


def _shown(seconds: float) -> str:
    return f"{seconds:.6f}"


def _standing(reply: Any) -> Standing:
    over, used, tokens, streams = reply
    return Standing(Over(over), used / 1e6, tokens / 1e6, streams)
