"""Limits that hold across instances: what is said to the shared store, when, and what is known of it being away.

A request is one call. What changes beside requests (streams that end, tokens that are said) is told for many callers
in one: ends as soon as the last such call is through, tokens every second, and streams that last before the store
would take this instance for dead.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from itertools import islice

from tailrace.access.limits.account import Account, Asked
from tailrace.access.limits.options import Limits
from tailrace.clock import Clock
from tailrace.errors import StoreError
from tailrace.log.quotas import Claim, Quotas, Standing

__all__ = ["Sharing"]

log = logging.getLogger("tailrace")

_TICK = 1.0
"""Seconds between looks at what is to be told, and at a store that is away."""
_TOGETHER = 500
"""Callers that are told of in one call."""
_NOBODY = "-"
"""The caller whose claims only show whether the store answers."""


class Sharing:
    """What this process tells of its callers. `degraded_since`: since when the store is away; None while it is not."""

    def __init__(self, quotas: Quotas, clock: Clock) -> None:
        self._quotas = quotas
        self._clock = clock
        self._dirty: dict[Account, None] = {}
        self._streaming: dict[Account, float] = {}  # when their streams have to be told of again
        self._spending: dict[Account, None] = {}
        self._probes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._telling: asyncio.Task[None] | None = None
        self._closed = False
        self.degraded_since: float | None = None

    async def ask(self, account: Account, asked: Asked, *, streaming: bool, starting: bool) -> Standing | None:
        """What becomes of a request; None where the store cannot say."""
        if self.degraded_since is not None:
            return None
        told = await self._settle([account], [account.claim(asked, streaming=streaming, starting=starting)])
        if streaming:
            self._tell_later(account)
        return told[0] if told else None

    def streams_changed(self, account: Account) -> None:
        """Note that a stream of this caller began or ended; the store is told unless it knows."""
        if account.most is not None:
            self._tell_later(account)
            if account.streams != account.stated:
                self._tell_now(account)

    def _tell_later(self, account: Account) -> None:
        """Tell of a caller's streams before the store would forget them."""
        if account.most is None or not account.streams:
            self._streaming.pop(account, None)
        else:
            self._streaming[account] = self._clock.monotonic() + self._quotas.lease / 3
            self._arm()

    def spent(self, account: Account) -> None:
        """Note that this caller has used tokens."""
        if account not in self._spending:
            self._spending[account] = None
            self._arm()

    def _tell_now(self, account: Account) -> None:
        self._dirty[account] = None
        if self._telling is None and self.degraded_since is None and not self._closed:
            self._telling = asyncio.get_running_loop().create_task(self._tell())

    async def _tell(self) -> None:
        try:
            while self._dirty and not self._closed:
                accounts = tuple(islice(self._dirty, _TOGETHER))
                for account in accounts:
                    del self._dirty[account]
                if await self._settle(accounts, [account.claim() for account in accounts]) is None:
                    self._dirty |= dict.fromkeys(accounts)
                    return
        finally:
            self._telling = None

    async def _settle(self, accounts: Sequence[Account], claims: Sequence[Claim]) -> Sequence[Standing] | None:
        try:
            standings = await self._quotas.settle(claims)
        except StoreError as error:
            self._on_away(error)
            return None
        self._on_answer()
        now = self._clock.monotonic()
        for account, claim, standing in zip(accounts, claims, standings, strict=True):
            account.learn(claim, standing, now)
        return standings

    # Every second, while there is anything to tell.

    def _arm(self) -> None:
        if self._timer is None and not self._closed:
            self._timer = asyncio.get_running_loop().call_later(_TICK, self._on_tick)

    def _on_tick(self) -> None:
        self._timer = None
        if self.degraded_since is not None:
            self._probe()
        else:
            self._tell_what_is_due()
        if self.degraded_since is not None or self._streaming or self._spending:
            self._arm()

    def _tell_what_is_due(self) -> None:
        now = self._clock.monotonic()
        due = [account for account, at in self._streaming.items() if at <= now]
        spent, self._spending = tuple(self._spending), {}
        for account in due:
            self._tell_later(account)
            self._tell_now(account)
        for account in spent:
            if account.unsaid:
                self._tell_now(account)

    def _probe(self) -> None:
        """Look whether the store is back; then it is told of everybody's streams."""
        if self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        self._probes += 1
        try:
            back = await self._settle((Account(_NOBODY, Limits()),), [Claim(caller=_NOBODY, number=self._probes)])
        finally:
            self._telling = None
        if back is not None:
            for account in (*self._streaming, *self._spending):
                self._dirty[account] = None
            await self._tell()

    def _on_away(self, error: StoreError) -> None:
        if self.degraded_since is None:
            self.degraded_since = self._clock.time()
            log.warning("limits are not shared: %s", error)
        self._arm()

    def _on_answer(self) -> None:
        if self.degraded_since is not None:
            self.degraded_since = None
            log.warning("limits are shared again")

    def close(self) -> None:
        """Tell nothing any more; what is open here stops counting when the store has waited for it in vain."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._telling is not None:
            self._telling.cancel()
