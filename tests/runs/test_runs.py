"""All runs: started once for a key, found by those who may, and left in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from tailrace.errors import KeyReused, RunNotFound, StoreUnavailable
from tailrace.log import MemoryCoordination
from tailrace.runs import Item, RunOptions, Status
from tests.support.producers import Counted
from tests.support.viewers import House

pytestmark = pytest.mark.anyio

OPTIONS = RunOptions(grace=None)
OWNED = RunOptions(grace=None, owner="ann")


class Slow(MemoryCoordination):
    """A coordination that, like one over a network, takes turns of the loop for everything."""

    async def claim(self, name: str, value: str, seconds: float) -> str:
        await asyncio.sleep(0)
        standing = await super().claim(name, value, seconds)
        await asyncio.sleep(0)
        return standing

    async def lookup(self, name: str) -> str | None:
        await asyncio.sleep(0)
        return await super().lookup(name)


# Once for a key.


@pytest.mark.parametrize("coordination", [MemoryCoordination, Slow])
async def test_the_same_key_many_times_at_once_starts_one_producer(
    coordination: Callable[[], MemoryCoordination],
) -> None:
    async with House(coordination=coordination()) as house:
        counted = Counted()
        ids = await asyncio.gather(*[house.runs.start_once("k", "f", OPTIONS, counted) for _ in range(20)])
        assert len(set(ids)) == 1
        viewer = await house.whole(ids[0])
        assert viewer.text == "hello"
        assert counted.made == 1


async def test_a_key_that_comes_again_with_another_request_is_refused() -> None:
    async with House(coordination=Slow()) as house:
        counted = Counted()
        outcomes = await asyncio.gather(
            *[house.runs.start_once("k", f"f{i}", OPTIONS, counted) for i in range(4)], return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes].count(KeyReused) == 3
        await house.settled(lambda: not house.left)
        assert counted.made == 1


async def test_a_key_is_its_owners() -> None:
    async with House() as house:
        counted = Counted()
        ids = {
            await house.runs.start_once("k", "f", RunOptions(owner=owner, grace=None), counted)
            for owner in (None, "ann", "bob")
        }
        await house.settled(lambda: not house.left)
        assert len(ids) == counted.made == 3


async def test_a_key_lives_as_long_as_its_run_can_be_read() -> None:
    async with House() as house:
        counted, keep = Counted(), RunOptions(grace=None, keep=100)
        first = await house.runs.start_once("k", "f", keep, counted)
        await house.whole(first)
        await house.settled(lambda: not house.left)
        house.pass_time(99)
        assert await house.runs.start_once("k", "f", keep, counted) == first
        assert (await house.whole(first)).text == "hello"
        house.pass_time(2)
        with pytest.raises(RunNotFound):
            await house.runs.read(first, None)
        assert await house.runs.start_once("k", "f", keep, counted) != first
        await house.settled(lambda: not house.left)


async def test_a_key_outlives_a_run_that_takes_hours() -> None:
    async with House() as house:
        counted = Counted()
        released = asyncio.Event()

        async def produce() -> AsyncIterator[Item]:
            counted.made += 1
            await released.wait()
            yield "at last"

        first = await house.runs.start_once("k", "f", OPTIONS, produce)
        await asyncio.sleep(0)
        house.pass_time(20_000)
        assert await house.runs.start_once("k", "f", OPTIONS, produce) == first
        released.set()
        assert (await house.whole(first)).text == "at last"
        assert counted.made == 1


async def test_a_failed_run_is_what_its_key_gives_again() -> None:
    async with House() as house:

        async def fail() -> AsyncIterator[Item]:
            yield "a"
            raise ValueError

        first = await house.runs.start_once("k", "f", OPTIONS, fail)
        once = await house.whole(first)
        assert await house.runs.start_once("k", "f", OPTIONS, fail) == first
        assert (await house.whole(first)).data == once.data


async def test_an_iterator_that_is_not_needed_is_closed() -> None:
    class Connection:
        closed = False

        def __aiter__(self) -> Connection:
            return self

        async def __anext__(self) -> str:
            raise StopAsyncIteration

        async def aclose(self) -> None:
            self.closed = True

    async with House() as house:
        await house.runs.start_once("k", "f", OPTIONS, Counted())
        spare = Connection()
        await house.runs.start_once("k", "f", OPTIONS, spare)
        assert spare.closed
        await house.settled(lambda: not house.left)


async def test_a_store_that_fails_in_the_middle_of_a_claim_leaves_no_run_behind() -> None:
    class Away(MemoryCoordination):
        async def claim(self, name: str, value: str, seconds: float) -> str:
            raise StoreUnavailable("away")

    async with House(coordination=Away()) as house:
        counted = Counted()
        with pytest.raises(StoreUnavailable):
            await house.runs.start_once("k", "f", OPTIONS, counted)
        await house.settled(lambda: not house.left)
        assert counted.made == 0


async def test_whoever_repeats_a_request_whose_claim_was_performed_unheard_gets_an_answer() -> None:
    class Deaf(MemoryCoordination):
        deaf = True

        async def claim(self, name: str, value: str, seconds: float) -> str:
            taken = await super().claim(name, value, seconds)
            if self.deaf:
                raise StoreUnavailable("the answer was lost")
            return taken

    deaf = Deaf()
    async with House(coordination=deaf) as house:
        counted = Counted()
        with pytest.raises(StoreUnavailable):
            await house.runs.start_once("k", "f", OPTIONS, counted)
        deaf.deaf = False
        run = await house.runs.start_once("k", "f", OPTIONS, counted)
        assert (await house.whole(run)).names[-1] == "done"
        assert (await house.runs.summary(run, None)).status is Status.FINISHED
        assert counted.made == 1
        assert await house.runs.start_once("k", "f", OPTIONS, counted) == run
        await house.settled(lambda: not house.left)


# Whose it is.


@pytest.mark.parametrize("who", [None, "bob", ""])
async def test_another_ones_run_is_as_if_it_were_not_there(who: str | None) -> None:
    async with House() as house:
        run = await house.runs.start(Counted(), OWNED)
        for unlucky in (run.id, "nobodys"):
            for attempt in (house.runs.read, house.runs.summary, house.runs.cancel, house.runs.attach):
                with pytest.raises(RunNotFound, match="no such run"):
                    await attempt(unlucky, who)
        assert run.status is not Status.CANCELLED
        assert (await house.runs.summary(run.id, "ann")).model == ""
        await house.settled(lambda: not house.left)


async def test_a_run_of_nobody_is_everyones_who_knows_its_id() -> None:
    async with House() as house:
        run = await house.runs.start(Counted(), OPTIONS)
        assert (await house.runs.summary(run.id, "whoever")).created is not None
        await house.settled(lambda: not house.left)


# What is refused.


async def test_a_refusal_is_a_verdict_an_error_and_the_end_under_an_id_that_has_nothing_more() -> None:
    async with House() as house:
        refused = await house.runs.refuse(OPTIONS)
        viewer = await house.view(refused.id, "gone-5")
        await viewer.ended()
        assert viewer.names == ["resume", "error", "done"]
        assert viewer.said(viewer.events[0]) == {"recovered": False, "reason": "unknown", "missed": None}
        assert viewer.error["type"] == "caller_unknown_run"
        assert [event.id for event in viewer.events] == [f"{refused.id}-{offset}" for offset in range(3)]
        assert await house.runs.read(refused.id, None, viewer.events[-1].id) is None
        await house.settled(lambda: not house.left)
        house.pass_time(61)
        with pytest.raises(RunNotFound):
            await house.runs.read(refused.id, None)


# The state of a run.


async def test_the_state_of_a_run_is_what_its_records_come_to() -> None:
    async with House() as house:

        async def produce() -> AsyncIterator[Item]:
            for _ in range(3000):  # more than the tail holds, and than a page
                yield "ab"

        run = await house.start(produce, model="m", provider="p")
        await house.whole(run.id)
        await house.settled(lambda: not house.left)
        summary = await house.runs.summary(run.id, None)
        assert summary.text == "ab" * 3000
        assert (summary.model, summary.provider, summary.status) == ("m", "p", Status.FINISHED)
        assert summary.created == summary.ended == house.clock.time()


async def test_a_run_in_progress_has_a_state_too() -> None:
    async with House() as house:

        async def produce() -> AsyncIterator[Item]:
            yield "ab"
            await asyncio.Event().wait()

        run = await house.start(produce, model="m", provider="p")
        viewer = await house.view(run.id)
        await viewer.saw("message")
        summary = await house.runs.summary(run.id, None)
        assert (summary.text, summary.provider, summary.status, summary.ended) == ("ab", "p", Status.RUNNING, None)
        cancelled = await house.runs.cancel(run.id, None)
        assert cancelled.status is Status.CANCELLED
        assert (await house.runs.cancel(run.id, None)) == cancelled
        await viewer.ended()


# Leaving.


async def test_closing_interrupts_what_is_left_and_does_not_wait_for_a_producer_for_ever() -> None:
    async with House() as house:
        stubborn = asyncio.Event()

        async def produce() -> AsyncIterator[Item]:
            yield "a"
            while not stubborn.is_set():
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    continue

        run = await house.start(produce)
        viewer = await house.view(run.id)
        await viewer.saw("message")
        await house.runs.close(0.05)
        assert viewer.names == ["start", "message", "error", "done"]
        assert viewer.error["type"] == "tailrace_interrupted"
        assert viewer.error["retryable"] is True
        stubborn.set()
        (task,) = [task for task in asyncio.all_tasks() if task.get_name() == f"run {run.id}"]
        task.cancel()
        await asyncio.wait((task,))
