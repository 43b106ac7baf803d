"""The canonical request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tailrace.chat.ask import Ask, Message, ResponseFormat, ToolChoice, ToolUse

if TYPE_CHECKING:
    from collections.abc import Callable

HI = Message("user", "Hi")


def test_a_json_body_decodes_to_an_ask() -> None:
    body = b'{"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}], "max_tokens": 5}'
    ask = msgspec.json.decode(body, type=Ask)
    assert ask == Ask(messages=(Message("user", ({"type": "text", "text": "Hi"},)),), max_tokens=5)


def test_instructions_join_the_system_field_and_every_system_or_developer_message_in_order() -> None:
    messages = (Message("system", "Be brief."), HI, Message("developer", ({"type": "text", "text": "No jokes."},)))
    ask = Ask(messages=messages, system="You are a river.")
    assert ask.instructions == "You are a river.\n\nBe brief.\n\nNo jokes."
    assert ask.conversation == (HI,)


def test_the_text_of_a_message_leaves_out_parts_that_are_not_text() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:"}}
    assert Message("user", ({"type": "text", "text": "a"}, image, {"type": "text", "text": "b"})).text == "a\nb"


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"messages": ()}, "at least one message of role 'user'"),
        ({"messages": (Message("system", "x"),)}, "at least one message of role 'user'"),
        ({"messages": (HI,), "max_tokens": 0}, "max_tokens is 0; expected 1 or more"),
        ({"messages": (HI,), "temperature": 2.5}, "temperature is 2.5; expected 0 to 2"),
        ({"messages": (HI,), "temperature": float("nan")}, "temperature is nan"),
        ({"messages": (HI,), "top_p": 1.5}, "top_p is 1.5; expected 0 to 1"),
        ({"messages": (HI,), "thinking_budget": -1}, "thinking_budget is -1; expected 0 or more"),
    ],
)
def test_an_impossible_ask_is_refused_with_what_was_expected(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Ask(**fields)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"role": "wizard", "content": "x"}, "role 'wizard' is not one of assistant, developer, system, tool, user"),
        ({"role": "user", "content": ""}, "is empty"),
        ({"role": "user"}, "is empty"),
        ({"role": "assistant", "content": ()}, "is empty"),
        ({"role": "tool", "content": "x"}, "names its call by tool_call_id"),
        ({"role": "user", "content": "x", "tool_call_id": "a"}, "names its call by tool_call_id"),
        ({"role": "user", "content": "x", "tool_calls": (ToolUse("a", "f"),)}, "makes no tool_calls"),
    ],
)
def test_a_message_that_nobody_could_say_is_refused(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Message(**fields)


def test_a_tool_may_have_nothing_to_say_and_a_call_needs_no_words() -> None:
    assert Message("tool", tool_call_id="a").parts == ()
    assert Message("assistant", tool_calls=(ToolUse("a", "f"),)).text == ""


def test_the_content_can_be_had_as_parts_whichever_way_it_was_given() -> None:
    part = {"type": "text", "text": "Hi"}
    assert HI.parts == Message("user", (part,)).parts == (part,)


def test_what_the_system_says_before_anybody_spoke_is_the_preamble_and_the_rest_stays_in_the_dialogue() -> None:
    late = Message("system", "Be kind.")
    ask = Ask(messages=(Message("developer", "Be brief."), HI, late), system="You are a river.")
    assert ask.preamble == "You are a river.\n\nBe brief."
    assert ask.dialogue == (HI, late)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ToolChoice("tool"),
        lambda: ToolChoice("auto", "f"),
        lambda: ResponseFormat("json_schema"),
        lambda: ResponseFormat("json_object", {}),
    ],
)
def test_a_choice_names_its_tool_and_a_format_has_its_schema(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="and no other"):
        make()


def test_a_refusal_while_decoding_names_the_place() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"is empty - at `\$\.messages\[0\]`"):
        msgspec.json.decode(b'{"messages": [{"role": "user", "content": ""}]}', type=Ask)
