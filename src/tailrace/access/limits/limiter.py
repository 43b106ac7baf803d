"""Which callers are let in, by what is known of them here, or in a store that all instances share."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from tailrace.access.limits.account import Account, Asked
from tailrace.access.limits.options import LimitOptions, Limits
from tailrace.access.limits.place import Place
from tailrace.access.limits.refused import Reason, Refused, refusal_of
from tailrace.access.limits.sharing import Sharing
from tailrace.clock import SYSTEM, Clock
from tailrace.log.quotas import Quotas, Standing
from tailrace.observe import Meter

__all__ = ["Admission", "Limiter"]

_KEPT: Final = 100_000
"""Callers that are remembered at most, of which each takes about 1 KB: strangers have more addresses than we memory."""
_FORGOTTEN: Final = 2
"""Callers that are looked at whenever there is a new one, whether they can be forgotten."""
_STORE_IN: Final = 1.0
"""Seconds after which a store that is away may be back."""


class Admission(NamedTuple):
    """A request that is let in: what the caller has left, where that is counted, and the place of its stream."""

    account: Account
    standing: Standing | None
    place: Place | None


class Limiter:
    """The limits of one process. `quotas`: what is shared with others; None: nothing is."""

    def __init__(self, options: LimitOptions, quotas: Quotas | None, meter: Meter, clock: Clock = SYSTEM) -> None:
        self._options = options
        self._meter = meter
        self._clock = clock
        self._bounding = options.caller.any
        self._unbounded = Account("", Limits())
        self._accounts: OrderedDict[str, Account] = OrderedDict()
        self._sharing = Sharing(quotas, clock) if quotas is not None else None
        meter.gauge("limits.degraded", lambda: self.degraded_since is not None)

    @property
    def degraded_since(self) -> float | None:
        """Since when limits are not shared though they should be, in seconds since the epoch."""
        return self._sharing.degraded_since if self._sharing is not None else None

    def account(self, name: str, own: Limits | None = None) -> Account:
        """What is known of a caller, who may have limits of its own. All who have none are one."""
        if own is None and not self._bounding:
            return self._unbounded
        accounts = self._accounts
        account = accounts.get(name)
        if account is None:
            self._forget_some()
            limits = self._options.caller if own is None else own.over(self._options.caller)
            account = accounts[name] = Account(name, limits)
        else:
            accounts.move_to_end(name)
        return account

    def _forget_some(self) -> None:
        now, accounts = self._clock.monotonic(), self._accounts
        for _ in range(min(_FORGOTTEN, len(accounts))):
            name, account = next(iter(accounts.items()))
            if account.is_idle(now) or (len(accounts) >= _KEPT and not account.streams):
                del accounts[name]
            else:
                accounts.move_to_end(name)  # lest those who stay hide those who can go

    # Letting in.

    async def admit(
        self, account: Account, asked: Asked, *, streaming: bool = False, starting: bool = False
    ) -> Admission:
        """Let a request in that may stream, and may start a run. Raises `Refused`."""
        try:
            if not account.bounded:
                return Admission(account, None, None)
            return await self._admit(account, asked, streaming=streaming, starting=starting)
        except Refused as refused:
            self._meter.add("limits.hit", 1, (refused.reason.value,))
            raise

    async def _admit(self, account: Account, asked: Asked, *, streaming: bool, starting: bool) -> Admission:
        # The place is taken before anybody is asked: of two requests at once, the second sees the first's.
        place = self._place(account) if streaming else None
        try:
            standing = await self._judge(account, asked, streaming=streaming, starting=starting)
        except BaseException:
            if place is not None:
                place.give_back()
            raise
        return Admission(account, standing, place)

    async def _judge(self, account: Account, asked: Asked, *, streaming: bool, starting: bool) -> Standing | None:
        standing = None
        if self._sharing is not None:
            standing = await self._sharing.ask(account, asked, streaming=streaming, starting=starting)
            if standing is None and self._alone():
                return None
        if standing is None:
            standing = account.judge(asked, self._clock.monotonic(), streaming=streaming, starting=starting)
        if standing.over:
            raise refusal_of(account, asked, standing)
        return standing

    def _alone(self) -> bool:
        """Where the store cannot say: whether everybody is let in. Raises `Refused` where nobody is."""
        self._meter.add("limits.failed")
        if self._options.fail == "closed":
            raise Refused(Reason.STORE, "Limits cannot be checked now; come again in a moment.", _STORE_IN)
        return self._options.fail == "open"

    def _place(self, account: Account) -> Place:
        account.streams += 1

        def give_back() -> None:
            account.streams -= 1
            if self._sharing is not None:
                self._sharing.streams_changed(account)

        return Place(give_back)

    # Tokens.

    def spend(self, account: Account, tokens: int) -> None:
        """Charge tokens to a caller; fewer than none are given back."""
        cost = account.spend(tokens, self._clock.monotonic())
        if self._sharing is not None:
            account.unsaid += cost
            self._sharing.spent(account)

    def is_overspent(self, account: Account) -> bool:
        """Whether a caller has used more tokens than it had, and is to be stopped."""
        if self._options.fail == "open" and self.degraded_since is not None:
            return False
        overspent = account.is_overspent(self._clock.monotonic())
        if overspent:
            self._meter.add("limits.hit", 1, (Reason.TOKENS.value,))
        return overspent

    def close(self) -> None:
        """Let go of what goes on beside requests."""
        if self._sharing is not None:
            self._sharing.close()
