"""[models.*] and [providers.*]: routes, their fallbacks, and how a provider is guarded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tailrace.chat.breaker import BreakerOptions
from tailrace.chat.models import Arm, Policy, Route, Target
from tailrace.chat.places import Queue
from tailrace.errors import SettingsError
from tailrace.server.assembly import assemble
from tailrace.server.settings import Chat, Model, Provider, Settings, load
from tailrace.server.settings.sections import Breaker
from tailrace.server.settings.sections import Queue as Line

Read = Callable[[str], Settings]

DEMO = "[providers.demo]\nkind = 'demo'\n"
ONE = "[models.x]\ntargets = [{ provider = 'demo', model = 'm' }]\n"
FULL = """
[providers.claude]
kind = "anthropic"
base_url = "http://127.0.0.1:1"
max_streams = 3
queue = { length = 4, seconds = 5.5 }
breaker = { failures = 6, rate = 0.7, window = 8, least = 9, cooldown = 10 }

[providers.gpt]
kind = "openai"
base_url = "http://127.0.0.1:2"

[models.smart]
targets = [{ provider = "claude", model = "opus", weight = 9 }, { provider = "gpt", model = "4o" }]
fallback = [{ provider = "gpt", model = "4o" }, { provider = "gpt", model = "mini" }]
retries = 2
on_disconnect = "finish"
after_content = "continue"
"""


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a reader of a settings file with this text."""

    def read(toml: str) -> Settings:
        path = tmp_path / "t.toml"
        path.write_text(toml)
        return load(path, {}, {})

    return read


def test_each_default_is_the_documented_one(read: Read) -> None:
    model = read(ONE).models["x"]
    assert (model.fallback, model.retries, model.on_disconnect, model.after_content) == ((), 1, "grace", "fail")
    assert model.targets[0].weight == 1
    provider = Provider(kind="demo")
    assert (provider.max_streams, provider.queue, provider.breaker) == (16_384, Line(), Breaker())
    assert (Line().length, Line().seconds) == (1000, 5)
    assert (Breaker().failures, Breaker().rate, Breaker().window) == (5, 0.5, 30)
    assert (Breaker().least, Breaker().cooldown) == (20, 10)
    assert (Chat().open_after, Chat().max_ahead) == (8, 4_194_304)


def test_what_is_set_reaches_the_gateway(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.server.assembly.create_app", lambda tailrace, gateway, *_, **__: gateway)
    built: Any = assemble(read(FULL))[1]
    opus, gpt, mini = Target("claude", "opus"), Target("gpt", "4o"), Target("gpt", "mini")
    policy = Policy(retries=2, on_disconnect="finish", after_content="continue")
    assert built.route(None) == Route("smart", (Arm(opus, 9), Arm(gpt)), (gpt, mini), policy)
    assert built.breakers[opus]._options == BreakerOptions(failures=6, rate=0.7, window=8, least=9, cooldown=10)
    assert built.breakers[mini]._options == BreakerOptions()
    claude = built._providers["claude"]._upstream.places
    assert (claude._most, claude._queue) == (3, Queue(length=4, seconds=5.5))


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ("[models.x]\ntargets = []", "[models.x] targets: expected one or more, there is none"),
        (
            "[models.x]\ntargets = [{ provider = 'demo', model = 'm' }, { provider = 'demo', model = 'm' }]",
            "[models.x] targets: demo/m is named twice",
        ),
        (f"{ONE}fallback = [{{ provider = 'nobody', model = 'm' }}]", "[models.x] fallback: no provider 'nobody'"),
        (
            f"{ONE}fallback = [{{ provider = 'demo', model = 'm', weight = 2 }}]",
            "[models.x] fallback: unknown key 'weight'",
        ),
        (f"{ONE}fallback = [{{ provider = 'demo' }}]", "fallback[0]: object missing required field `model`"),
        (
            "[models.x]\ntargets = [{ provider = 'demo', model = 'm', weight = 0 }]",
            "[models.x] targets[0].weight: expected `int` >= 1",
        ),
        (f"{ONE}retries = -1", "[models.x] retries: expected `int` >= 0"),
        (f"{ONE}retries = 11", "[models.x] retries: expected `int` <= 10"),
        (f"{ONE}on_disconnect = 'x'", "[models.x] on_disconnect: expected one of cancel, grace, finish; got 'x'"),
        (f"{ONE}after_content = 1", "[models.x] after_content: expected one of fail, continue; got 1"),
        (f"{ONE}falback = []", "[models.x]: unknown key 'falback' (did you mean 'fallback'?)"),
        (f"{DEMO}max_streams = 0", "[providers.demo] max_streams: expected `int` >= 1"),
        (f"{DEMO}queue = 3", "[providers.demo] queue: expected `object`, got `int`"),
        (f"{DEMO}queue = {{ lenght = 3 }}", "[providers.demo] queue: unknown key 'lenght' (did you mean 'length'?)"),
        (f"{DEMO}queue = {{ seconds = 0 }}", "[providers.demo] queue.seconds: expected `float` > 0.0"),
        (f"{DEMO}breaker = {{ rate = 1.5 }}", "[providers.demo] breaker.rate: expected `float` <= 1.0"),
        (f"{DEMO}breaker = {{ cooldown = inf }}", "[providers.demo] breaker.cooldown: expected `float` <= 86400.0"),
        ("[chat]\nopen_after = 0", "[chat] open_after: expected `float` > 0.0, got 0"),
        ("[chat]\nmax_ahead = 65535", "[chat] max_ahead: expected `int` >= 65536, got 65535"),
    ],
)
def test_a_file_is_refused_with_place_key_and_what_was_expected(read: Read, toml: str, told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(toml)
    assert told in str(refused.value)
    assert str(refused.value).count("\n") == 0


def test_a_model_that_cannot_be_is_refused_in_code_too() -> None:
    with pytest.raises(SettingsError, match="targets: expected one or more"):
        Model(targets=())
