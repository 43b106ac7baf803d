"""How fast things go: what the counters say now, against what they said a second and a minute ago."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from tailrace.facade import Tailrace

__all__ = ["Rates"]

_MINUTE: Final = 60.0
_RISING: Final = {"requests": "requests", "opened": "streams.opened", "started": "runs.started"}
_SPREADS: Final = {"first_token": "first_token.seconds", "lag": "loop_lag.seconds", "store": "store.seconds"}


class _Moment(NamedTuple):
    """What the counters said at `at`, in monotonic seconds."""

    at: float
    sums: Mapping[str, float]
    spreads: Mapping[str, Sequence[int]]


class Rates:
    """The rates of one process. It remembers a minute of looks, and nothing else."""

    def __init__(self, tailrace: Tailrace) -> None:
        self._tailrace = tailrace
        self._looks: deque[_Moment] = deque()

    def look(self) -> dict[str, Any]:
        """The rates since the last look, each for one second, and the durations of the last minute.

        `cpu` is in cores. `spreads` has for each kind how many were between which of `observe.BOUNDS`. Where nobody
        has looked for a while there is no rate: None.
        """
        now = self._moment()
        while self._looks and now.at - self._looks[0].at > _MINUTE:
            self._looks.popleft()
        rates = _rates(self._looks[-1], now) if self._looks else dict.fromkeys(now.sums)
        first = self._looks[0] if self._looks else None
        spreads = {name: _since(first, name, counts) for name, counts in now.spreads.items()}
        self._looks.append(now)
        return {"rates": rates, "spreads": spreads}

    def _moment(self) -> _Moment:
        tailrace, counted, times = self._tailrace, self._tailrace.counters, os.times()
        sums = {name: counted.sum(counter) for name, counter in _RISING.items()}
        sums["failed"] = counted.sum("requests.failed") + counted.sum("runs.ended", "failed")
        # Tokens are counted when an answer ends; those of the answers that go on are not in there yet.
        said = sum([int(run.ledger.tally.usage()["output_tokens"]) for run in tailrace.runs.live.values()])
        sums["tokens"] = counted.sum("tokens", "output") + said
        sums["cpu"] = times.user + times.system
        spreads = {name: counted.spread(kept).counts for name, kept in _SPREADS.items()}
        return _Moment(tailrace.hub.clock.monotonic(), sums, spreads)


def _rates(before: _Moment, now: _Moment) -> dict[str, float | None]:
    seconds = now.at - before.at
    if seconds <= 0:
        return dict.fromkeys(now.sums)
    # Tokens that were an estimate are counted anew once the provider has told how many they were.
    return {name: round(max(0.0, total - before.sums[name]) / seconds, 3) for name, total in now.sums.items()}


def _since(first: _Moment | None, name: str, counts: Sequence[int]) -> list[int]:
    """What came within the minute; nothing where this is the first look."""
    before = counts if first is None else first.spreads[name]
    return [now - then for now, then in zip(counts, before, strict=True)]
