"""The places at an endpoint, and the line for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.chat.places import Places, Queue, Saturated
from tailrace.errors import ErrorType

pytestmark = pytest.mark.anyio


async def _turns(count: int = 2) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


class Guests:
    """Tasks that want a place, and in which order they got one."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.seated: list[int] = []
        self.tasks: list[asyncio.Task[None]] = []

    def come(self) -> asyncio.Task[None]:
        task = asyncio.ensure_future(self._enter(len(self.tasks)))
        self.tasks.append(task)
        return task

    async def _enter(self, number: int) -> None:
        if not self.places.enter():
            await self.places.wait()
        self.seated.append(number)


async def test_a_place_goes_to_who_waits_longest() -> None:
    places = Places(1, Queue())
    guests = Guests(places)
    for _ in range(4):
        guests.come()
        await _turns()
    for seated in range(1, 5):
        assert (guests.seated, places.taken) == (list(range(seated)), 1)
        places.leave()
        # Somebody who comes between the call and the turn does not overtake who was called.
        assert places.enter() is (seated == 4)
        await _turns()


async def test_without_a_line_there_is_a_place_at_once_or_none() -> None:
    places = Places(1)
    assert places.enter()
    assert not places.enter()
    with pytest.raises(Saturated, match=r"^1 answers of this provider are in progress, which is the limit$") as caught:
        await places.wait()
    assert (caught.value.type, caught.value.retryable) == (ErrorType.PROVIDER_OVERLOADED, True)


async def test_a_full_line_is_told_at_once_when_to_come_back() -> None:
    places = Places(1, Queue(length=1, seconds=7))
    guests = Guests(places)
    guests.come()
    guests.come()
    await _turns()
    with pytest.raises(Saturated, match="which is the limit, and 1 wait for a place") as caught:
        await places.wait()
    assert caught.value.retry_after == 7
    guests.tasks[1].cancel()
    await _turns(3)
    assert (places.taken, places.waiting) == (1, 0)


async def test_who_waited_too_long_leaves_the_line() -> None:
    places = Places(1, Queue(seconds=0.01))
    assert places.enter()
    with pytest.raises(Saturated, match=r"none ended within 0\.01 s") as caught:
        await places.wait()
    assert caught.value.retry_after == 1
    assert (places.taken, places.waiting) == (1, 0)
    places.leave()
    assert places.taken == 0


@pytest.mark.parametrize("order", ["called, then cancelled", "cancelled, then called"])
async def test_a_place_is_not_lost_on_who_is_cancelled_in_the_moment_of_the_call(order: str) -> None:
    places = Places(1, Queue())
    guests = Guests(places)
    guests.come()
    first, second = guests.come(), guests.come()
    await _turns()
    acts: list[Callable[[], object]] = [places.leave, first.cancel]
    for act in acts if order == "called, then cancelled" else reversed(acts):
        act()
    await asyncio.wait((first, second))
    assert first.cancelled()
    assert guests.seated == [0, 2]
    assert (places.taken, places.waiting) == (1, 0)


ACTS = st.lists(st.tuples(st.sampled_from(["come", "leave", "cancel", "turn"]), st.integers(0, 30)), max_size=60)


@given(most=st.integers(1, 3), length=st.integers(0, 4), acts=ACTS)
def test_whatever_happens_no_place_is_lost_or_given_twice_and_nobody_is_overtaken(
    most: int, length: int, acts: list[tuple[str, int]]
) -> None:
    async def scenario() -> None:
        places = Places(most, Queue(length=length, seconds=60))
        guests, left = Guests(places), 0
        for act, which in acts:
            if act == "come":
                guests.come()
            elif act == "leave" and left < len(guests.seated):
                places.leave()
                left += 1
                await _turns(1)  # who was called has a place, but sits down only now
            elif act == "cancel" and guests.tasks:
                guests.tasks[which % len(guests.tasks)].cancel()
            else:
                await _turns(1)
            assert len(guests.seated) - left <= places.taken <= most
            assert places.waiting <= length
        await _turns(8)
        assert places.taken == len(guests.seated) - left
        while left < len(guests.seated):
            places.leave()
            left += 1
            await _turns(8)
        assert (places.taken, places.waiting) == (0, 0)
        assert guests.seated == sorted(guests.seated)
        assert all(task.done() for task in guests.tasks)
        await asyncio.gather(*guests.tasks, return_exceptions=True)

    asyncio.run(scenario())
