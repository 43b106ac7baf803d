"""Reasoning that comes back to an API which cannot have said it."""

from __future__ import annotations

from typing import Any

import pytest

from tailrace.chat.dialects import DIALECTS, Head
from tailrace.chat.providers.anthropic import Anthropic
from tailrace.chat.providers.replayed import without_foreign_items, without_foreign_thoughts
from tailrace.chat.providers.responses import OpenAIResponses
from tailrace.log import new_run_id
from tailrace.runs.deltas import Finish, Text, Thinking

HI = {"role": "user", "content": "Hi"}
SIGNED = {"type": "thinking", "thinking": "Hm", "signature": "c2ln"}
REDACTED = {"type": "redacted_thinking", "data": "x"}
UNSIGNED = {"type": "thinking", "thinking": "Hm", "signature": ""}
TEXT = {"type": "text", "text": "Yes"}


def _said(*content: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": list(content)}


@pytest.mark.parametrize(
    ("messages", "kept"),
    [
        ([HI, _said(SIGNED, REDACTED, TEXT), HI], [HI, _said(SIGNED, REDACTED, TEXT), HI]),
        ([HI, _said(UNSIGNED, TEXT), HI], [HI, _said(TEXT), HI]),
        ([HI, _said({"type": "thinking", "thinking": "Hm"}, SIGNED), HI], [HI, _said(SIGNED), HI]),
        ([HI, _said(UNSIGNED), HI], [HI, HI]),
        (
            [HI, {"role": "assistant", "content": "Yes"}, _said()],
            [HI, {"role": "assistant", "content": "Yes"}, _said()],
        ),
    ],
)
def test_messages_keep_what_is_signed_or_hidden_and_leave_out_what_is_neither(
    messages: list[dict[str, Any]], kept: list[dict[str, Any]]
) -> None:
    body = {"model": "smart", "messages": messages, "brand_new": 1}
    assert without_foreign_thoughts(body) == {"model": "smart", "messages": kept, "brand_new": 1}
    assert Anthropic.relay_request(body, "m") == {"model": "m", "messages": kept, "brand_new": 1, "stream": True}


def test_what_we_write_in_another_apis_place_is_what_is_left_out_when_it_comes_back() -> None:
    head = Head(run=new_run_id(), model="m", created=0)
    said = (Thinking("Hm"), Text("Yes"), Finish("stop"))
    message = DIALECTS["anthropic"].whole(head, said)
    turn = {"role": "assistant", "content": message["content"]}
    assert Anthropic.relay_request({"messages": [turn]}, "m")["messages"] == [_said(TEXT)]
    items = DIALECTS["openai-responses"].whole(head, said)["output"]
    assert [item["type"] for item in items] == ["reasoning", "message"]
    assert OpenAIResponses.relay_request({"input": items}, "m")["input"] == items[1:]


@pytest.mark.parametrize(
    "item",
    [
        {"type": "reasoning", "id": "rs_68af4030592c81938ec0a5fbab4a3e9f05438e46b5f69a3b", "summary": []},
        {"type": "reasoning", "id": f"rs_{'a' * 22}_0", "summary": [], "encrypted_content": "x"},
        {"type": "reasoning", "summary": []},
        {"type": "message", "id": f"rs_{'a' * 22}_0"},
        {"type": "reasoning", "id": 7},
    ],
)
def test_items_of_the_api_itself_go_back_as_they_came(item: dict[str, Any]) -> None:
    assert without_foreign_items({"input": [item]}) == {"input": [item]}


def test_input_that_is_text_has_no_items() -> None:
    assert without_foreign_items({"input": "Hi"}) == {"input": "Hi"}
    assert without_foreign_items({}) == {}
