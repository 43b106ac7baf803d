"""What the chat page offers beside the answer: a choice of models, code to copy, tool calls, the keyboard."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.support.browser import window
from tests.support.chat_page import ask, becomes
from tests.support.server import Server

pytestmark = pytest.mark.anyio

SETTINGS = """
[providers.demo]
kind = "demo"
[models.smart]
targets = [{ provider = "demo", model = "demo" }]
[models.quick]
targets = [{ provider = "demo", model = "demo" }]
"""
SHORT = "Tell me about rivers"


@pytest.fixture(scope="module")
def server() -> Any:
    with Server(SETTINGS) as server:
        yield server


async def play(page: Page, *events: tuple[str, object]) -> None:
    """Have the next answer consist of these events."""
    lines = [
        (f"event: {name}\n" if name else "")
        + f"id: r-{number}\ndata: {data if isinstance(data, str) else json.dumps(data)}\n\n"
        for number, (name, data) in enumerate((("start", {"run": "r", "model": "m"}), *events, ("done", "[DONE]")), 1)
    ]

    async def reply(route: Route) -> None:
        headers = {"Content-Type": "text/event-stream", "Tailrace-Run": "r", "Tailrace-Heartbeat": "15"}
        await route.fulfill(headers=headers, body="".join(lines))

    await page.route("**/api/chat", reply)


async def test_a_model_that_was_chosen_is_asked_and_stays_chosen_over_a_reload(
    browser: Browser, server: Server
) -> None:
    async with window(browser, server.url) as page:
        choice = page.get_by_label("Model")
        await expect(choice.locator("option")).to_have_text(["Default model", "smart", "quick", "demo"])
        await choice.select_option("quick")
        async with page.expect_request("**/api/chat") as asking:
            await ask(page, SHORT)
        assert '"model":"quick"' in str((await asking.value).post_data)
        await becomes(page, "done")
        await page.reload()
        await expect(choice).to_have_value("quick")


async def test_code_is_copied_as_it_is(browser: Browser, server: Server) -> None:
    code = 'print("<b>&amp;</b>")\n\tx = 1\n'
    permissions = ["clipboard-read", "clipboard-write"]
    async with window(browser, server.url, permissions=permissions) as page:
        await play(page, ("", {"text": f"Here:\n\n```python\n{code}```\n"}))
        await ask(page, SHORT)
        await becomes(page, "done")
        await page.get_by_role("button", name="Copy code").click()
        await expect(page.get_by_role("button", name="Copied")).to_be_visible()
        assert await page.evaluate("navigator.clipboard.readText()") == code


async def test_tool_calls_are_shown_put_together_from_their_fragments(browser: Browser, server: Server) -> None:
    async with window(browser, server.url) as page:
        await play(
            page,
            ("tool", {"index": 0, "id": "a", "name": "weather", "arguments": '{"city": '}),
            ("tool", {"index": 1, "id": "b", "name": "<b>time</b>", "arguments": "{}"}),
            ("tool", {"index": 0, "id": "", "name": "", "arguments": '"Wien"}'}),
        )
        await ask(page, SHORT)
        await becomes(page, "done")
        calls = page.get_by_role("list", name="Tool calls").get_by_role("listitem")
        await expect(calls).to_have_text(['weather {"city": "Wien"}', "<b>time</b> {}"])


async def test_an_unfinished_fence_is_code_from_its_first_line_and_never_markup(
    browser: Browser, server: Server
) -> None:
    async with window(browser, server.url) as page:
        await play(
            page, ("", {"text": "Look:\n\n```html\n<script>document.title = 'hit'</script>\n<img src=x onerror=a>"})
        )
        await ask(page, SHORT)
        await becomes(page, "done")
        await expect(page.locator(".text pre")).to_contain_text("<img src=x onerror=a>")
        assert await page.locator("#turns").locator("img, script").count() == 0


async def test_everything_can_be_reached_and_named_by_keyboard(browser: Browser, server: Server) -> None:
    async with window(browser, server.url) as page:
        await play(page, ("", {"text": "One\n\n```\ncode\n```\n\n[link](https://example.org)"}))
        await ask(page, SHORT)
        await becomes(page, "done")
        names: list[str] = []
        name = "document.activeElement.ariaLabel || document.activeElement.textContent || document.activeElement.name"
        await page.evaluate("document.activeElement.blur()")
        for _ in range(14):
            await page.keyboard.press("Tab")
            names.append(await page.evaluate(name))
        for each in ("New chat", "Conversation", "Copy code", "Code", "link", "Copy", "Share", "thinks", "Model"):
            assert each in names, names
