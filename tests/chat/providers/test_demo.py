"""The demo model: an answer about the prompt, at a model's pace, without waiting for it here."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.chat.ask import Ask, Message
from tailrace.chat.providers import demo_script
from tailrace.chat.providers.demo import Demo
from tailrace.runs.deltas import Delta, Finish, Text, Thinking, Usage

pytestmark = pytest.mark.anyio


async def _answer(prompt: str, **fields: object) -> tuple[list[Delta], list[float]]:
    """Return the deltas of an answer and the pauses before them."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    ask = Ask(messages=(Message("user", prompt),), **fields)  # type: ignore[arg-type]
    return [delta async for batch in Demo(sleep=sleep).answer(ask) for delta in batch], pauses


def _said(deltas: list[Delta], kind: type[Text | Thinking] = Text) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, kind))


async def test_a_short_question_gets_a_short_answer_that_names_its_topic() -> None:
    deltas, _ = await _answer("What is a tailrace?")
    assert 60 <= len(deltas) <= 160
    assert "What is a tailrace" in _said(deltas)


async def test_a_long_answer_is_as_long_as_it_is_asked_for() -> None:
    assert len((await _answer("Write a long story about rivers"))[0]) > 400
    assert len((await _answer("word " * 60))[0]) > 400
    words = len(_said((await _answer("Write 1500 words about rivers"))[0]).split())
    assert 1500 <= words <= 1800


async def test_the_same_prompt_gets_the_same_answer_and_another_one_another() -> None:
    assert await _answer("Hello there") == await _answer("Hello there")
    assert await _answer("Hello there") != await _answer("Hello, world")


async def test_tokens_come_at_a_models_pace_with_some_jitter() -> None:
    _, pauses = await _answer("Write a long story")
    assert 30 <= len(pauses) / sum(pauses) <= 50
    assert len({round(pause, 4) for pause in pauses}) > 20


async def test_the_answer_ends_with_its_usage_and_its_finish() -> None:
    deltas, pauses = await _answer("Hi", system="Be kind.")
    assert deltas[-2:] == [Usage(3, len(pauses)), Finish("stop")]


async def test_max_tokens_cuts_the_answer_and_says_so() -> None:
    deltas, _ = await _answer("Hi", max_tokens=5)
    assert len(deltas) == 7
    assert deltas[-2:] == [Usage(1, 5), Finish("length")]


@pytest.mark.parametrize(
    ("prompt", "thinking"), [("Hi", True), ("Think about it", False), ("Reason step by step", False)]
)
async def test_it_thinks_first_where_the_ask_or_the_prompt_wants_it(prompt: str, thinking: bool) -> None:
    deltas, _ = await _answer(prompt, thinking=thinking)
    thoughts = [isinstance(delta, Thinking) for delta in deltas]
    assert thoughts[0]
    assert thoughts == sorted(thoughts, reverse=True)
    assert _said(deltas)


async def test_it_does_not_think_unasked() -> None:
    assert not _said((await _answer("What do you thinker?"))[0], Thinking)


async def test_lists_and_code_blocks_appear_now_and_then() -> None:
    text = _said((await _answer("Write 1000 words"))[0])
    assert "\n- " in text
    assert text.count("```") >= 2
    assert text.count("```") % 2 == 0


@settings(deadline=None)
@given(st.text(max_size=300))
def test_every_prompt_has_a_length_within_bounds(prompt: str) -> None:
    assert 0 <= demo_script.length(prompt) <= 4000


@pytest.mark.parametrize("prompt", ["{topic} {0} {x!r}", "```\n# <script>", "?", "\N{RIGHT-TO-LEFT OVERRIDE}"])
async def test_what_looks_like_markup_or_a_template_in_a_prompt_does_no_harm(prompt: str) -> None:
    text = _said((await _answer(prompt))[0])
    assert "<script>" not in text
    assert text.count("```") % 2 == 0
