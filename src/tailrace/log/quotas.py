"""What callers have used, where it is shared by all instances: the interface, and what is said over it.

A store may offer it (`Shared`). What a limit is, and what happens to whoever is over one, stands above; here
a rate is a time: how full a bucket is, in seconds until it is empty again, and by how many what is taken fills it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag
from typing import NamedTuple, Protocol, runtime_checkable

__all__ = ["Claim", "Over", "Quotas", "Shared", "Standing"]


class Over(IntFlag):
    """What a caller has too much of."""

    REQUESTS = 1
    TOKENS = 2
    STREAMS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one instance says of a caller, and asks for it. Times are in seconds.

    `number` rises with each claim of this instance for this caller, so that one that is repeated, or comes late, is
    known. `streams` are open here, beside the one that is wanted where `streaming`; `most` is how many there may be
    in all (None: any number). `bucket` names the one that a request fills by `cost`, unless it would be more than
    `window` full then; an empty name: nothing is asked for. `spent` is by how much tokens have filled theirs since the
    last claim; where that is fuller than `budget` (None: there is no bound) no request is granted.
    """

    caller: str
    number: int
    streams: int = 0
    streaming: bool = False
    most: int | None = None
    bucket: str = ""
    cost: float = 0.0
    window: float = 0.0
    spent: float = 0.0
    budget: float | None = None


class Standing(NamedTuple):
    """What became of a claim: over what the caller is (nothing: it was granted), and what all instances know of it.

    `used` and `tokens` say how full the buckets are, in seconds; `streams` are those of all instances.
    """

    over: Over
    used: float
    tokens: float
    streams: int


class Quotas(Protocol):
    """What all instances know of what callers have used. Raises `StoreUnavailable`, `StoreError`."""

    lease: float
    """Seconds after which an instance's streams do not count any more, if it makes no claim for their caller."""

    async def settle(self, claims: Sequence[Claim]) -> Sequence[Standing]:
        """Judge each claim, and note what it says. It is either granted as a whole or takes nothing."""
        ...


@runtime_checkable
class Shared(Protocol):
    """A store that has them."""

    @property
    def quotas(self) -> Quotas:
        """Its quotas, usable while it is open."""
        ...
