"""The published SDKs get what the upstream said, whichever of three dialects meets whichever of three kinds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from tailrace.runs.deltas import Refusal, Thinking, ToolCall
from tests.chat.dialects.judges import Verdict
from tests.support.gateway import KINDS, OWN_KIND, Gatewayed
from tests.support.sdks import DIALECTS, MODES
from tests.support.upstream import Script

_LONG = "Grüße, 世界! 👩‍🚀 " * 40
_LARGE = "é" * 1_000_000

_CALLS = (
    ToolCall(0, "call_1", "look"),
    ToolCall(0, arguments='{"where":'),
    ToolCall(0, arguments='"hüben"}'),
    ToolCall(1, "call_2", "find"),
    ToolCall(1, arguments='{"what":[1,2]}'),
)
_ASKED = [("call_1", "look", {"where": "hüben"}), ("call_2", "find", {"what": [1, 2]})]
_ENDS = {"openai-chat": "stop", "openai-responses": "completed", "anthropic": "end_turn"}
_CALLED = {"openai-chat": "tool_calls", "openai-responses": "completed", "anthropic": "tool_use"}

CASES: dict[str, tuple[Script, dict[str, Any]]] = {
    "text": (Script(), {"text": "Hello, world!"}),
    "noise": (Script(noise=True), {"text": "Hello, world!"}),
    "thinking": (
        Script(pieces=(Thinking("hm, "), Thinking("so"), "Yes", "!")),
        {"thinking": "hm, so", "text": "Yes!"},
    ),
    "two parallel tool calls": (Script(pieces=_CALLS, finish="tool_calls"), {"calls": _ASKED}),
    "long multi-byte text in single bytes": (Script(pieces=(_LONG, "fin"), chunking="byte"), {"text": f"{_LONG}fin"}),
    "an event of 2 MB": (Script(pieces=(_LARGE, "!")), {"text": f"{_LARGE}!"}),
}


@pytest.fixture(scope="module")
def _running() -> Iterator[Gatewayed]:
    with Gatewayed() as running:
        yield running


@pytest.fixture
def gateway(_running: Gatewayed) -> Gatewayed:
    """The gateway, its upstream's scripts begun anew."""
    _running.forget()
    return _running


def _expected(dialect: str, **said: Any) -> Verdict:
    nothing = {"text": "", "refusal": "", "thinking": "", "calls": [], "usage": (5, 4, 0, 0)}
    return Verdict(**{**nothing, "reason": (_CALLED if "calls" in said else _ENDS)[dialect], **said})


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_sdk_puts_together_what_the_upstream_said(gateway: Gatewayed, dialect: str, kind: str, case: str) -> None:
    gateway.up.default, said = CASES[case]
    expected = _expected(dialect, **said)
    for mode in MODES:
        assert gateway.sdks.ask(dialect, kind, mode) == expected, mode
    assert len(gateway.seen) == len(MODES)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_calls_whose_fragments_are_interleaved_are_told_apart(gateway: Gatewayed, dialect: str, mode: str) -> None:
    order = (_CALLS[0], _CALLS[3], _CALLS[1], _CALLS[4], _CALLS[2])
    gateway.up.default = Script(pieces=order, finish="tool_calls")
    assert gateway.sdks.ask(dialect, "openai", mode) == _expected(dialect, calls=_ASKED)


REFUSED = {
    ("openai-chat", "openai"): ("refusal", "stop"),
    ("openai-chat", "openai-responses"): ("refusal", "stop"),
    ("openai-chat", "anthropic"): ("text", "content_filter"),
    ("openai-responses", "openai"): ("refusal", "completed"),
    ("openai-responses", "openai-responses"): ("refusal", "completed"),
    ("openai-responses", "anthropic"): ("text", "incomplete: content_filter"),
    ("anthropic", "openai"): ("text", "refusal"),
    ("anthropic", "openai-responses"): ("text", "refusal"),
    ("anthropic", "anthropic"): ("text", "refusal"),
}
"""Where each API has a refusal's words, and how it says that there was one."""


@pytest.mark.parametrize(("dialect", "kind"), REFUSED)
def test_a_refusal_stays_one(gateway: Gatewayed, dialect: str, kind: str) -> None:
    finish = "refusal" if kind == "anthropic" else "stop"
    gateway.up.default = Script(pieces=(Refusal("I "), Refusal("won't.")), finish=finish)
    place, reason = REFUSED[dialect, kind]
    for mode in MODES:
        verdict = gateway.sdks.ask(dialect, kind, mode)
        assert (getattr(verdict, place), verdict.reason) == ("I won't.", reason), mode
        assert verdict.text + verdict.refusal == "I won't."


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_field_that_nobody_knows_reaches_a_provider_of_the_same_kind(gateway: Gatewayed, dialect: str) -> None:
    gateway.sdks.ask(dialect, OWN_KIND[dialect], extra_body={"brand_new": {"a": [1, None]}})
    asked = gateway.seen[0].body
    assert (asked["brand_new"], asked["model"]) == ({"a": [1, None]}, f"{OWN_KIND[dialect]}-model")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_field_that_cannot_be_said_is_refused_by_name_before_anybody_is_asked(
    gateway: Gatewayed, dialect: str, kind: str
) -> None:
    if kind == OWN_KIND[dialect]:
        return
    for mode in ("stream", "whole"):
        with pytest.raises((openai.BadRequestError, anthropic.BadRequestError), match="brand_new"):
            gateway.sdks.ask(dialect, kind, mode, extra_body={"brand_new": 1})
    assert not gateway.seen


def test_the_models_are_listed_as_either_sdk_reads_them(gateway: Gatewayed) -> None:
    names = {model.id for model in gateway.sdks.openai.models.list()}
    assert {*KINDS, "openai+spare"} <= names
    assert not any("/" in name for name in names)
    assert {model.id for model in gateway.sdks.anthropic.models.list()} == names
    assert gateway.sdks.openai.models.retrieve("openai/some-model").id == "openai/some-model"
    assert gateway.sdks.anthropic.models.retrieve("anthropic").display_name == "anthropic"
    for client, missing in (
        (gateway.sdks.openai, openai.NotFoundError),
        (gateway.sdks.anthropic, anthropic.NotFoundError),
    ):
        with pytest.raises(missing):
            client.models.retrieve("nobody")
