"""Calls over servers that answer as they are told: what leaves together, what is repeated, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from redis.exceptions import NoScriptError, ResponseError

from tailrace.errors import StoreError, StoreUnavailable
from tailrace.log.redis import calls as calls_module
from tailrace.log.redis.calls import Call, Calls
from tailrace.log.redis.replies import NotNow
from tailrace.log.redis.scripts import Scripts
from tailrace.log.redis.servers import Command
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio

PUBLISH = Scripts(sharded=False).publish
LOOK = Scripts(sharded=False).look


class Scripted:
    """Servers whose answers are the test's: each pipeline waits for `answer`, in whatever order."""

    def __init__(self) -> None:
        self.asked: list[tuple[Sequence[Command], asyncio.Future[list[Any]]]] = []

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        """Be asked."""
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self.asked.append((commands, future))
        return await future

    def words(self, number: int) -> list[Any]:
        """The last words of the commands of a pipeline."""
        return [command.words[-1] for command in self.asked[number][0]]

    def answer(self, number: int, answers: Sequence[Any] | Exception | None = None) -> None:
        """Answer a pipeline: with its commands' last words, unless told otherwise."""
        if isinstance(answers, Exception):
            self.asked[number][1].set_exception(answers)
        else:
            self.asked[number][1].set_result(self.words(number) if answers is None else list(answers))


@pytest.fixture
def servers() -> Scripted:
    """Servers that were asked nothing."""
    return Scripted()


@pytest.fixture
async def calls(servers: Scripted, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Calls]:
    """Open calls to them, which do not rest for long."""
    monkeypatch.setattr(calls_module, "_LONGEST_REST", 0.001)
    monkeypatch.setattr(calls_module, "_REFUSED_REST", 0.001)
    calls = Calls(servers)  # type: ignore[arg-type]  # it needs nothing but `run`
    calls.open()
    yield calls
    await calls.close()


def ask(calls: Calls, word: str, script: Any = PUBLISH) -> asyncio.Task[Any]:
    """Call a script with a word."""
    return asyncio.create_task(calls.call(script, ("k",), word))


async def test_what_is_called_in_one_tick_leaves_together(calls: Calls, servers: Scripted) -> None:
    asked = [ask(calls, word) for word in "abc"]
    await eventually(lambda: servers.asked)
    servers.answer(0)
    assert [await each for each in asked] == ["a", "b", "c"]
    assert calls.waiting == 0


async def test_two_pipelines_are_under_way_and_the_rest_leaves_behind_them(calls: Calls, servers: Scripted) -> None:
    asked = []
    for word in "abcd":
        asked.append(ask(calls, word))
        for _ in range(5):
            await asyncio.sleep(0)
    assert [servers.words(number) for number in range(len(servers.asked))] == [["a"], ["b"]]
    servers.answer(0)
    await eventually(lambda: len(servers.asked) == 3)
    assert servers.words(2) == ["c", "d"]
    servers.answer(1)
    servers.answer(2)
    assert [await each for each in asked] == [*"abcd"]


async def test_what_met_no_answer_is_called_again_in_the_order_of_the_calls(calls: Calls, servers: Scripted) -> None:
    asked = []
    for word in "abc":
        asked.append(ask(calls, word))
        for _ in range(5):
            await asyncio.sleep(0)
    servers.answer(1, StoreUnavailable("gone"))
    servers.answer(0, StoreUnavailable("gone"))
    await eventually(lambda: len(servers.asked) == 3)
    assert servers.words(2) == ["a", "b", "c"]
    assert calls.failing_since is not None
    assert calls.failures == 2
    servers.answer(2)
    assert [await each for each in asked] == [*"abc"]
    assert calls.failing_since is None


async def test_a_script_that_is_unknown_comes_again_with_its_source_and_all_of_its_group(
    calls: Calls, servers: Scripted
) -> None:
    both = asyncio.create_task(calls.run([Call(PUBLISH, ("k",), ("a",)), Call(LOOK, ("k",), ("b",))]))
    other = ask(calls, "c")
    await eventually(lambda: servers.asked)
    servers.answer(0, ["a", NoScriptError("unknown"), "c"])
    await eventually(lambda: len(servers.asked) == 2)
    assert await other == "c"
    assert [command.words[:2] for command in servers.asked[1][0]] == [("EVAL", PUBLISH.source), ("EVAL", LOOK.source)]
    servers.answer(1)
    assert await both == ["a", "b"]


async def test_what_a_server_refuses_for_now_comes_again_and_keeps_nobody_waiting(
    calls: Calls, servers: Scripted
) -> None:
    full, fine = ask(calls, "full"), ask(calls, "fine", LOOK)
    await eventually(lambda: servers.asked)
    servers.answer(0, [NotNow("OOM"), "fine"])
    assert await fine == "fine"
    assert calls.failing_since is not None
    await eventually(lambda: len(servers.asked) == 2)
    servers.answer(1)
    assert await full == "full"
    assert calls.failing_since is None


async def test_a_fault_is_told_to_whoever_made_the_call(calls: Calls, servers: Scripted) -> None:
    wrong, right = ask(calls, "wrong"), ask(calls, "right")
    await eventually(lambda: servers.asked)
    servers.answer(0, [ResponseError("WRONGTYPE"), "right"])
    with pytest.raises(StoreError, match="WRONGTYPE"):
        await wrong
    assert await right == "right"


async def test_a_fault_of_ours_is_told_to_all_who_wait(calls: Calls, servers: Scripted) -> None:
    asked = ask(calls, "a")
    await eventually(lambda: servers.asked)
    servers.answer(0, ZeroDivisionError("a bug"))
    with pytest.raises(StoreError, match="a bug"):
        await asked
    again = ask(calls, "b")
    await eventually(lambda: len(servers.asked) == 2)
    servers.answer(1)
    assert await again == "b"


async def test_who_does_not_wait_any_more_is_not_asked_for(calls: Calls, servers: Scripted) -> None:
    for word in "ab":
        ask(calls, word)
        for _ in range(5):
            await asyncio.sleep(0)
    gone, stays = ask(calls, "gone"), ask(calls, "stays")
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait((gone,))
    servers.answer(0)
    await eventually(lambda: len(servers.asked) == 3)
    assert servers.words(2) == ["stays"]
    servers.answer(1)
    servers.answer(2)
    assert await stays == "stays"


async def test_a_call_has_its_time_and_no_more(
    calls: Calls, servers: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls_module, "_PATIENCE", 0.02)
    with pytest.raises(StoreUnavailable) as told:
        await calls.call(PUBLISH, ("k",), "a")
    assert told.value.retry_after == 1
    assert calls.failing_since is not None
    servers.answer(0)
    await eventually(lambda: calls.failing_since is None)


async def test_nothing_is_called_before_it_is_open_or_after_it_was_closed(servers: Scripted) -> None:
    calls = Calls(servers)  # type: ignore[arg-type]  # it needs nothing but `run`
    with pytest.raises(StoreUnavailable, match="not open"):
        await calls.call(PUBLISH, ("k",), "a")
    calls.open()
    under_way = ask(calls, "a")
    await eventually(lambda: servers.asked)
    waiting = ask(calls, "b")
    await asyncio.sleep(0)
    await calls.close()
    for each in (under_way, waiting):
        with pytest.raises(StoreUnavailable):
            await each
    with pytest.raises(StoreUnavailable, match="not open"):
        await calls.call(PUBLISH, ("k",), "a")


async def test_calling_nothing_asks_nobody(calls: Calls, servers: Scripted) -> None:
    assert await calls.run(()) == []
    assert not servers.asked
