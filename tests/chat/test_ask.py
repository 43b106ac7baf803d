"""The canonical request."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tailrace.chat.ask import Ask, Message

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
    ],
)
def test_an_impossible_ask_is_refused_with_what_was_expected(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Ask(**fields)


@pytest.mark.parametrize(
    ("role", "content", "complaint"), [("tool", "x", "role 'tool' is not one of"), ("user", "", "is empty")]
)
def test_a_message_without_a_known_role_or_content_is_refused(role: Any, content: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Message(role, content)


def test_a_refusal_while_decoding_names_the_place() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"is empty - at `\$\.messages\[0\]`"):
        msgspec.json.decode(b'{"messages": [{"role": "user", "content": ""}]}', type=Ask)
