"""Answers that are no streams."""

from __future__ import annotations

from typing import Any

import pytest

from tailrace.asgi import NO_CONTENT, Answer, Message, problem
from tailrace.testing import Harness

pytestmark = pytest.mark.anyio


async def test_a_problem_is_a_document_for_programs_and_people() -> None:
    answer = await Harness(problem(404, "not_found", "No \N{EURO SIGN}.", headers={"Retry-After": "1"})).ask("GET", "/")
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.body.decode() == (
        '{"type": "about:blank", "title": "Not Found", "status": 404,'
        ' "code": "not_found", "detail": "No \N{EURO SIGN}."}'
    )


async def test_half_a_surrogate_pair_in_a_problem_is_no_fault() -> None:
    answer = await Harness(problem(422, "invalid_name", "\ud800")).ask("GET", "/")
    assert b'"detail": "?"' in answer.body


async def test_nothing_more_to_say_is_204_without_a_length() -> None:
    answer = await Harness(NO_CONTENT).ask("GET", "/")
    assert (answer.status, answer.body, answer.headers) == (204, b"", {})


async def test_head_gets_the_length_without_the_body() -> None:
    answer = await Harness(Answer(200, b"12345")).ask("HEAD", "/")
    assert (answer.body, answer.headers["content-length"]) == (b"", "5")


@pytest.mark.parametrize(("extensions", "told"), [({"websocket.http.response": {}}, 401), ({}, 1008)])
async def test_a_handshake_is_refused_in_http_where_the_server_can(extensions: dict[str, Any], told: int) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    await problem(401, "unauthorized", "No.")({"type": "websocket", "extensions": extensions}, receive, send)
    assert sent[0].get("status", sent[0].get("code")) == told
    assert b"".join([message.get("body", b"") for message in sent]).endswith(b'"detail": "No."}' if extensions else b"")
