"""Calls over servers that answer as they are told: what leaves together, what is repeated, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from redis.exceptions import NoPermissionError, NoScriptError, ResponseError

from tailrace.errors import StoreError, StoreUnavailable
from tailrace.log.redis import calls as calls_module
from tailrace.log.redis.calls import Call, Calls, Turn
from tailrace.log.redis.replies import NotNow
from tailrace.log.redis.scripts import Scripts
from tailrace.log.redis.servers import Command
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio

PUBLISH = Scripts(sharded=False).publish
LOOK = Scripts(sharded=False).look
BEAT = Scripts(sharded=False).beat


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


def ask(calls: Calls, word: str, script: Any = PUBLISH, turn: Turn = Turn.RUNS) -> asyncio.Task[Any]:
    """Call a script with a word."""
    return asyncio.create_task(calls.call(script, ("k",), word, turn=turn))


async def ticks() -> None:
    """Let everything come as far as it does without an answer."""
    for _ in range(5):
        await asyncio.sleep(0)


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


# Turns.


async def test_a_beat_waits_for_no_pipeline_and_leaves_before_what_was_asked_earlier(
    calls: Calls, servers: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls_module, "_PIPELINE_CALLS", 1)
    asked = []
    for word in "abcdefgh":
        asked.append(ask(calls, word, turn=Turn.EVENTS))
        await ticks()
    assert len(servers.asked) == 2
    beat = ask(calls, "beat", BEAT, Turn.FLEET)
    await ticks()
    assert servers.words(2)[0] == "beat"
    servers.answer(2)
    assert await beat == "beat"
    await leave(calls, asked)


async def leave(calls: Calls, asked: Sequence[asyncio.Task[Any]]) -> None:
    """Have whatever was asked come to its end."""
    await calls.close()
    await asyncio.gather(*asked, return_exceptions=True)


async def test_some_of_each_turn_leaves_with_every_pipeline(
    calls: Calls, servers: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls_module, "_PIPELINE_CALLS", 0)
    asked = [ask(calls, f"{turn.name}{number}", turn=turn) for turn in reversed(Turn) for number in (1, 2)]
    await ticks()
    assert servers.words(0) == ["FLEET1", "RUNS1", "EVENTS1", "PAGES1", "LIMITS1"]
    assert servers.words(1) == ["FLEET2", "RUNS2", "EVENTS2", "PAGES2", "LIMITS2"]
    await leave(calls, asked)


async def test_who_publishes_to_a_store_that_is_behind_is_told_at_once_and_nobody_else(
    calls: Calls, servers: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    for word in "abc":
        asked.append(ask(calls, word, turn=Turn.EVENTS))
        await ticks()
    monkeypatch.setattr(calls_module, "_PIPELINE_CALLS", 2)
    monkeypatch.setattr(calls_module, "_BEHIND", -1.0)  # `c` has waited for too long now
    with pytest.raises(StoreUnavailable, match="behind"):
        await calls.call(PUBLISH, ("k",), "d", turn=Turn.EVENTS)
    beat = ask(calls, "beat", BEAT, Turn.FLEET)
    await ticks()
    servers.answer(2)
    assert await beat == "beat"
    assert calls.failing_since is None
    await leave(calls, asked)


async def test_who_publishes_to_a_store_that_is_away_waits_as_it_may_be_back_in_a_moment(
    calls: Calls, servers: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls_module, "_PIPELINE_CALLS", 0)
    monkeypatch.setattr(calls_module, "_BEHIND", -1.0)
    first = ask(calls, "a", turn=Turn.EVENTS)
    await ticks()
    servers.answer(0, StoreUnavailable("gone"))
    await ticks()
    second = ask(calls, "b", turn=Turn.EVENTS)
    await eventually(lambda: len(servers.asked) == 2)
    servers.answer(1)
    assert await first == "a"
    await eventually(lambda: second.done() or len(servers.asked) == 3)
    if not second.done():
        servers.answer(2)
    assert await second == "b"


async def test_what_waits_of_one_turn_leaves_the_room_of_the_others(
    calls: Calls, servers: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls_module, "_WAITING_BYTES", 10)
    published = ask(calls, "xxxxxxxx", turn=Turn.EVENTS)
    await ticks()
    with pytest.raises(StoreUnavailable, match="too much waits"):
        await calls.call(PUBLISH, ("k",), "yyyy", turn=Turn.EVENTS)
    appended = ask(calls, "yyyy")
    await ticks()
    servers.answer(1)
    assert await appended == "yyyy"
    await leave(calls, [published])


# Rights.


async def test_a_right_that_was_taken_away_is_not_back_because_another_call_passes(
    calls: Calls, servers: Scripted
) -> None:
    both = ask(calls, "a"), ask(calls, "beat", BEAT)
    await eventually(lambda: servers.asked)
    servers.answer(0, [NoPermissionError("NOPERM"), "beat"])
    assert await both[1] == "beat"
    assert calls.failing_since is not None
    await eventually(lambda: len(servers.asked) == 2)
    servers.answer(1)
    assert await both[0] == "a"
    assert calls.failing_since is None


async def test_a_refusal_that_does_not_come_again_is_over_after_a_while(
    calls: Calls, servers: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = ask(calls, "a")
    await eventually(lambda: servers.asked)
    servers.answer(0, [NoPermissionError("NOPERM")])
    refused.cancel()
    await asyncio.wait((refused,))
    assert calls.failing_since is not None
    monkeypatch.setattr(calls_module, "_REFUSED_FOR", -1.0)
    beat = ask(calls, "beat", BEAT)
    await eventually(lambda: len(servers.asked) == 2)
    servers.answer(1)
    assert await beat == "beat"
    assert calls.failing_since is None
