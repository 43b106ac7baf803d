"""What a caller has left, as header fields: `RateLimit-Policy` and `RateLimit`.

They are written as draft-ietf-httpapi-ratelimit-headers-11 has them.

A policy says how much there is (`q`) in how many seconds (`w`); the other how much of it is left (`r`), and that no
more than that may be used within the next `t` seconds. `qu` is what is counted where that is not requests; `tokens`
is not in the draft's registry, which has no word for them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from tailrace.access.limits.account import Account, Asked
from tailrace.access.limits.gcra import Rate
from tailrace.access.limits.options import Limits
from tailrace.log.quotas import Standing

__all__ = ["fields_of"]

_WINDOW: Final = 60


def fields_of(account: Account, asked: Asked, standing: Standing) -> tuple[tuple[bytes, bytes], ...]:
    """The fields of one answer; none where nothing is bounded that it counts against."""
    items = []
    rate = account.rates.get(asked)
    if rate is not None:
        items.append(_left(asked, rate, standing.used))
    if account.most is not None:
        items.append(f'"streams";r={max(0, account.most - standing.streams)}')
    if account.budget is not None:
        items.append(_left("tokens", account.budget, standing.tokens))
    policy = _policy(account.limits, asked)
    return ((b"ratelimit-policy", policy), (b"ratelimit", ", ".join(items).encode())) if policy else ()


def _left(name: str, rate: Rate, used: float) -> str:
    more = rate.more_in(used)
    return f'"{name}";r={rate.left(used)};t={more}' if more else f'"{name}";r={rate.left(used)}'


@lru_cache(maxsize=1024)
def _policy(limits: Limits, asked: Asked) -> bytes:
    account = Account("", limits)
    items = []
    if (rate := account.rates.get(asked)) is not None:
        items.append(f'"{asked}";q={rate.units};w={_WINDOW}')
    if account.most is not None:
        items.append(f'"streams";q={account.most};qu="concurrent-requests"')
    if account.budget is not None:
        items.append(f'"tokens";q={account.budget.units};w={_WINDOW};qu="tokens"')
    return ", ".join(items).encode()
