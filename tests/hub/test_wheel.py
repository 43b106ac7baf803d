"""One timer for all."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tailrace.hub import Wheel
from tailrace.hub.wheel import TICK
from tailrace.testing import FakeClock
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


class Alarm:
    """Notes when it rang; then waits for `again` seconds, if that is not None."""

    def __init__(self, again: float | None = None) -> None:
        self.slot = -1
        self.rang: list[float] = []
        self.again = again

    def on_timer(self, now: float) -> float | None:
        """Ring."""
        self.rang.append(now)
        return self.again


class TickingClock(FakeClock):
    """A clock by which each look takes a millisecond."""

    def monotonic(self) -> float:
        """Look."""
        self.advance(0.001)
        return super().monotonic()


def run(wheel: Wheel, clock: FakeClock, seconds: float) -> None:
    """Let time pass, a little at a time."""
    for _ in range(round(seconds / 0.05)):
        clock.advance(0.05)
        wheel.advance()


async def test_an_alarm_rings_once_never_early_and_at_most_two_ticks_late() -> None:
    clock = FakeClock(0.0)
    wheel, alarms = Wheel(clock), {seconds / 7: Alarm() for seconds in range(40)}
    for seconds, alarm in alarms.items():
        wheel.schedule(alarm, seconds)
    run(wheel, clock, 10)
    for seconds, alarm in alarms.items():
        (rang,) = alarm.rang
        assert seconds <= rang <= seconds + 2 * TICK
        assert alarm.slot == -1
    assert len(wheel) == 0
    wheel.close()


async def test_an_alarm_that_wants_to_rings_again() -> None:
    clock = FakeClock(0.0)
    wheel, alarm = Wheel(clock), Alarm(again=1)
    wheel.schedule(alarm, 1)
    run(wheel, clock, 10.5)
    assert 8 <= len(alarm.rang) <= 10
    wheel.close()


async def test_an_alarm_that_wants_to_ring_at_once_does_not_keep_the_wheel_turning() -> None:
    clock = FakeClock(0.0)
    wheel, alarm = Wheel(clock), Alarm(again=0)
    wheel.schedule(alarm, 0)
    run(wheel, clock, 1)
    assert 5 <= len(alarm.rang) <= 20
    wheel.close()


async def test_what_is_scheduled_last_counts() -> None:
    clock = FakeClock(0.0)
    wheel, alarm = Wheel(clock), Alarm()
    wheel.schedule(alarm, 1)
    wheel.schedule(alarm, 5)
    run(wheel, clock, 4)
    assert not alarm.rang
    assert len(wheel) == 1
    wheel.schedule(alarm, 0.5)
    run(wheel, clock, 1)
    assert len(alarm.rang) == 1
    wheel.close()


async def test_a_cancelled_alarm_does_not_ring() -> None:
    clock = FakeClock(0.0)
    wheel, alarm = Wheel(clock), Alarm()
    wheel.schedule(alarm, 1)
    wheel.cancel(alarm)
    wheel.cancel(alarm)
    run(wheel, clock, 3)
    assert not alarm.rang
    assert len(wheel) == 0
    wheel.close()


async def test_one_that_rings_may_cancel_and_schedule_others_that_are_due_with_it() -> None:
    clock = FakeClock(0.0)
    wheel, others = Wheel(clock), [Alarm() for _ in range(10)]

    class Chief(Alarm):
        def on_timer(self, now: float) -> float | None:
            for other in others[:5]:
                wheel.cancel(other)
            for other in others[5:]:
                wheel.schedule(other, 2)
            return super().on_timer(now)

    chiefs = [Chief() for _ in range(10)]
    for alarm in (*chiefs, *others):
        wheel.schedule(alarm, 1)
    run(wheel, clock, 1.5)
    before = [len(other.rang) for other in others]  # those that rang before the first chief did
    run(wheel, clock, 3)
    assert [len(other.rang) for other in others[:5]] == before[:5]
    assert [len(other.rang) for other in others[5:]] == [count + 1 for count in before[5:]]
    assert len(wheel) == 0
    wheel.close()


async def test_one_that_fails_keeps_no_other_from_ringing(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Alarm):
        def on_timer(self, now: float) -> float | None:
            raise ZeroDivisionError

    clock = FakeClock(0.0)
    wheel, alarms = Wheel(clock), [Alarm() for _ in range(10)]
    for alarm in (*alarms[:5], Broken(), *alarms[5:]):
        wheel.schedule(alarm, 1)
    with caplog.at_level(logging.ERROR):
        run(wheel, clock, 2)
    assert all(len(alarm.rang) == 1 for alarm in alarms)
    assert "a timer failed" in caplog.text
    wheel.close()


async def test_very_many_that_are_due_at_once_let_others_have_their_turn() -> None:
    clock = TickingClock(0.0)
    wheel, alarms = Wheel(clock), [Alarm() for _ in range(200)]
    for alarm in alarms:
        wheel.schedule(alarm, 0.001)
    clock.advance(2)
    turns = 0
    while not all(alarm.rang for alarm in alarms):
        turns += 1
        await asyncio.sleep(0)
    assert turns > 20
    assert all(len(alarm.rang) == 1 for alarm in alarms)
    wheel.close()


async def test_the_wheel_turns_by_itself_and_stands_still_when_nobody_waits() -> None:
    wheel, alarm = Wheel(), Alarm()
    wheel.schedule(alarm, 0.01)
    await eventually(lambda: alarm.rang)
    await eventually(lambda: wheel._handle is None)


async def test_a_closed_wheel_has_forgotten_everybody() -> None:
    clock = FakeClock(0.0)
    wheel, alarm = Wheel(clock), Alarm()
    wheel.schedule(alarm, 1)
    wheel.close()
    run(wheel, clock, 3)
    assert not alarm.rang
    assert alarm.slot == -1
