"""Answers that say when to come again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tailrace.asgi import come_back, not_now, reason_of, wait_of
from tailrace.errors import Overloaded, StoreUnavailable
from tailrace.sse import Decoder

pytestmark = pytest.mark.anyio


async def sent(answer: Any) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        messages.append(message)

    await answer({"type": "http", "method": "GET"}, None, send)
    return messages


async def test_a_resume_is_told_in_a_stream_of_one_event_without_an_id() -> None:
    head, body = await sent(come_back("limited", 3.0, [(b"x-own", b"1")]))
    assert head["status"] == 200
    assert dict(head["headers"])[b"content-type"] == b"text/event-stream"
    assert dict(head["headers"])[b"x-own"] == b"1"
    (event,) = Decoder().receive(body["body"])
    assert (event.event, json.loads(event.data), event.id) == ("reconnect", {"reason": "limited"}, "")
    assert 3000 <= (event.retry or 0) <= 5000


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (StoreUnavailable("away", 1.5), "store_unavailable", ("unavailable", 1.5)),
        (Overloaded("streams"), "overloaded", ("overloaded", 5.0)),
    ],
)
async def test_anything_else_is_told_with_a_503(
    error: StoreUnavailable | Overloaded, code: str, reason: tuple[str, float]
) -> None:
    head, body = await sent(not_now(error))
    assert head["status"] == 503
    assert json.loads(body["body"])["code"] == code
    assert 2 <= int(dict(head["headers"])[b"retry-after"]) <= 8
    assert reason_of(error) == reason


def test_those_who_are_too_many_do_not_all_come_back_at_once() -> None:
    assert len({wait_of(Overloaded("streams")) for _ in range(200)}) > 3
    assert {wait_of(StoreUnavailable("away", 2.0)) for _ in range(20)} == {2}
