"""The JavaScript client in a real browser: what only a browser has (tabs, being offline, React)."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from playwright.async_api import Browser, BrowserContext, Page, Route, expect

from tests.support.browser import chromium
from tests.support.hosted import until
from tests.support.javascript import CLIENT, built, environment
from tests.support.server import ROOT, Server

pytestmark = pytest.mark.anyio

# What a page does: subscribe with sharing on, and note what comes.
FOLLOW = """async (options) => {
  const { subscribe, tabs } = await import('/static/tailrace.js');
  window.got = [];
  window.states = [];
  window.subscription = subscribe('news', {
    ...options,
    share: tabs(),
    onEvent: ({ data }) => { got.push(Number(data)); },
    onGap: () => { got.push('gap'); },
    onState: (state) => { states.push(state); },
  });
}"""

ASK = """async (body) => {
  const { chat } = await import('/static/tailrace.js');
  window.states = [];
  window.answer = chat('/api/chat', body, {
    patience: { first: 100, longest: 500 },
    onState: (state) => { states.push(state); },
  });
  window.over = (async () => { for await (const _ of answer); })();
}"""


@pytest.fixture(scope="module")
async def browser(anyio_backend: str) -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
async def context(browser: Browser, server: Server) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context()
    await context.route("**/blank", _blank)
    yield context
    await context.close()


async def _blank(route: Route) -> None:
    await route.fulfill(content_type="text/html", body="<!doctype html><title>test</title>")


async def opened(context: BrowserContext, server: Server) -> Page:
    page = await context.new_page()
    await page.goto(f"{server.url}/blank")
    return page


async def sharing(context: BrowserContext, server: Server, **options: Any) -> Page:
    page = await opened(context, server)
    await page.evaluate(FOLLOW, options)
    await page.wait_for_function("['live', 'resumed'].includes(states.at(-1))")
    return page


async def heard(page: Page, last: int) -> list[Any]:
    await page.wait_for_function("(last) => got.at(-1) === last", arg=last)
    return list(await page.evaluate("got"))


async def subscribers(server: Server, count: int) -> None:
    await anyio.to_thread.run_sync(until, lambda: server.health()["subscribers"] == count)


async def test_eight_tabs_share_one_connection_and_each_has_every_event_whoever_leaves(
    context: BrowserContext, server: Server
) -> None:
    pages = [await sharing(context, server) for _ in range(8)]
    await subscribers(server, 1)
    for number in range(10):
        server.publish("news", number)
    for page in pages:
        assert await heard(page, 9) == [*range(10)]

    # The leader is the one that came first. Events go on while it leaves, at once and for good.
    server.publish("news", 10)
    await pages[0].close()
    server.publish("news", 11)
    await pages[1].evaluate("subscription.close()")
    for number in range(12, 20):
        server.publish("news", number)
    for page in pages[2:]:
        assert await heard(page, 19) == [*range(20)]
    await subscribers(server, 1)

    late = await sharing(context, server, lastEventId=await pages[2].evaluate("subscription.lastEventId"))
    server.publish("news", 20)
    assert await heard(late, 20) == [20]
    await subscribers(server, 1)
    await context.close()
    await subscribers(server, 0)


async def test_an_answer_goes_on_over_offline_and_online_with_its_exact_text(
    context: BrowserContext, server: Server
) -> None:
    page = await opened(context, server)
    posts: list[str] = []
    page.on("request", lambda request: posts.append(request.url) if request.method == "POST" else None)
    await page.evaluate(ASK, {"message": "Write a long essay", "max_tokens": 120})
    await page.wait_for_function("answer.text.length > 40")
    await context.set_offline(True)
    await page.wait_for_function("states.at(-1) === 'reconnecting'")
    await context.set_offline(False)
    await page.evaluate("over")
    run, text, states = await page.evaluate("[answer.run, answer.text, states]")
    assert text == server.ask("GET", f"/api/chat/{run}", {"Accept": "application/json"}).json()["text"]
    assert "resumed" in states
    assert states[-1] == "ended"
    assert len(posts) == 1


async def test_an_answer_that_is_stopped_is_cancelled_and_keeps_what_was_said(
    context: BrowserContext, server: Server
) -> None:
    page = await opened(context, server)
    await page.evaluate(ASK, {"message": "Write a long essay"})
    await page.wait_for_function("answer.text.length > 40")
    await page.evaluate("answer.stop()")
    await page.evaluate("over")
    run, text = await page.evaluate("[answer.run, answer.text]")
    state = server.ask("GET", f"/api/chat/{run}", {"Accept": "application/json"}).json()
    assert (state["status"], state["text"]) == ("cancelled", text)


@pytest.fixture(scope="module")
def script() -> str:
    """tests/js/hooks.mjs as a browser takes it."""
    built()
    command = [str(CLIENT / "node_modules" / ".bin" / "esbuild"), str(ROOT / "tests" / "js" / "hooks.mjs")]
    command += ["--bundle", "--format=esm", "--define:process.env.NODE_ENV='development'"]
    env = environment() | {"NODE_PATH": str(CLIENT / "node_modules")}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout


@asynccontextmanager
async def hooks(context: BrowserContext, server: Server, script: str) -> AsyncIterator[Page]:
    """The page that this script is."""
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    body = "<!doctype html><title>hooks</title><script type=module src=/hooks.js></script><body>"
    await page.route("**/hooks", lambda route: route.fulfill(content_type="text/html", body=body))
    await page.route("**/hooks.js", lambda route: route.fulfill(content_type="text/javascript", body=script))
    await page.goto(f"{server.url}/hooks")
    yield page
    assert complaints == []


async def test_react_hooks_show_a_conversation_and_a_channel(
    context: BrowserContext, server: Server, script: str
) -> None:
    async with hooks(context, server, script) as page:
        conversation, answers = page.locator("#conversation"), page.locator(".assistant")
        await expect(page.locator("#channel")).to_have_attribute("data-state", "live")
        server.publish("prices", 1.07)
        await expect(page.locator("#channel")).to_have_text("1.07")
        await subscribers(server, 1)  # though StrictMode mounts everything twice

        await page.get_by_text("Short").click()
        await expect(conversation).to_have_attribute("data-state", "ended")
        await expect(answers.first).to_have_text("Good question.")

        await page.get_by_text("Long").click()
        await expect(answers.nth(1)).to_contain_text(" ")
        await page.get_by_text("Stop").click()
        await expect(conversation).to_have_attribute("data-state", "ended")
        await expect(conversation).to_have_attribute("data-error", "")

        await page.get_by_text("Wrong").click()
        await expect(conversation).to_have_attribute("data-error", "unknown_model")
        await expect(page.locator(".user")).to_have_count(3)


async def test_a_subscription_that_was_left_says_nothing_of_the_next_one(
    context: BrowserContext, server: Server, script: str
) -> None:
    async with hooks(context, server, script) as page:
        channel = page.locator("#channel")
        await expect(channel).to_have_attribute("data-state", "live")
        await page.evaluate("held = new Promise((resolve) => (release = resolve)); null")
        server.publish("prices", 1)
        await expect(channel).to_have_text("1")
        await page.get_by_text("Rates").click()
        await expect(channel).to_have_text("")
        await expect(channel).to_have_attribute("data-state", "live")
        await page.evaluate("held = undefined; release()")
        server.publish("rates", 2)
        await expect(channel).to_have_text("2")
        await expect(channel).to_have_attribute("data-state", "live")
