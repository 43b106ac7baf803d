"""One run: what its producer may be, and what it comes to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tailrace.clock import SYSTEM
from tailrace.errors import ErrorType, RunError
from tailrace.runs import Delta, Finish, Item, RunOptions, Status, Text, Thinking, ToolCall, Usage
from tests.support.producers import Held, says
from tests.support.viewers import House

pytestmark = pytest.mark.anyio


# What a producer may be, and may yield.


async def test_a_factory_of_text_is_a_run_of_messages() -> None:
    async with House() as house:
        viewer = await house.whole((await house.start(says("Hel", "lo"), model="m", provider="p")).id)
        assert viewer.names == ["start", "message", "message", "finish", "done"]
        assert viewer.text == "Hello"
        assert viewer.events[0].retry == 2000


async def test_an_async_iterator_of_deltas_and_batches_is_a_run() -> None:
    async with House() as house:
        producer = says(
            Thinking("hm"), [Text("a"), ToolCall(0, "id", "f", "{}")], Usage(3, None), Finish("tool_calls")
        )()
        viewer = await house.whole((await house.start(producer, model="m", provider="p")).id)
        assert viewer.names == ["start", "thinking", "message", "tool", "finish", "done"]
        assert viewer.said(viewer.events[-2]) == {
            "finish_reason": "tool_calls",
            "usage": {"input_tokens": 3, "output_tokens": 2, "estimated": True},
            "model": "m",
            "provider": "p",
            "first_token": 0,
            "seconds": 0,
            "attempts": [],
        }


async def test_what_comes_after_the_finish_is_not_said() -> None:
    async with House() as house:
        late = Held("more")
        items = says("a", [Text("b"), Finish("length"), Text("c")], "d")
        viewer = await house.whole((await house.start(items)).id)
        assert viewer.text == "ab"
        assert viewer.names[-2:] == ["finish", "done"]
        assert not late.began.is_set()


async def test_an_iterator_that_is_no_generator_needs_no_aclose() -> None:
    class Two:
        def __init__(self) -> None:
            self.left = ["a", "b"]

        def __aiter__(self) -> Two:
            return self

        async def __anext__(self) -> str:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop(0)

    async with House() as house:
        assert (await house.whole((await house.start(Two())).id)).text == "ab"


async def test_a_producer_that_never_waits_leaves_the_loop_to_others() -> None:
    async with House(clock=SYSTEM) as house:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        counting = asyncio.create_task(count())
        run = await house.start(says(*["x"] * 50_000))
        viewer = await house.whole(run.id)
        counting.cancel()
        assert viewer.text == "x" * 50_000
        assert turns > 3


async def test_a_producer_that_waits_for_each_token_is_not_made_to_wait_again() -> None:
    async with House() as house:

        async def waiting() -> AsyncIterator[str]:
            for _ in range(100):
                await asyncio.sleep(0)
                house.clock.advance(1)
                yield "x"

        run = await house.start(waiting)
        turns = 0
        while not run.ended:
            await asyncio.sleep(0)
            turns += 1
        assert turns < 110


async def test_half_of_a_surrogate_pair_does_not_break_a_run() -> None:
    async with House() as house:
        viewer = await house.whole((await house.start(says("a\ud83d", [Text("\ude00b")]))).id)
        assert viewer.text == "a\ufffd\ufffdb"


@pytest.mark.parametrize(
    ("producer", "said"),
    [
        (says("a", ValueError("secret")), "a"),
        (says("a", 5), "a"),  # type: ignore[arg-type]
        (says("a", ["b"]), "a"),  # type: ignore[list-item]
        (lambda: 1 / 0, ""),
        (lambda: None, ""),
        (says("a", asyncio.CancelledError()), "a"),  # type: ignore[arg-type]
    ],
    ids=[
        "raises",
        "yields a number",
        "yields a list of text",
        "a factory that raises",
        "no iterator",
        "cancels itself",
    ],
)
async def test_what_goes_wrong_in_the_application_fails_the_run_and_is_logged(
    producer: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with House() as house:
        with caplog.at_level(logging.ERROR, "tailrace"):
            viewer = await house.whole((await house.start(producer)).id)
        assert viewer.text == said
        assert viewer.names[-2:] == ["error", "done"]
        assert viewer.error["type"] == "tailrace_producer"
        assert "secret" not in viewer.data.decode()


async def test_a_run_error_fails_the_run_as_it_says() -> None:
    async with House() as house:
        error = RunError(ErrorType.PROVIDER_OVERLOADED, "later", retryable=True)
        run = await house.start(says("a", error))
        viewer = await house.whole(run.id)
        assert viewer.text == "a"
        assert viewer.error == {"type": "provider_overloaded", "message": "later", "retryable": True}
        assert run.status is Status.FAILED


async def test_a_producer_that_fails_while_it_is_closed_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def produce() -> AsyncIterator[Item]:
        try:
            yield Finish("stop")
        finally:
            raise OSError("cannot close")

    async with House() as house:
        viewer = await house.whole((await house.start(produce)).id)
        await house.settled(lambda: not house.left)
        assert viewer.names == ["start", "finish", "done"]
    assert "cannot close" in caplog.text


# Usage.


@pytest.mark.parametrize(
    ("given_usage", "usage"),
    [
        ([], {"input_tokens": 3, "output_tokens": 2, "estimated": True}),
        ([Usage(10, 20)], {"input_tokens": 10, "output_tokens": 20, "estimated": False}),
        ([Usage(10)], {"input_tokens": 10, "output_tokens": 2, "estimated": True}),
        ([Usage(10, 1), Usage(None, 7)], {"input_tokens": 10, "output_tokens": 7, "estimated": False}),
        ([Usage(0, 0)], {"input_tokens": 0, "output_tokens": 0, "estimated": False}),
    ],
    ids=["none", "all", "a part", "in steps, the later one counts", "zero is given too"],
)
async def test_usage_is_the_providers_or_estimated(given_usage: list[Delta], usage: dict[str, object]) -> None:
    async with House() as house:
        viewer = await house.whole((await house.start(says("12345é", *given_usage), prompt_bytes=9)).id)
        assert viewer.said(viewer.events[-2])["usage"] == usage


# Its size.


async def test_a_run_over_its_bound_fails_and_keeps_what_was_said() -> None:
    async with House() as house:
        held = Held(*["0123456789"] * 50)
        viewer = await house.whole((await house.start(held, max_bytes=200)).id)
        assert viewer.error["type"] == "policy_run_too_large"
        assert viewer.error["retryable"] is False
        assert 0 < len(viewer.text) <= 200
        assert held.closed.is_set() or await held.closed.wait()


async def test_the_bound_counts_bytes_and_holds_for_a_last_batch_too() -> None:
    async with House() as house:
        for items in (["é" * 150], [[Text("x" * 300), Finish("stop")]], ["", *[ToolCall(0, arguments="x" * 20)] * 20]):
            viewer = await house.whole((await house.start(says(*items), max_bytes=250)).id)
            assert viewer.error["type"] == "policy_run_too_large"


@pytest.mark.parametrize(
    "options", [{"grace": -1.0}, {"grace": float("nan")}, {"max_bytes": 0}, {"prompt_bytes": -1}, {"keep": -0.1}]
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        RunOptions(**options)
