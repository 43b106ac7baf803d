"""The chat page in a real browser, against the real server and over networks that fail."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Request, Route, expect

from tests.support.browser import chromium, window
from tests.support.cable import Cable
from tests.support.server import Server

pytestmark = pytest.mark.anyio
expect.set_options(timeout=15_000)

SETTINGS = "[server]\nheartbeat = 1\n"
SHORT = "Tell me about rivers"
MEDIUM = "Tell me about mills in 61 words"  # three seconds
ENDLESS = "Tell me about mills in 3000 words"  # longer than any test
FAILED_REQUEST = "Failed to load resource"

# Reads what the page keeps, which is what it shows before markdown becomes elements.
KEPT = "JSON.parse(sessionStorage.getItem('tailrace.conversation'))"

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


async def ask(page: Page, question: str) -> None:
    await page.get_by_label("Your question").fill(question)
    await page.keyboard.press("Enter")


async def becomes(page: Page, state: str) -> None:
    await expect(page.locator("#status")).to_have_attribute("data-state", state)


async def says(page: Page, characters: int) -> None:
    """Wait until the newest answer has at least so many characters."""
    enough = re.compile(rf"^[\s\S]{{{characters},}}")
    await expect(page.locator(".turn .text").last).to_have_text(enough)


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


async def stop(page: Page) -> None:
    await page.get_by_role("button", name="Stop").click()
    await becomes(page, "stopped")


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


# What the demo never does is played to the page; everything else about it stays real.

Reply = Callable[[Route], Awaitable[None]]


def event(offset: int, data: object, name: str = "") -> str:
    """One event of the run `r`, as the server writes it."""
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "") + f"id: r-{offset}\ndata: {text}\n\n"


START = "retry: 10\n" + event(1, {"run": "r", "model": "m"}, "start")
DONE = event(90, "[DONE]", "done")


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


async def test_a_server_that_wants_a_key_is_given_one(browser: Browser, server: Server) -> None:
    async with window(browser, server.url, accept=[FAILED_REQUEST]) as page:
        asked = await play(page, refusal(401, "unauthorized"), stream(START, event(2, {"text": "welcome"}), DONE))
        await ask(page, SHORT)
        await becomes(page, "locked")
        await expect(page.get_by_label("API key")).to_be_focused()
        await page.keyboard.type("secret")
        await page.keyboard.press("Enter")
        await becomes(page, "done")
        await expect(page.locator(".text")).to_have_text("welcome")
        assert asked[1].headers["authorization"] == "Bearer secret"


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
