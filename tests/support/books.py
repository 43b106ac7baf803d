"""What callers have used, kept in this process: the quotas that a store promises, in a few lines, on a clock of tests.

books = Books(FakeClock())
first, second = books.instance(), books.instance()
await first.settle([Claim(caller="a", number=1, streaming=True, most=1)])
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from tailrace.clock import Clock
from tailrace.errors import StoreUnavailable
from tailrace.log.quotas import Claim, Over, Standing

__all__ = ["Books", "Teller"]

LEASE = 30.0
LONGEST = 3600.0


@dataclass
class _Said:
    number: int = 0
    streams: int = 0
    until: float = 0.0
    over: Over = field(default_factory=lambda: Over(0))


@dataclass
class _Page:
    """Of one caller: when each bucket is empty, and what each instance has said last."""

    empty: dict[str, float] = field(default_factory=dict)
    said: dict[int, _Said] = field(default_factory=dict)


class Books:
    """Shared by all instances of a test."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.pages: dict[str, _Page] = {}
        self.away = False
        self.asked = 0  # how often anybody came, with however many claims
        self.gate: asyncio.Event | None = None  # nobody is answered before it is set

    def instance(self) -> Teller:
        """What one process sees of them."""
        return Teller(self)

    def streams(self, caller: str) -> int:
        """Streams of a caller that count now."""
        now = self.clock.monotonic()
        return sum([said.streams for said in self.pages[caller].said.values() if said.until > now])

    def judge(self, instance: int, claim: Claim) -> Standing:
        """Judge one claim, and note it."""
        now, page = self.clock.monotonic(), self.pages.setdefault(claim.caller, _Page())
        page.said = {who: said for who, said in page.said.items() if said.until > now}
        mine = page.said.get(instance, _Said())
        others = sum([said.streams for who, said in page.said.items() if who != instance])
        fresh = claim.number > mine.number

        def full(bucket: str, most: float) -> float:
            return min(max(0.0, page.empty.get(bucket, 0.0) - now), most)

        tokens = full("tokens", LONGEST)
        if fresh:
            tokens = min(max(0.0, tokens + claim.spent), LONGEST)
        used = full(claim.bucket, claim.window) if claim.bucket else 0.0
        over = self._over(claim, used, tokens, others) if claim.bucket else Over(0)
        if claim.number == mine.number:
            over = mine.over
        streams = claim.streams
        if fresh:
            if claim.bucket and not over:
                used += claim.cost
                streams += claim.streaming
            page.said[instance] = _Said(claim.number, streams, now + LEASE, over)
            page.empty["tokens"] = now + tokens
            if claim.bucket:
                page.empty[claim.bucket] = now + used
        return Standing(over, used, tokens, others + streams)

    @staticmethod
    def _over(claim: Claim, used: float, tokens: float, others: int) -> Over:
        over = Over(0)
        if claim.cost and used + claim.cost > claim.window + 1e-6:
            over |= Over.REQUESTS
        if claim.budget is not None and tokens > claim.budget + 1e-6:
            over |= Over.TOKENS
        if claim.streaming and claim.most is not None and others + claim.streams + 1 > claim.most:
            over |= Over.STREAMS
        return over


class Teller:
    """The quotas as one instance has them."""

    lease = LEASE

    def __init__(self, books: Books) -> None:
        self._books = books

    async def settle(self, claims: Sequence[Claim]) -> Sequence[Standing]:
        """Judge and note claims; who is cancelled while waiting may have been noted all the same."""
        books = self._books
        books.asked += 1
        await asyncio.sleep(0)
        if books.away:
            raise StoreUnavailable("it is away")
        standings = [books.judge(id(self), claim) for claim in claims]
        await asyncio.sleep(0)
        if books.gate is not None:
            await books.gate.wait()
        return standings
