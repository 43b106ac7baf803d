"""An answer from whichever target gives one, over providers that fail in every way."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Any, Self

import pytest

from tailrace.chat.ask import Ask, Message
from tailrace.chat.attempts import Attempt
from tailrace.chat.breaker import Breaker, BreakerOptions, State
from tailrace.chat.course import Chance
from tailrace.chat.dialects import DIALECTS
from tailrace.chat.models import Arm, Policy, Route, Target
from tailrace.chat.providers.anthropic import Anthropic
from tailrace.chat.providers.base import ProviderOptions
from tailrace.chat.providers.openai import OpenAI
from tailrace.chat.providers.streamed import speaks
from tailrace.chat.router import Router
from tailrace.chat.timeouts import Timeouts
from tailrace.chat.upstream import Connections
from tailrace.errors import ErrorType, ProviderError
from tailrace.runs.deltas import Finish, Frame, Restart, Text, Usage
from tailrace.testing import FakeClock
from tests.support.upstream import Script, Upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tailrace.chat.providers.streamed import StreamedProvider
    from tailrace.chat.router import Item
    from tailrace.runs.deltas import Part


pytestmark = pytest.mark.anyio

HI = Ask(messages=(Message("user", "Hi"),))
MAIN, SPARE, LAST = Target("main", "m"), Target("spare", "s"), Target("last", "l")
FINE = [Text("Hello"), Text(", "), Text("world"), Text("!")]
BUSY = Script(status=503)


class Bench(AsyncExitStack):
    """Three scripted providers behind one router, whose waits take no time but are noted in `waits`."""

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.up = {name: self.enter_context(Upstream()) for name in ("main", "spare", "last")}
        self.connections = Connections()
        self.push_async_callback(self.connections.close)
        self.providers: dict[str, StreamedProvider] = {name: self.provider(name) for name in self.up}
        self.clock = FakeClock()
        self.breakers = {
            target: Breaker(BreakerOptions(failures=4, cooldown=10), clock=self.clock, jitter=lambda: 0.0)
            for target in (MAIN, SPARE, LAST)
        }
        self.waits: list[float] = []
        self.attempts: list[Attempt] = []
        self.router = self.make()
        return self

    def provider(self, name: str, **timeouts: float) -> Anthropic:
        options = ProviderOptions(
            name=name, kind="anthropic", base_url=self.up[name].url, timeouts=Timeouts(**timeouts)
        )
        return Anthropic(options, self.connections)

    def make(self, **options: Any) -> Router:
        chance = Chance(self.clock, lambda: 0.0)
        return Router(self.providers, self.breakers, sleep=self._sleep, chance=chance, **options)

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock.advance(seconds)

    def route(self, *fallback: Target, **policy: Any) -> Route:
        return Route("smart", (Arm(MAIN),), fallback, Policy(**policy))

    async def heard(self, route: Route, key: str | None = "ada") -> tuple[list[Part], ProviderError | None]:
        """Return what a reader hears of an answer, and how it broke."""
        deltas: list[Part] = []
        self.attempts, self.waits = [], []
        try:
            async with aclosing(self.router.answer(HI, route, key, self.attempts)) as answer:
                async for item in answer:
                    deltas += item
        except ProviderError as error:
            return deltas, error
        return deltas, None

    @property
    def asked(self) -> dict[str, int]:
        return {name: len(up.seen) for name, up in self.up.items()}

    @property
    def noted(self) -> list[tuple[str, str]]:
        return [(each.target.provider, each.outcome) for each in self.attempts]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with Bench() as bench:
        yield bench


def _texts(deltas: list[Part]) -> list[Part]:
    return [delta for delta in deltas if not isinstance(delta, Usage | Finish)]


async def test_the_first_try_that_works_is_the_answer_as_the_provider_gives_it(bench: Bench) -> None:
    deltas, error = await bench.heard(bench.route(SPARE))
    alone = [delta async for item in bench.providers["main"].answer(HI) for delta in item]
    assert (deltas, error) == (alone, None)
    assert bench.up["main"].seen[0].body["model"] == "m"
    assert bench.noted == [("main", "answered")]
    assert bench.asked == {"main": 2, "spare": 0, "last": 0}


async def test_the_wait_that_a_provider_asks_for_is_obeyed_and_the_same_target_answers(bench: Bench) -> None:
    bench.up["main"].script(Script(status=429, headers={"Retry-After": "2"}))
    deltas, error = await bench.heard(bench.route(SPARE))
    assert (_texts(deltas), error) == (FINE, None)
    assert bench.waits == [2.0]
    assert bench.asked == {"main": 2, "spare": 0, "last": 0}
    first, second = bench.attempts
    assert (first.outcome, first.status) == ("provider_rate_limited", 429)
    assert (second.outcome, second.waited, second.obeyed) == ("answered", 2.0, True)


async def test_a_provider_that_is_busy_for_ever_is_replaced_by_the_fallback(bench: Bench) -> None:
    bench.up["main"].default = Script(status=429, headers={"Retry-After": "1"})
    deltas, error = await bench.heard(bench.route(SPARE))
    assert (_texts(deltas), error) == (FINE, None)
    assert bench.up["spare"].seen[0].body["model"] == "s"
    assert bench.noted == [("main", "provider_rate_limited")] * 2 + [("spare", "answered")]


FAULTS_BEFORE_CONTENT = {
    "500": (Script(status=500), "provider_failed", 2),
    "503": (BUSY, "provider_overloaded", 2),
    "401": (Script(status=401), "provider_auth", 1),
    "404": (Script(status=404), "provider_rejected", 1),
    "reset before the head": (Script(fault="reset before head"), "provider_unreachable", 2),
    "closed before the head": (Script(fault="close before head"), "provider_unreachable", 2),
    "no answer": (Script(fault="no head"), "provider_first_token_timeout", 1),
    "head only": (Script(fault="head only"), "provider_first_token_timeout", 1),
    "stall before content": (Script(fault="stall"), "provider_first_token_timeout", 1),
    "reset before content": (Script(fault="reset"), "provider_cut", 2),
    "end before content": (Script(fault="eof"), "provider_incomplete", 2),
    "malformed before content": (Script(fault="malformed"), "provider_malformed", 1),
    "error before content": (Script(fault="error"), "provider_overloaded", 2),
    "wrong content type": (Script(content_type="text/html"), "provider_malformed", 1),
}


@pytest.mark.parametrize("fault", FAULTS_BEFORE_CONTENT)
async def test_a_fault_before_content_is_invisible_where_there_is_a_fallback(bench: Bench, fault: str) -> None:
    script, type_, tries = FAULTS_BEFORE_CONTENT[fault]
    bench.up["main"].default = script
    if type_.endswith("timeout"):
        bench.providers["main"] = bench.provider("main", first_token=0.1)
    deltas, error = await bench.heard(bench.route(SPARE))
    alone = [delta async for item in bench.providers["spare"].answer(HI) for delta in item]
    assert (deltas, error) == (alone, None), "what the first said before it failed is held back"
    assert bench.noted == [("main", type_)] * tries + [("spare", "answered")]


@pytest.mark.parametrize("fault", FAULTS_BEFORE_CONTENT)
async def test_without_a_fallback_it_is_told_as_it_is(bench: Bench, fault: str) -> None:
    script, type_, tries = FAULTS_BEFORE_CONTENT[fault]
    bench.up["main"].default = script
    if type_.endswith("timeout"):
        bench.providers["main"] = bench.provider("main", first_token=0.1)
    deltas, error = await bench.heard(bench.route())
    assert deltas == []
    assert error is not None
    assert (error.type, bench.asked["main"]) == (type_, tries)


async def test_a_provider_that_refuses_connections_is_replaced(bench: Bench) -> None:
    bench.up["main"].refuse()
    deltas, error = await bench.heard(bench.route(SPARE))
    assert (_texts(deltas), error) == (FINE, None)
    assert bench.noted == [("main", "provider_unreachable")] * 2 + [("spare", "answered")]


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_what_the_caller_did_wrong_is_asked_of_nobody_else(bench: Bench, status: int) -> None:
    body = {"error": {"type": "invalid_request_error", "message": "prompt is too long: 250000 tokens"}}
    bench.up["main"].default = Script(status=status, body=body)
    _, error = await bench.heard(bench.route(SPARE))
    assert error is not None
    assert (error.type, error.status) == (ErrorType.PROVIDER_REJECTED, status)
    assert "prompt is too long" in error.message
    assert bench.asked == {"main": 1, "spare": 0, "last": 0}


async def test_where_all_fail_the_last_ones_error_is_told(bench: Bench) -> None:
    bench.up["main"].default = BUSY
    bench.up["spare"].default = Script(status=500)
    bench.up["last"].default = Script(status=401)
    _, error = await bench.heard(bench.route(SPARE, LAST, retries=0))
    assert error is not None
    assert error.type == ErrorType.PROVIDER_AUTH
    assert [target for target, _ in bench.noted] == ["main", "spare", "last"]


@pytest.mark.parametrize("fault", ["reset", "cut", "eof", "no terminal", "malformed", "error", "stall"])
async def test_a_fault_after_content_fails_clearly_by_default(bench: Bench, fault: Any) -> None:
    bench.up["main"].default = Script(fault=fault, after=0 if fault == "no terminal" else 2)
    bench.providers["main"] = bench.provider("main", idle=0.2)
    deltas, error = await bench.heard(bench.route(SPARE))
    assert _texts(deltas) == (FINE if fault == "no terminal" else FINE[:2])
    assert error is not None
    assert bench.asked == {"main": 1, "spare": 0, "last": 0}
    assert bench.noted == [("main", error.type)]


@pytest.mark.parametrize("fault", ["reset", "cut", "eof", "malformed", "error", "stall"])
async def test_where_the_route_goes_on_the_reader_is_told_to_begin_anew(bench: Bench, fault: Any) -> None:
    bench.up["main"].default = Script(fault=fault, after=2)
    bench.providers["main"] = bench.provider("main", idle=0.2)
    bench.up["spare"].default = BUSY
    deltas, error = await bench.heard(bench.route(SPARE, LAST, after_content="continue"))
    assert error is None
    broke = bench.attempts[0].outcome
    assert _texts(deltas) == [*FINE[:2], Restart("last", "l", broke), *FINE]
    assert bench.noted[-1] == ("last", "answered")


async def test_where_nobody_goes_on_the_answer_fails_and_what_was_heard_stands(bench: Bench) -> None:
    bench.up["main"].default = Script(fault="reset", after=2)
    bench.up["spare"].default = BUSY
    deltas, error = await bench.heard(bench.route(SPARE, after_content="continue"))
    assert _texts(deltas) == FINE[:2]
    assert error is not None
    assert error.type == ErrorType.PROVIDER_OVERLOADED


async def test_a_flapping_provider_is_left_alone_then_probed_then_asked_again(bench: Bench) -> None:
    main, route = bench.up["main"], bench.route(SPARE)
    main.default = BUSY
    for _ in range(2):
        await bench.heard(route)
    assert bench.breakers[MAIN].state is State.OPEN
    for _ in range(5):
        deltas, error = await bench.heard(route)
        assert (_texts(deltas), error) == (FINE, None)
        assert bench.noted == [("main", "skipped"), ("spare", "answered")]
    assert bench.asked["main"] == 4
    bench.clock.advance(10)
    await bench.heard(route)
    assert bench.asked["main"] == 5, "one probe, and no second try after it failed"
    bench.clock.advance(20)
    main.default = Script()
    await bench.heard(route)
    assert bench.noted == [("main", "answered")]
    assert bench.breakers[MAIN].state is State.CLOSED


async def test_while_a_probe_is_out_everybody_else_is_answered_by_the_fallback(bench: Bench) -> None:
    route, breaker = bench.route(SPARE), bench.breakers[MAIN]
    for _ in range(4):
        breaker.failed(breaker.force())
    bench.clock.advance(10)
    bench.up["main"].script(Script(head_delay=30))
    probe = asyncio.ensure_future(bench.heard(route))
    await bench.up["main"].until(lambda seen: len(seen) == 1)
    for _ in range(3):
        items = [item async for item in bench.router.answer(HI, route, None, bench.attempts)]
        assert items
    assert bench.asked == {"main": 1, "spare": 3, "last": 0}
    probe.cancel()
    await asyncio.wait((probe,))
    assert breaker.admit(), "who was cancelled tells nothing, and makes room for the next probe"


async def test_leaving_before_content_closes_the_upstream_at_once_and_is_noted(bench: Bench) -> None:
    bench.up["main"].default = Script(fault="stall")
    task = asyncio.ensure_future(bench.heard(bench.route(SPARE)))
    await bench.up["main"].until(lambda seen: seen and seen[0].streaming_at)
    task.cancel()
    await asyncio.wait((task,))
    await bench.up["main"].until(lambda seen: seen[0].aborted_at)
    assert bench.noted == [("main", "abandoned")]
    assert bench.asked["spare"] == 0


async def test_leaving_between_two_tries_starts_no_other(bench: Bench) -> None:
    asleep = asyncio.Event()

    async def sleep(seconds: float) -> None:
        asleep.set()
        await asyncio.Event().wait()

    bench.up["main"].default = BUSY
    router = Router(bench.providers, bench.breakers, sleep=sleep)
    task = asyncio.ensure_future(anext(router.answer(HI, bench.route(SPARE), None, bench.attempts)))
    await asleep.wait()
    task.cancel()
    await asyncio.wait((task,))
    assert bench.noted == [("main", "provider_overloaded"), ("main", "abandoned")]
    assert bench.asked == {"main": 1, "spare": 0, "last": 0}


async def test_who_has_heard_enough_closes_the_upstream_and_harms_no_ones_name(bench: Bench) -> None:
    bench.up["main"].default = Script(fault="stall", after=2)
    for _ in range(6):
        async with aclosing(bench.router.answer(HI, bench.route(SPARE), None, bench.attempts)) as answer:
            assert await anext(answer)
    await bench.up["main"].until(lambda seen: all(each.aborted_at for each in seen))
    assert bench.noted == [("main", "answered")] * 6
    assert bench.breakers[MAIN].state is State.CLOSED


async def test_a_fault_of_ours_is_passed_on_and_noted_as_no_fault_of_the_target(bench: Bench) -> None:
    def speaks(item: Item) -> bool:
        raise TypeError("a bug")

    with pytest.raises(TypeError, match="a bug"):
        await anext(bench.make(speaks=speaks).answer(HI, bench.route(SPARE), None, bench.attempts))
    await bench.up["main"].until(lambda seen: seen[0].finished_at or seen[0].aborted_at)
    assert bench.noted == [("main", "abandoned")]


async def test_what_counts_as_content_is_for_the_router_to_be_told(bench: Bench) -> None:
    bench.up["main"].default = Script(fault="reset", after=2)
    bench.router = bench.make(speaks=lambda item: any(isinstance(delta, Finish) for delta in item))
    deltas, error = await bench.heard(bench.route(SPARE))
    assert (_texts(deltas), error) == (FINE, None)


async def test_nothing_is_sent_before_the_first_item_is_asked_for(bench: Bench) -> None:
    await bench.router.answer(HI, bench.route(), None, bench.attempts).aclose()
    assert (bench.up["main"].connections, bench.attempts) == (0, [])


@pytest.mark.parametrize("key", ["ada", None])
async def test_a_caller_with_a_name_stays_on_one_arm_and_one_without_is_drawn_anew(
    bench: Bench, key: str | None
) -> None:
    draws = iter(number / 20 for number in range(1000))
    chance = Chance(bench.clock, lambda: next(draws))
    router = Router(bench.providers, bench.breakers, sleep=bench._sleep, chance=chance)
    route = Route("ab", (Arm(MAIN), Arm(SPARE)))
    for _ in range(20):
        async for _ in router.answer(HI, route, key, bench.attempts):
            pass
    found = Counter(each.target for each in bench.attempts)
    assert len(found) == (1 if key else 2)


async def test_the_other_arm_stands_in_where_there_is_no_fallback(bench: Bench) -> None:
    route = Route("ab", (Arm(MAIN), Arm(SPARE)))
    bench.up["main"].default = BUSY
    for key in ("ada", "bob", "eve"):
        deltas, error = await bench.heard(route, key)
        assert (_texts(deltas), error) == (FINE, None)
        assert bench.noted[-1] == ("spare", "answered")


# Callers in a dialect of their own.

RELAY = DIALECTS["anthropic"].read({"model": "smart", "max_tokens": 9, "messages": [{"role": "user", "content": "?"}]})


async def _relayed(bench: Bench, route: Route) -> list[Part]:
    async with aclosing(bench.router.answer(RELAY.ask, route, "ada", bench.attempts, RELAY)) as answer:
        return [part async for item in answer for part in item]


async def test_a_target_of_the_callers_own_kind_gets_the_callers_own_body_and_is_relayed(bench: Bench) -> None:
    frames = await _relayed(bench, bench.route())
    assert [part.event for part in frames if isinstance(part, Frame)][-1] == "message_stop"
    assert bench.up["main"].seen[0].body == {**RELAY.body, "model": "m", "stream": True}


async def test_what_prepares_a_relayed_answer_is_held_back_until_its_content_and_lost_with_its_target(
    bench: Bench,
) -> None:
    bench.up["main"].default = Script(fault="eof", after=0)
    frames = await _relayed(bench, bench.route(SPARE))
    assert [part.event for part in frames if isinstance(part, Frame)].count("message_start") == 1
    assert bench.noted == [("main", "provider_incomplete")] * 2 + [("spare", "answered")]


async def test_a_fallback_of_another_kind_is_asked_in_its_own_words_and_has_no_frames(bench: Bench) -> None:
    bench.up["main"].default = BUSY
    url = f"{bench.up['spare'].url}/v1"
    bench.providers["spare"] = OpenAI(ProviderOptions(name="spare", kind="openai", base_url=url), bench.connections)
    said = await _relayed(bench, bench.route(SPARE))
    assert [part for part in said if not isinstance(part, Usage | Finish)] == FINE
    assert bench.up["spare"].seen[0].path == "/v1/chat/completions"


async def test_a_request_that_has_no_other_words_is_not_asked_of_another_kind(bench: Bench) -> None:
    url = f"{bench.up['main'].url}/v1"
    bench.providers["main"] = OpenAI(ProviderOptions(name="main", kind="openai", base_url=url), bench.connections)
    with pytest.raises(ValueError, match="cannot be asked in other words"):
        await anext(bench.router.answer(None, bench.route(), "ada", bench.attempts, RELAY))


def test_an_event_that_is_unknown_is_content_and_one_that_prepares_is_not() -> None:
    assert speaks([Frame("response.image_generation_call.partial_image", "{}")])
    assert speaks([Frame("message_start", "{}", [Usage(1)]), Frame("content_block_delta", "{}", [Text("a")])])
    assert not speaks([Frame("message_start", "{}", [Usage(1)]), Frame("ping", "{}"), Frame("message", "{}")])


async def test_a_provider_that_sends_very_much_has_begun_to_answer(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tailrace.chat.router._MOST_HELD", 10)
    bench.up["main"].default = Script(fault="eof", after=0)
    with pytest.raises(ProviderError):
        await _relayed(bench, bench.route(SPARE))
    assert bench.noted == [("main", "provider_incomplete")]
