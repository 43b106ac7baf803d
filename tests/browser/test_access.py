"""The chat page where the server wants to know who asks, and answers that are watched by others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.support.browser import window
from tests.support.chat_page import FAILED_REQUEST, ask, becomes, says, stop
from tests.support.identities import Guarded

pytestmark = pytest.mark.anyio

SHORT = "Tell me about rivers"
ENDLESS = "Tell me about mills in 3000 words"


@pytest.fixture(scope="module")
def guarded() -> Any:
    with Guarded() as guarded:
        yield guarded


@pytest.fixture
async def page(browser: Browser, guarded: Guarded) -> AsyncIterator[Page]:
    async with window(browser, guarded.server.url, accept=[FAILED_REQUEST]) as page:
        yield page


async def sign_in(page: Page, guarded: Guarded, name: str = "web") -> None:
    key = guarded.key(name)["authorization"].removeprefix("Bearer ")
    await page.get_by_label("API key").fill(key)
    await page.get_by_role("button", name="Sign in").click()


async def test_a_page_that_is_signed_in_stays_so_without_any_script_knowing_the_key(
    page: Page, guarded: Guarded
) -> None:
    await expect(page.get_by_label("API key")).to_be_focused()
    await page.keyboard.type("tr_wrong")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).not_to_be_empty()
    await sign_in(page, guarded)
    await expect(page.get_by_label("API key")).to_be_hidden()
    await ask(page, SHORT)
    await becomes(page, "done")
    await page.reload()
    await expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    await becomes(page, "done")
    key = guarded.key("web")["authorization"].removeprefix("Bearer ")
    known = await page.evaluate("[document.cookie, ...Object.values(sessionStorage)].join()")
    assert key not in known
    assert "tailrace_session" not in known


async def test_over_plain_http_from_elsewhere_the_key_lasts_as_long_as_the_page(page: Page, guarded: Guarded) -> None:
    await page.add_init_script("Object.defineProperty(window, 'isSecureContext', { value: false })")
    await page.reload()
    await sign_in(page, guarded)
    await expect(page.get_by_label("API key")).to_be_hidden()  # else it is asked before there is a key
    async with page.expect_request("**/api/chat") as asking:
        await ask(page, SHORT)
    assert (await asking.value).headers["authorization"] == guarded.key("web")["authorization"]
    await becomes(page, "done")


async def test_signing_out_leaves_nothing_to_whoever_comes_next(page: Page, guarded: Guarded) -> None:
    await sign_in(page, guarded)
    await ask(page, SHORT)
    await becomes(page, "done")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("API key")).to_be_visible()
    await expect(page.locator(".turn")).to_have_count(0)
    await page.reload()
    await expect(page.get_by_label("API key")).to_be_visible()
    await expect(page.locator(".turn")).to_have_count(0)


async def test_a_question_that_is_refused_for_want_of_a_key_is_asked_when_there_is_one(
    page: Page, guarded: Guarded
) -> None:
    await ask(page, SHORT)
    await becomes(page, "locked")
    await sign_in(page, guarded)
    await becomes(page, "done")
    await expect(page.locator(".turn")).to_have_count(1)


async def test_whoever_has_the_link_watches_an_answer_and_cannot_stop_it(
    page: Page, browser: Browser, guarded: Guarded
) -> None:
    await sign_in(page, guarded)
    await ask(page, ENDLESS)
    await says(page, 40)
    await page.get_by_role("button", name="Share").click()
    link = await page.get_by_role("link", name="Link to this answer").get_attribute("href")
    assert link is not None
    async with window(browser, link, ready="#watched:not([hidden])", accept=[FAILED_REQUEST]) as watcher:
        deletions: list[str] = []
        watcher.on("request", lambda request: deletions.append(request.url) if request.method == "DELETE" else None)
        await says(watcher, 40)
        await expect(watcher.get_by_label("Your question")).to_be_hidden()
        await expect(watcher.get_by_label("API key")).to_be_hidden()
        await watcher.keyboard.press("Escape")
        before = len(await watcher.locator(".text").inner_text())
        await says(watcher, before + 40)
        assert deletions == []
        await stop(page)
        await becomes(watcher, "stopped")
        assert await watcher.locator(".text").inner_html() == await page.locator(".text").inner_html()
