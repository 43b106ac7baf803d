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
    for mode in MODES:
        with pytest.raises((openai.BadRequestError, anthropic.BadRequestError), match="brand_new"):
            gateway.sdks.ask(dialect, kind, mode, extra_body={"brand_new": 1})
    assert not gateway.seen


@pytest.mark.parametrize("stream", [True, False])
def test_what_claude_thought_goes_back_signed_in_the_next_turn(gateway: Gatewayed, stream: bool) -> None:
    gateway.up.default = Script(pieces=(Thinking("hm"), "Yes"))
    hi: Any = {"role": "user", "content": "Hi"}
    asked: dict[str, Any] = {"model": "anthropic", "max_tokens": 9}
    client = gateway.sdks.anthropic.messages
    if stream:
        with client.stream(messages=[hi], **asked) as streaming:
            said = streaming.get_final_message()
    else:
        said = client.create(messages=[hi], **asked)
    thought = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
    assert said.content[0].to_dict() == thought
    hidden: Any = {"type": "redacted_thinking", "data": "x"}
    client.create(messages=[hi, {"role": "assistant", "content": [hidden, *said.content]}, hi], **asked)
    assert gateway.seen[1].body["messages"][1]["content"][:2] == [hidden, thought]


def test_what_another_model_thought_is_left_out_where_claude_answers_the_next_turn(gateway: Gatewayed) -> None:
    gateway.up.default = Script(pieces=(Thinking("hm"), "Yes"))
    hi: Any = {"role": "user", "content": "Hi"}
    client = gateway.sdks.anthropic.messages
    said = client.create(model="openai", max_tokens=9, messages=[hi])
    assert [block.type for block in said.content] == ["thinking", "text"]
    for model in ("anthropic", "openai"):
        turns: Any = [hi, {"role": "assistant", "content": said.content}, hi]
        assert client.create(model=model, max_tokens=9, messages=turns).content[-1].to_dict()["text"] == "Yes"
    assert [block["type"] for block in gateway.seen[1].body["messages"][1]["content"]] == ["text"]
    assert "hm" not in str(gateway.seen[2].body)


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
