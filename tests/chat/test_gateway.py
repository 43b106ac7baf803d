"""The way from a name to an answer."""

from __future__ import annotations

import pytest

from tailrace.chat.ask import Ask, Message
from tailrace.chat.gateway import Gateway
from tailrace.chat.models import Route, Target
from tailrace.chat.providers.base import ProviderOptions
from tailrace.errors import SettingsError, UnknownModel
from tailrace.runs.deltas import Finish, Text
from tests.support.upstream import Script, Upstream

pytestmark = pytest.mark.anyio

HI = Ask(messages=(Message("user", "Hi"),))
SECRET = "sk-very-secret-0123456789"


def test_without_options_there_is_the_demo_and_it_is_the_default() -> None:
    gateway = Gateway.build()
    assert gateway.resolve(None) == gateway.resolve("demo") == gateway.resolve("demo/demo") == Target("demo", "demo")
    with pytest.raises(UnknownModel, match=r"unknown model 'gpt'; known: demo, demo/<model>"):
        gateway.resolve("gpt")


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
        gateway = Gateway.build(options, [Route("smart", Target("claude", "opus"))], "smart")
        for model in (None, "gpt/vendor/mini"):
            deltas = [delta async for batch in gateway.answer(HI, gateway.resolve(model)) for delta in batch]
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
            async for _ in gateway.answer(HI, gateway.resolve(model)):
                pass
        # The end of the body may follow the terminal in a segment of its own; the connection waits for it.
        await up.until(lambda seen: seen[2].finished_at is not None)
        await gateway.close()
        assert up.connections <= 2


async def test_closing_the_gateway_tells_those_who_wait_for_an_answer() -> None:
    with Upstream(Script(fault="stall", after=1)) as up:
        gateway = Gateway.build([ProviderOptions(name="a", kind="anthropic", base_url=up.url)])
        answer = gateway.answer(HI, gateway.resolve("a/x"))
        while not any(isinstance(delta, Text) for delta in await anext(answer)):
            pass
        await gateway.close()
        with pytest.raises(Exception, match="closed from this side"):
            await anext(answer)
        await up.until(lambda seen: seen[0].aborted_at is not None)


def test_a_key_is_in_no_repr() -> None:
    options = ProviderOptions(name="a", kind="anthropic", api_key=SECRET)
    gateway = Gateway.build([options])
    assert SECRET not in f"{options} {options!r} {options.__rich_repr__()} {gateway!r} {gateway._providers!r}"
