"""The timeouts of one exchange, on a clock that the tests turn."""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, Any, cast

import pytest

from tailrace.chat.timeouts import Timeouts, Watch
from tailrace.errors import ErrorType, ProviderError, SettingsError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

LIMITS = Timeouts(connect=1, first_token=10, idle=4, total=100)


class _Handle:
    def __init__(self, due: float, call: Callable[[], None]) -> None:
        self.due, self.call, self.live = due, call, True

    def cancel(self) -> None:
        self.live = False

    def __lt__(self, other: _Handle) -> bool:
        return self.due < other.due


class _Loop:
    """As much of an event loop as a watch needs."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[_Handle] = []

    def time(self) -> float:
        return self.now

    def call_at(self, due: float, call: Callable[[], None]) -> _Handle:
        handle = _Handle(due, call)
        heapq.heappush(self.timers, handle)
        return handle

    def run_to(self, moment: float) -> None:
        while self.timers and self.timers[0].due <= moment:
            handle = heapq.heappop(self.timers)
            if handle.live:
                self.now = max(self.now, handle.due)
                handle.call()
        self.now = moment

    @property
    def live(self) -> int:
        return sum(handle.live for handle in self.timers)


def _watched(limits: Timeouts = LIMITS) -> tuple[_Loop, Watch, list[ProviderError]]:
    loop, expired = _Loop(), list[ProviderError]()
    watch = Watch(limits, cast("asyncio.AbstractEventLoop", loop))
    watch.start(expired.append)
    return loop, watch, expired


def _wait(loop: _Loop, watch: Watch) -> None:
    watch.waiting_since = loop.now


def test_the_first_token_timeout_passes_however_many_pings_arrive() -> None:
    loop, watch, expired = _watched()
    for second in range(10):
        loop.run_to(second)
        _wait(loop, watch)
    loop.run_to(9.9)
    assert expired == []
    loop.run_to(10)
    assert [error.type for error in expired] == [ErrorType.PROVIDER_FIRST_TOKEN_TIMEOUT]


def test_silence_counts_from_the_last_chunk_once_the_answer_has_begun() -> None:
    loop, watch, expired = _watched()
    for second in (1, 3, 6, 9, 12):
        loop.run_to(second)
        watch.token_seen()
        _wait(loop, watch)
    loop.run_to(15.9)
    assert expired == []
    loop.run_to(16)
    assert [error.type for error in expired] == [ErrorType.PROVIDER_IDLE_TIMEOUT]


def test_silence_does_not_count_while_nobody_waits_for_the_upstream() -> None:
    loop, watch, expired = _watched()
    watch.token_seen()
    watch.waiting_since = math.inf
    loop.run_to(50)
    _wait(loop, watch)
    loop.run_to(53.9)
    assert expired == []
    loop.run_to(54)
    assert [error.type for error in expired] == [ErrorType.PROVIDER_IDLE_TIMEOUT]


def test_the_first_token_is_not_judged_while_nobody_waits_for_the_upstream() -> None:
    loop, watch, expired = _watched()
    loop.run_to(50)
    assert expired == []
    _wait(loop, watch)
    loop.run_to(60)
    assert [error.type for error in expired] == [ErrorType.PROVIDER_FIRST_TOKEN_TIMEOUT]


def test_the_total_timeout_passes_even_while_nobody_waits() -> None:
    loop, watch, expired = _watched()
    watch.token_seen()
    watch.waiting_since = math.inf
    loop.run_to(99.9)
    assert expired == []
    loop.run_to(100)
    assert [error.type for error in expired] == [ErrorType.PROVIDER_TOTAL_TIMEOUT]


def test_an_expired_watch_says_so_once_and_leaves_no_timer() -> None:
    loop, watch, expired = _watched()
    _wait(loop, watch)
    loop.run_to(1000)
    assert len(expired) == 1
    assert loop.live == 0


def test_a_stopped_watch_leaves_no_timer() -> None:
    loop, watch, expired = _watched()
    watch.stop()
    watch.token_seen()
    loop.run_to(1000)
    assert (expired, loop.live) == ([], 0)


def test_traffic_moves_no_timer() -> None:
    loop, watch, _ = _watched(Timeouts(first_token=60, idle=60))
    armed = len(loop.timers)
    for millisecond in range(1000):
        loop.now = millisecond / 1000
        _wait(loop, watch)
        watch.token_seen()
    assert len(loop.timers) == armed


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        (Timeouts(first_token=2, total=3), ErrorType.PROVIDER_FIRST_TOKEN_TIMEOUT),
        (Timeouts(first_token=3, total=2), ErrorType.PROVIDER_TOTAL_TIMEOUT),
    ],
)
def test_the_head_is_due_when_the_first_of_its_limits_passes(limits: Timeouts, error: ErrorType) -> None:
    watch = Watch(limits, cast("asyncio.AbstractEventLoop", _Loop()))
    assert (watch.head_due, watch.head_overdue().type) == (2, error)


@pytest.mark.parametrize("seconds", [0, -1, math.inf, math.nan])
@pytest.mark.parametrize("name", ["connect", "first_token", "idle", "total"])
def test_a_timeout_is_a_positive_number_of_seconds(name: str, seconds: Any) -> None:
    with pytest.raises(SettingsError, match=f"timeouts.{name} is "):
        Timeouts(**{name: seconds})
