"""What an answer costs whoever asked for it: charged while it streams, and ended when more is used than there was.

What was said is counted as it is said; the question when the provider tells its size, or at the end, where an
estimate of either gives way to what the provider told. Nothing more is said once the budget is overspent; an answer
that has nothing more to say is not spoiled by what its last words cost, which is owed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final

from tailrace.access.caller import Caller
from tailrace.access.limits.account import Account
from tailrace.access.limits.limiter import Limiter
from tailrace.errors import ErrorType, RunError
from tailrace.runs.deltas import Frame, Part, Restart, ToolCall, Usage
from tailrace.runs.producer import SPOKEN
from tailrace.runs.tally import Tally
from tailrace.web.limits import account_of

__all__ = ["metered"]

_USED_UP: Final = "the tokens that your answers may use in a minute are used up"

Items = AsyncGenerator[Sequence[Part], None]


def metered(
    limiter: Limiter | None, caller: Caller, producer: Callable[[], Items], prompt_bytes: int
) -> Callable[[], Items]:
    """Have what `producer` makes be charged to a caller; as it is, where the caller's tokens are not counted.

    `prompt_bytes` is the question's size in UTF-8.
    """
    if limiter is None:
        return producer
    account = account_of(limiter, caller)
    if account.budget is None:
        return producer
    return lambda: _charged(producer(), _Tab(limiter, account, prompt_bytes))


class _Tab:
    """What one answer has cost so far."""

    __slots__ = ("_account", "_charged", "_heard", "_limiter", "_tally")

    def __init__(self, limiter: Limiter, account: Account, prompt_bytes: int) -> None:
        self._limiter = limiter
        self._account = account
        self._tally = Tally(prompt_bytes)
        self._charged = 0
        self._heard = False

    def open(self) -> None:
        """Begin."""
        self._account.answers += 1

    def hear(self, parts: Sequence[Part]) -> int:
        """Charge what is certain by now; how many of the parts may be said."""
        self._heard = True
        for index, part in enumerate(parts):
            if _speaks(part) and self._limiter.is_overspent(self._account):
                return index
            _count(part, self._tally)
            self._charge(self._tally.certain)
        return len(parts)

    def close(self) -> None:
        """Charge what it came to; an answer of which nothing was heard cost nothing."""
        self._account.answers -= 1
        if self._heard:
            usage = self._tally.usage()
            self._charge(usage["input_tokens"] + usage["output_tokens"])

    def _charge(self, total: int) -> None:
        if total != self._charged:
            self._limiter.spend(self._account, total - self._charged)
            self._charged = total


async def _charged(items: Items, tab: _Tab) -> Items:
    tab.open()
    try:
        async for item in items:
            allowed = tab.hear(item)
            if allowed:
                yield item[:allowed]
            if allowed < len(item):
                raise RunError(ErrorType.POLICY_TOKEN_BUDGET, _USED_UP)
    finally:
        tab.close()
        await items.aclose()


def _speaks(part: Part) -> bool:
    if isinstance(part, Frame):
        return any(isinstance(each, SPOKEN) for each in part.deltas)
    return isinstance(part, SPOKEN)


def _count(part: Part, tally: Tally) -> None:
    if isinstance(part, SPOKEN):
        tally.hear(part.arguments if isinstance(part, ToolCall) else part.text)
    elif isinstance(part, Usage):
        tally.merge(part)
    elif isinstance(part, Restart):
        tally.reset()
    elif isinstance(part, Frame):
        for each in part.deltas:
            _count(each, tally)
