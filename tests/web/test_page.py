"""The chat page in a real browser, against the real server and over networks that fail."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Request, Route, expect

from tests.support.browser import chromium, window
from tests.support.cable import Cable
from tests.support.chat_page import FAILED_REQUEST, ask, becomes, says, stop
from tests.support.server import Server

pytestmark = pytest.mark.anyio

SETTINGS = "[server]\nheartbeat = 1\n"
SHORT = "Tell me about rivers"
MEDIUM = "Tell me about mills in 61 words"  # three seconds
ENDLESS = "Tell me about mills in 3000 words"  # longer than any test

# Reads what the page keeps, which is what it shows before markdown becomes elements.
KEPT = "JSON.parse(sessionStorage.getItem('tailrace.conversation.2'))"

# Whether the newest answer looks as it would, had its whole text come at once.
LOOKS_RIGHT = """async (text) => {
  const { Markdown } = await import(new URL('static/markdown.js', location));
  const whole = document.createElement('div');
  new Markdown(whole).show(text);
  return whole.innerHTML === [...document.querySelectorAll('.turn .text')].at(-1).innerHTML;
}"""


@pytest.fixture(scope="module")
async def browser(anyio_backend: str) -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def server() -> Any:
    with Server(SETTINGS) as server:
        yield server


@pytest.fixture
async def page(browser: Browser, server: Server) -> AsyncIterator[Page]:
    async with window(browser, server.url) as page:
        yield page


async def answer(page: Page) -> dict[str, Any]:
    """What the page knows of its newest answer, once it is kept."""
    kept: dict[str, Any] = (await page.evaluate(KEPT))[-1]["answer"]
    return kept


async def is_exact(page: Page, server: Server) -> dict[str, Any]:
    """Hold the newest answer, as kept and as shown, against the server's; return the server's word on the run."""
    kept = await answer(page)
    state: dict[str, Any] = server.ask("GET", f"/api/chat/{kept['run']}", {"Accept": "application/json"}).json()
    assert kept["text"] == state["text"]
    assert await page.evaluate(LOOKS_RIGHT, state["text"])
    return state


async def test_an_answer_appears_piece_by_piece_and_says_at_the_end_what_it_took(page: Page, server: Server) -> None:
    await page.evaluate("""() => {
      window.lengths = new Set();
      const note = () => window.lengths.add(document.querySelector('#turns').textContent.length);
      new MutationObserver(note).observe(document.querySelector('#turns'), { subtree: true, childList: true });
    }""")
    await ask(page, SHORT)
    await becomes(page, "live")
    await becomes(page, "done")
    assert await page.evaluate("window.lengths.size") > 20
    state = await is_exact(page, server)
    assert state["status"] == "finished"
    read, written = state["usage"]["input_tokens"], state["usage"]["output_tokens"]
    await expect(page.locator(".facts")).to_have_text(f"demo/demo · {read} tokens read, {written} written")


async def test_thinking_is_open_while_there_is_nothing_else_and_folds_when_the_answer_begins(page: Page) -> None:
    await page.get_by_label("Show thinking").check()
    await ask(page, SHORT)
    thinking = page.locator(".thinking")
    await expect(thinking).to_have_attribute("open", "")
    await expect(thinking.locator(".thoughts")).to_be_visible()
    await says(page, 1)
    await expect(thinking.locator(".thoughts")).to_be_hidden()
    await thinking.locator("summary").click()
    await says(page, 60)
    await expect(thinking.locator(".thoughts")).to_be_visible()


async def test_stop_ends_the_answer_and_cancels_the_run(page: Page, server: Server) -> None:
    await ask(page, ENDLESS)
    await says(page, 40)
    await stop(page)
    await expect(page.locator(".ending")).to_contain_text("Stopped")
    assert (await is_exact(page, server))["status"] == "cancelled"
    await expect(page.get_by_role("button", name="Send")).to_be_visible()


async def test_stop_before_the_run_is_known_cancels_it_as_soon_as_it_is(page: Page, server: Server) -> None:
    let_go = asyncio.Event()

    async def hold(route: Route) -> None:
        await let_go.wait()
        await route.continue_()

    await page.route("**/api/chat", hold)
    await ask(page, ENDLESS)
    await becomes(page, "asking")
    await page.keyboard.press("Escape")
    await becomes(page, "stopping")
    let_go.set()
    await becomes(page, "stopped")
    assert (await is_exact(page, server))["status"] == "cancelled"


async def test_questions_in_a_row_are_one_conversation(page: Page) -> None:
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if request.method == "POST" else None)
    await ask(page, SHORT)
    await becomes(page, "done")
    first = await answer(page)
    await ask(page, "And lakes?")
    await becomes(page, "live")
    await becomes(page, "done")
    await expect(page.locator(".turn")).to_have_count(2)
    assert asked[1].post_data_json == {
        "messages": [
            {"role": "user", "content": SHORT},
            {"role": "assistant", "content": first["text"]},
            {"role": "user", "content": "And lakes?"},
        ]
    }


async def test_shift_enter_makes_a_new_line_and_enter_sends(page: Page) -> None:
    field = page.get_by_label("Your question")
    await field.press_sequentially("one")
    await field.press("Shift+Enter")
    await field.press_sequentially("two")
    await field.press("Enter")
    await expect(page.locator(".question")).to_have_text("one\ntwo", use_inner_text=True)
    await expect(field).to_have_value("")
    await expect(field).to_be_focused()


async def test_a_new_chat_stops_the_answer_and_forgets_the_conversation(page: Page) -> None:
    await ask(page, ENDLESS)
    await says(page, 20)
    async with page.expect_request(lambda request: request.method == "DELETE") as cancelling:
        await page.get_by_role("button", name="New chat").click()
    cancelled = await (await cancelling.value).response()
    assert cancelled is not None
    assert (await cancelled.json())["status"] == "cancelled"
    await expect(page.locator(".turn")).to_have_count(0)
    await becomes(page, "ready")
    await page.reload()
    await becomes(page, "ready")


async def test_a_reload_in_mid_answer_goes_on_with_the_same_run(page: Page, server: Server) -> None:
    await ask(page, MEDIUM)
    await says(page, 80)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.method) if "/api/" in request.url else None)
    await page.reload()
    await becomes(page, "done")
    assert asked == ["GET"]
    assert (await is_exact(page, server))["status"] == "finished"


async def test_a_reload_after_the_end_shows_the_conversation_and_asks_nothing(page: Page, server: Server) -> None:
    await ask(page, SHORT)
    await becomes(page, "done")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/api/" in request.url else None)
    await page.reload()
    await becomes(page, "done")
    await is_exact(page, server)
    assert asked == []


async def test_a_pulled_cable_is_told_and_when_it_is_back_not_a_letter_is_missing(
    browser: Browser, server: Server
) -> None:
    async with Cable(server.address) as cable, window(browser, cable.url, accept=[FAILED_REQUEST]) as page:
        posts: list[Request] = []
        page.on("request", lambda request: posts.append(request) if request.method == "POST" else None)
        await ask(page, ENDLESS)
        await says(page, 80)
        await cable.pull()
        await becomes(page, "reconnecting")
        await expect(page.locator("#status")).to_contain_text("The connection was lost.")
        await expect(page.locator(".countdown")).to_contain_text("Trying again in")
        await cable.plug()
        await page.get_by_role("button", name="Try now").click()
        await becomes(page, "resumed")
        await says(page, 200)
        await stop(page)
        assert (await is_exact(page, server))["status"] == "cancelled"
        assert len(posts) == 1


async def test_a_connection_that_says_nothing_is_replaced(browser: Browser, server: Server) -> None:
    async with Cable(server.address) as cable, window(browser, cable.url) as page:
        await ask(page, ENDLESS)
        await says(page, 80)
        cable.freeze()
        await becomes(page, "reconnecting")
        await expect(page.locator("#status")).to_contain_text("Nothing came for too long.")
        await says(page, 200)
        await stop(page)
        await is_exact(page, server)


async def test_offline_and_online_are_heard_at_once(browser: Browser, server: Server) -> None:
    async with window(browser, server.url, accept=[FAILED_REQUEST]) as page:
        await ask(page, ENDLESS)
        await says(page, 80)
        await page.context.set_offline(True)
        await becomes(page, "reconnecting")
        await expect(page.locator("#status")).to_contain_text("This device is offline.")
        await page.context.set_offline(False)
        await becomes(page, "resumed")
        await says(page, 200)
        await stop(page)
        await is_exact(page, server)


async def test_a_stop_without_a_connection_ends_at_once(browser: Browser, server: Server) -> None:
    async with Cable(server.address) as cable, window(browser, cable.url, accept=[FAILED_REQUEST]) as page:
        await ask(page, ENDLESS)
        await says(page, 40)
        await cable.pull()
        await expect(page.locator(".countdown")).to_contain_text("Trying again in")
        await page.get_by_role("button", name="Stop").click()
        await becomes(page, "stopped")


async def test_an_answer_that_went_down_with_its_server_is_told_and_can_be_asked_again(
    browser: Browser, server: Server
) -> None:
    with Server() as doomed:
        async with Cable(doomed.address) as cable, window(browser, cable.url, accept=[FAILED_REQUEST]) as page:
            await ask(page, ENDLESS)
            await says(page, 40)
            doomed.signal(signal.SIGKILL)
            await becomes(page, "reconnecting")
            cable.target = server.address
            await becomes(page, "gone")
            await expect(page.locator(".ending")).to_contain_text("The server no longer has this answer")
            await says(page, 40)
            await page.get_by_role("button", name="Ask again").click()
            await becomes(page, "live")
            await expect(page.locator(".turn")).to_have_count(1)
            await says(page, 20)
            await stop(page)
            await is_exact(page, server)


async def test_the_newest_text_stays_in_view_until_the_reader_scrolls_up(browser: Browser, server: Server) -> None:
    async with window(browser, server.url, viewport={"width": 700, "height": 420}) as page:
        await ask(page, ENDLESS)
        await says(page, 600)
        last = page.locator(".turn .text > :last-child")
        await expect(last).to_be_in_viewport()
        await page.locator("main").hover()
        await page.mouse.wheel(0, -200)
        newest = page.get_by_role("button", name="Newest text")
        await expect(newest).to_be_visible()
        place = await page.evaluate("document.querySelector('main').scrollTop")
        await says(page, 800)
        assert await page.evaluate("document.querySelector('main').scrollTop") == place
        await newest.click()
        await expect(newest).to_be_hidden()
        await stop(page)
        await expect(page.locator(".ending")).to_be_in_viewport()
