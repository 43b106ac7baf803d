"""What answers cost whoever asked for them, whatever they say and however they end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.access.caller import Caller, anyone_at
from tailrace.access.limits.limiter import Limiter
from tailrace.access.limits.options import LimitOptions, Limits
from tailrace.errors import ErrorType, ProviderError, RunError
from tailrace.observe import Counters
from tailrace.runs.deltas import Finish, Frame, Part, Restart, Text, Thinking, ToolCall, Usage
from tailrace.runs.intake import take
from tailrace.runs.tally import Tally
from tailrace.testing import FakeClock
from tailrace.web.limits import account_of
from tailrace.web.metering import Items, metered

pytestmark = pytest.mark.anyio

CALLER = anyone_at("192.0.2.1")
PROMPT = 40  # bytes: ten tokens

words = st.text(max_size=12)
counts = st.none() | st.integers(0, 30)
spoken = st.one_of(
    st.builds(Text, words),
    st.builds(Thinking, words),
    st.builds(ToolCall, st.just(0), st.just("i"), st.just("f"), words),
)
parts = st.one_of(spoken, st.builds(Usage, counts, counts), st.builds(Restart, st.just("it broke")))
framed = st.builds(Frame, st.just("e"), st.just("{}"), st.lists(spoken, max_size=2).map(tuple))
items = st.lists(st.lists(parts | framed, min_size=1, max_size=4), max_size=8)


class Bank:
    """One caller with a budget, on a clock that stands still: nothing comes back."""

    def __init__(self, budget: int) -> None:
        options = LimitOptions(caller=Limits(tokens_per_minute=budget))
        self.limiter = Limiter(options, None, Counters(), FakeClock())
        self.account = account_of(self.limiter, CALLER)
        self.closed = False

    @property
    def used(self) -> int:
        assert self.account.budget is not None
        return round(self.account._tokens_used(1_700_000_000.0) / self.account.budget.cost(1))

    def answer(self, said: Sequence[Sequence[Part]], error: Exception | None = None) -> Items:
        async def source() -> AsyncGenerator[Sequence[Part], None]:
            try:
                for item in said:
                    yield item
                if error is not None:
                    raise error
            finally:
                self.closed = True

        return metered(self.limiter, CALLER, source, PROMPT)()


def tally_of(said: Sequence[Sequence[Part]]) -> Tally:
    """What a run counts of it."""
    tally = Tally(PROMPT)
    for item in said:
        take(item, tally)
    return tally


@settings(max_examples=60, deadline=None)
@given(items, st.sampled_from(["finish", "break", "leave"]))
async def test_an_answer_is_charged_what_its_run_tells(said: list[list[Part]], ending: str) -> None:
    bank = Bank(1_000_000)
    answer = bank.answer(said, ProviderError(ErrorType.PROVIDER_CUT, "it broke") if ending == "break" else None)
    heard: list[Sequence[Part]] = []
    with contextlib.suppress(ProviderError):
        async for item in answer:
            heard.append(item)
            if ending == "leave" and len(heard) > 2:
                break
    await answer.aclose()
    usage = tally_of(heard).usage()
    assert heard == said[: len(heard)]
    assert bank.used == (usage["input_tokens"] + usage["output_tokens"] if heard else 0)
    assert bank.closed or not heard
    assert bank.account.answers == 0


@settings(max_examples=60, deadline=None)
@given(items, st.integers(1, 60))
async def test_nothing_more_is_said_once_the_budget_is_overspent(said: list[list[Part]], budget: int) -> None:
    bank, heard = Bank(budget), list[Part]()
    answer = bank.answer(said)
    with contextlib.suppress(RunError):
        async for item in answer:
            heard += item
    everything = [part for item in said for part in item]
    assert heard == everything[: len(heard)]
    over = [tally_of([everything[:count]]).certain > budget for count in range(len(everything))]
    refused = next((at for at, part in enumerate(everything) if over[at] and speaks(part)), len(everything))
    assert len(heard) == refused


def speaks(part: Part) -> bool:
    """Whether readers are told something by it."""
    return bool(part.deltas) if isinstance(part, Frame) else isinstance(part, Text | Thinking | ToolCall)


async def test_answers_in_progress_draw_on_the_same_budget() -> None:
    bank = Bank(20)
    first, second = bank.answer([[Text("x" * 60)], [Text("y")]]), bank.answer([[Text("x" * 60)], [Text("y")]])
    assert await anext(first) == [Text("x" * 60)]
    assert await anext(second) == [Text("x" * 60)]
    for answer in (first, second):
        with pytest.raises(RunError):
            await anext(answer)


async def test_an_answer_that_is_cancelled_while_it_waits_is_charged_and_closed() -> None:
    bank = Bank(1000)

    async def source() -> AsyncGenerator[Sequence[Part], None]:
        try:
            yield [Text("x" * 40), Usage(100, None)]
            await asyncio.Event().wait()
        finally:
            bank.closed = True

    async def listen() -> None:
        async for _ in metered(bank.limiter, CALLER, source, PROMPT)():
            heard.set()

    heard = asyncio.Event()
    listening = asyncio.create_task(listen())
    await heard.wait()
    listening.cancel()
    await asyncio.wait((listening,))
    for _ in range(3):
        await asyncio.sleep(0)
    assert (bank.closed, bank.used, bank.account.answers) == (True, 110, 0)


async def test_a_finish_is_told_whatever_it_costs() -> None:
    bank = Bank(20)
    said: list[list[Part]] = [[Text("hello")], [Usage(500, 500), Finish("stop")]]
    assert [item async for item in bank.answer(said)] == said
    assert bank.limiter.is_overspent(bank.account)


@pytest.mark.parametrize("limits", [None, Limits(), Limits(requests_per_minute=1)])
def test_where_tokens_are_not_counted_nothing_stands_in_between(limits: Limits | None) -> None:
    limiter = None if limits is None else Limiter(LimitOptions(caller=limits), None, Counters())
    caller: Caller = CALLER

    def source() -> Items:
        raise AssertionError

    assert metered(limiter, caller, source, 0) is source
