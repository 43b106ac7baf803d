"""The chat page and answers that the demo never gives: played to it, while everything else about it is real."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Request, Route, expect

from tests.support.browser import chromium, window
from tests.support.chat_page import FAILED_REQUEST, ask, becomes
from tests.support.server import Server

pytestmark = pytest.mark.anyio

SHORT = "Tell me about rivers"

Reply = Callable[[Route], Awaitable[None]]


def event(offset: int, data: object, name: str = "") -> str:
    """One event of the run `r`, as the server writes it."""
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "") + f"id: r-{offset}\ndata: {text}\n\n"


START = "retry: 10\n" + event(1, {"run": "r", "model": "m"}, "start")
DONE = event(90, "[DONE]", "done")


@pytest.fixture(scope="module")
async def browser(anyio_backend: str) -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def server() -> Any:
    with Server() as server:
        yield server


@pytest.fixture
async def page(browser: Browser, server: Server) -> AsyncIterator[Page]:
    async with window(browser, server.url) as page:
        yield page


def stream(*events: str) -> Reply:
    async def reply(route: Route) -> None:
        headers = {"Content-Type": "text/event-stream", "Tailrace-Run": "r", "Tailrace-Heartbeat": "15"}
        await route.fulfill(headers=headers, body="".join(events))

    return reply


def refusal(status: int, code: str, **headers: str) -> Reply:
    async def reply(route: Route) -> None:
        body = json.dumps({"status": status, "code": code, "detail": f"the reason is {code}"})
        await route.fulfill(status=status, headers={"Content-Type": "application/problem+json", **headers}, body=body)

    return reply


async def play(page: Page, *replies: Reply) -> list[Request]:
    """Answer the page's requests to the chat endpoint one by one; return the requests as they come."""
    asked: list[Request] = []

    async def reply(route: Route) -> None:
        asked.append(route.request)
        await replies[len(asked) - 1](route)

    await page.route("**/api/chat**", reply)
    return asked


async def test_an_event_that_comes_twice_is_shown_once(page: Page) -> None:
    asked = await play(
        page,
        stream(START, event(2, {"text": "one "}), event(3, {"text": "two "})),
        stream(event(2, {"text": "one "}), event(3, {"text": "two "}), event(10, {"text": "three"}), DONE),
    )
    await ask(page, SHORT)
    await becomes(page, "done")
    await expect(page.locator(".text")).to_have_text("one two three")
    assert [request.method for request in asked] == ["POST", "GET"]
    assert asked[1].url.endswith("/api/chat/r")
    assert asked[1].headers["last-event-id"] == "r-3"


async def test_until_the_run_is_known_the_question_is_repeated_under_its_key(browser: Browser, server: Server) -> None:
    async with window(browser, server.url, accept=[FAILED_REQUEST]) as page:
        asked = await play(
            page,
            refusal(503, "leaving", **{"Retry-After": "0"}),
            lambda route: route.abort(),
            stream(START, event(2, {"text": "here"}), DONE),
        )
        await ask(page, SHORT)
        await becomes(page, "done")
        await expect(page.locator(".text")).to_have_text("here")
        assert [request.method for request in asked] == ["POST"] * 3
        assert len({request.headers["idempotency-key"] for request in asked}) == 1
        assert len({request.post_data for request in asked}) == 1


async def test_a_server_that_leaves_is_followed_to_the_next(page: Page) -> None:
    leaving = 'retry: 20\nevent: reconnect\ndata: {"reason":"draining"}\n\n'
    asked = await play(page, stream(START, event(2, {"text": "a"}), leaving), stream(event(3, {"text": "b"}), DONE))
    await ask(page, SHORT)
    await becomes(page, "done")
    await expect(page.locator(".text")).to_have_text("ab")
    assert asked[1].headers["last-event-id"] == "r-2"


async def test_a_cursor_that_the_server_does_not_know_begins_the_answer_anew(page: Page) -> None:
    verdict = event(0, {"recovered": False, "reason": "unknown", "missed": None}, "resume")
    await play(
        page,
        stream(START, event(2, {"text": "old "}), event(3, {"text": "words"})),
        stream(verdict, START, event(2, {"text": "new "}), event(3, {"text": "words"}), DONE),
    )
    await ask(page, SHORT)
    await becomes(page, "done")
    await expect(page.locator(".text")).to_have_text("new words")


async def test_a_failure_is_told_with_its_reason_and_asking_again_is_a_new_question(page: Page) -> None:
    error = {"error": {"type": "provider_overloaded", "message": "529 from upstream", "retryable": True}}
    asked = await play(
        page,
        stream(START, event(2, {"text": "half"}), event(3, error, "error"), DONE),
        stream(START, event(2, {"text": "whole"}), DONE),
    )
    await ask(page, SHORT)
    await becomes(page, "failed")
    await expect(page.locator(".ending")).to_contain_text("too much to do")
    await expect(page.locator(".ending")).to_contain_text("529 from upstream")
    await page.get_by_role("button", name="Ask again").click()
    await becomes(page, "done")
    await expect(page.locator(".text")).to_have_text("whole")
    assert asked[0].headers["idempotency-key"] != asked[1].headers["idempotency-key"]


async def test_a_refused_question_says_why(browser: Browser, server: Server) -> None:
    async with window(browser, server.url, accept=[FAILED_REQUEST]) as page:
        await play(page, refusal(422, "invalid"))
        await ask(page, SHORT)
        await becomes(page, "failed")
        await expect(page.locator(".ending")).to_contain_text("the reason is invalid")


HOSTILE = """<img src=x onerror="document.title='hit'"> <script>document.title='hit'</script>

- <b onclick=alert(1)>item</b> [link](javascript:alert(1)) [ok](https://example.org/?a=1)

```html"><script>
<svg onload="document.title='hit'">
```"""


async def test_hostile_text_is_text_in_questions_and_in_answers(page: Page) -> None:
    await play(page, stream(START, event(2, {"text": HOSTILE}), DONE))
    await ask(page, HOSTILE)
    await becomes(page, "done")
    await expect(page.locator(".question")).to_have_text(HOSTILE)
    await expect(page.locator(".text")).to_contain_text("<img src=x onerror=\"document.title='hit'\"> <script>")
    await expect(page.locator(".text pre")).to_contain_text("<svg onload")
    assert await page.locator("#turns").locator("img, script, svg, b").count() == 0
    assert await page.eval_on_selector_all("#turns a", "(links) => links.map((a) => a.href)") == [
        "https://example.org/?a=1"
    ]
    await expect(page).to_have_title("Tailrace")


async def test_on_a_narrow_phone_nothing_is_wider_than_the_screen(browser: Browser, server: Server) -> None:
    wide = f"{'w' * 300}\n\n```\n{'c' * 300}\n```\n\n|{'h' * 90}|b|c|\n|-|-|-|\n|{'d' * 90}|e|f|\n"
    async with window(browser, server.url, viewport={"width": 320, "height": 568}) as page:
        await play(page, stream(START, event(2, {"text": wide}), DONE))
        await ask(page, "q" * 200)
        await becomes(page, "done")
        assert await page.evaluate(
            "['html', 'main'].every((name) => { const e = document.querySelector(name);"
            " return e.scrollWidth <= e.clientWidth; })"
        )
