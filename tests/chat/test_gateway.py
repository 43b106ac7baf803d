"""The way from a name to an answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tailrace.chat.ask import Ask, Message
from tailrace.chat.attempts import Attempt
from tailrace.chat.breaker import BreakerOptions, State
from tailrace.chat.gateway import Gateway
from tailrace.chat.guard import Guard
from tailrace.chat.models import Arm, Policy, Route, Target
from tailrace.chat.places import Queue
from tailrace.chat.providers.base import ProviderOptions, Routed
from tailrace.errors import ErrorType, ProviderError, SettingsError, UnknownModel
from tailrace.runs.deltas import Finish, Text
from tests.support.upstream import Script, Upstream

pytestmark = pytest.mark.anyio

HI = Ask(messages=(Message("user", "Hi"),))
SECRET = "sk-very-secret-0123456789"


def _ask(gateway: Gateway, model: str | None) -> Routed:
    return gateway.answer(HI, gateway.route(model), None, [])


def test_without_options_there_is_the_demo_and_it_is_the_default() -> None:
    gateway = Gateway.build()
    for name in (None, "demo", "demo/demo"):
        assert gateway.route(name).targets == (Target("demo", "demo"),)
    with pytest.raises(UnknownModel, match=r"unknown model 'gpt'; known: demo, demo/<model>"):
        gateway.route("gpt")


def test_an_unknown_kind_is_refused_with_the_kinds_that_are_known() -> None:
    with pytest.raises(SettingsError, match=r"providers\.x\.kind is 'grpc'; expected one of: anthropic, demo, openai"):
        Gateway.build([ProviderOptions(name="x", kind="grpc")])


def test_two_providers_of_one_name_are_refused() -> None:
    with pytest.raises(SettingsError, match="two providers are named 'x'"):
        Gateway.build([ProviderOptions(name="x", kind="demo"), ProviderOptions(name="x", kind="openai")])


async def test_the_target_decides_the_provider_and_the_model_that_it_is_asked_for() -> None:
    with Upstream() as up:
        options = [
            ProviderOptions(name="gpt", kind="openai", base_url=f"{up.url}/v1"),
            ProviderOptions(name="claude", kind="anthropic", base_url=up.url),
        ]
        gateway = Gateway.build(options, [Route("smart", (Arm(Target("claude", "opus")),))], "smart")
        for model in (None, "gpt/vendor/mini"):
            deltas = [delta async for batch in _ask(gateway, model) for delta in batch]
            assert "".join(delta.text for delta in deltas if isinstance(delta, Text)) == "Hello, world!"
            assert deltas[-1] == Finish("stop")
        await gateway.close()
    asked = [(seen.path, seen.body["model"]) for seen in up.seen]
    assert asked == [("/v1/messages", "opus"), ("/v1/chat/completions", "vendor/mini")]


async def test_providers_share_the_process_connections_and_use_them_again() -> None:
    with Upstream() as up:
        options = [ProviderOptions(name=name, kind="anthropic", base_url=up.url) for name in ("a", "b")]
        gateway = Gateway.build(options)
        for model in ("a/x", "b/x", "a/y"):
            async for _ in _ask(gateway, model):
                pass
        # The end of the body may follow the terminal in a segment of its own; the connection waits for it.
        await up.until(lambda seen: seen[2].finished_at is not None)
        await gateway.close()
        assert up.connections <= 2


@pytest.mark.parametrize("fault", ["stall", "no head"])
async def test_closing_the_gateway_tells_those_who_wait_for_an_answer_and_asks_nobody_else(fault: Any) -> None:
    with Upstream(Script(fault=fault)) as up:
        route = Route("smart", (Arm(Target("a", "x")),), (Target("b", "y"),))
        gateway = Gateway.build(_options(up, "a", "b"), [route])
        answer = asyncio.ensure_future(anext(gateway.answer(HI, route, None, [])))
        await up.until(lambda seen: seen and seen[0].streaming_at)
        await gateway.close()
        with pytest.raises(ProviderError, match="closed from this side") as caught:
            await answer
        assert caught.value.type == ErrorType.TAILRACE_INTERRUPTED
        await up.until(lambda seen: seen[0].aborted_at is not None)
        assert len(up.seen) == 1


def test_a_key_is_in_no_repr() -> None:
    options = ProviderOptions(name="a", kind="anthropic", api_key=SECRET)
    gateway = Gateway.build([options])
    assert SECRET not in f"{options} {options!r} {options.__rich_repr__()} {gateway!r} {gateway._providers!r}"


def _options(up: Upstream, *names: str, **options: int) -> list[ProviderOptions]:
    return [ProviderOptions(name=name, kind="anthropic", base_url=up.url, **options) for name in names]  # type: ignore[arg-type]


async def test_a_route_is_answered_by_the_first_of_its_targets_that_can() -> None:
    route = Route("smart", (Arm(Target("a", "x")),), (Target("b", "y"),), Policy(retries=0))
    with Upstream() as up:
        up.script(Script(status=503))
        gateway = Gateway.build(_options(up, "a", "b"), [route])
        attempts: list[Attempt] = []
        items = [item async for item in gateway.answer(HI, gateway.route("smart"), "ada", attempts)]
        await gateway.close()
    assert items[-1][-1] == Finish("stop")
    assert [(str(each.target), each.outcome) for each in attempts] == [
        ("a/x", "provider_overloaded"),
        ("b/y", "answered"),
    ]


async def test_a_breaker_that_opens_is_told_in_the_log_and_shown(caplog: pytest.LogCaptureFixture) -> None:
    target = Target("a", "x")
    with Upstream(Script(status=503)) as up:
        guards = {"a": Guard(breaker=BreakerOptions(failures=1))}
        gateway = Gateway.build(_options(up, "a"), [Route("smart", (Arm(target),))], guards=guards)
        assert gateway.breakers[target].state is State.CLOSED
        with pytest.raises(ProviderError):
            await anext(gateway.answer(HI, gateway.route("smart"), None, []))
        await gateway.close()
    assert gateway.breakers[target].state is State.OPEN
    assert "a/x: its circuit breaker is open" in caplog.messages
    assert len(up.seen) == 1, "an open breaker is not tried again"


async def test_names_that_callers_make_up_leave_nothing_behind() -> None:
    with Upstream(Script(status=503)) as up:
        gateway = Gateway.build(_options(up, "a"))
        for number in range(10):
            with pytest.raises(ProviderError):
                await anext(_ask(gateway, f"a/{number}"))
        assert gateway.breakers == {}
        await gateway.close()


async def test_each_provider_has_its_own_places_and_its_own_line_for_them() -> None:
    with Upstream(Script(fault="stall", after=1)) as up:
        guards = {"a": Guard(queue=Queue(length=0)), "b": Guard(queue=Queue(seconds=0.01))}
        gateway = Gateway.build(_options(up, "a", "b", max_streams=1), guards=guards)
        held = [_ask(gateway, name) for name in ("a/x", "b/x")]
        for answer in held:
            await anext(answer)
        for name, told in (("a/x", "which is the limit"), ("b/x", "none ended within 0.01 s")):
            with pytest.raises(ProviderError, match=told) as caught:
                await anext(_ask(gateway, name))
            assert caught.value.type == ErrorType.PROVIDER_OVERLOADED
        for answer in held:
            await answer.aclose()
        await gateway.close()
