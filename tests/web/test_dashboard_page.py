"""The operations page in a real browser, against the real server."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tailrace.observe import BOUNDS
from tests.support.backed import data_of, error_of
from tests.support.browser import chromium
from tests.support.identities import Guarded, token
from tests.support.server import Server

pytestmark = pytest.mark.anyio

ENDLESS = {"message": "Tell me about mills in 3000 words"}
EVIL = "<img src=x onerror=\"document.title='pwned'\">"
POLICY = "addEventListener('securitypolicyviolation', (event) => console.error('policy', event.blockedURI))"
REFUSED = "Failed to load resource"
"""What the browser itself logs for each request that is refused, or fails."""

QUANTILES = """async ([bounds, cases]) => {
  const { quantile } = await import(new URL('static/dashboard/fleet.js', location));
  return cases.map((counts) => [quantile(bounds, counts, 0.5), quantile(bounds, counts, 0.95)]);
}"""

# A report as a server makes them, and what the page makes of it with names of others in all its places.
SHOWN = """async ([report, evil]) => {
  const { Fleet } = await import(new URL('static/dashboard/fleet.js', location));
  const { Table } = await import(new URL('static/dashboard/tables.js', location));
  const fleet = new Fleet();
  fleet.begin([]);
  fleet.take({ ...report, host: evil, version: evil, status: evil }, 0);
  const table = document.createElement('table');
  const text = (name) => ({ title: name, text: (each) => each[name] });
  new Table(table, evil, ['name', 'model', 'reader'].map(text)).show(fleet.streams(0).rows, () => evil);
  document.body.append(table);
  return [table.textContent, table.querySelectorAll('img').length];
}"""


@pytest.fixture(scope="module")
async def browser(anyio_backend: str) -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server("[server]\nheartbeat = 1\n") as server:
        yield server


@asynccontextmanager
async def dashboard(browser: Browser, url: str, *, accept: tuple[str, ...] = (), **options: Any) -> AsyncIterator[Page]:
    """The page in a window of its own; whatever it complains about fails the test, but for what `accept` names."""
    context = await browser.new_context(**options)
    context.set_default_timeout(15_000)
    await context.add_init_script(POLICY)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        await page.goto(f"{url}/dashboard")
        yield page
    finally:
        await context.close()
    assert not [each for each in complaints if not any(known in each for known in accept)], complaints


@pytest.fixture
async def page(browser: Browser, server: Server) -> AsyncIterator[Page]:
    async with dashboard(browser, server.url) as page:
        await expect(page.locator("#status")).to_have_attribute("data-state", "healthy")
        yield page


def figure(page: Page, title: str) -> Locator:
    """What a figure says, by its title."""
    return page.locator("#figures div").filter(has=page.get_by_text(title, exact=True)).locator("dd")


def stream(page: Page, name: str) -> Locator:
    """The row of an open stream."""
    return page.locator("#streams tbody tr").filter(has_text=name)


async def test_figures_plots_and_streams_move_while_answers_are_given(page: Page, server: Server) -> None:
    with server.open("POST", "/api/chat", body=ENDLESS) as raw:
        run = data_of(raw.event())["run"]
        row = stream(page, run[:10])
        await expect(row).to_contain_text("demo")
        await expect(row).to_contain_text("ip:127.0.0.1")
        await expect(figure(page, "Answers")).to_have_text("1")
        await expect(figure(page, "Streams")).to_have_text("2")
        await expect(figure(page, "Tokens a second")).to_have_text(re.compile(r"[1-9]"))
        age = row.locator("td").nth(4)
        before = await age.text_content()
        await expect(age).not_to_have_text(before or "")
    await expect(page.locator("#plots canvas")).to_have_count(6)
    drawn = "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean)"
    assert await page.locator("#plots canvas").first.evaluate(drawn)


async def test_a_run_is_cancelled_once_it_is_confirmed(page: Page, server: Server) -> None:
    with server.open("POST", "/api/chat", body=ENDLESS) as raw:
        run = data_of(raw.event())["run"]
        button = page.get_by_role("button", name=f"Cancel answer {run[:10]}")
        await button.click()
        await page.keyboard.press("Escape")
        await expect(page.locator("#confirm")).to_be_hidden()
        # A row that is told anew each second keeps the focus, so the keyboard alone will do.
        await expect(button).to_be_focused()
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="Cancel it").click()
        await expect(page.locator("#shown")).to_have_text("Done: cancelled.")
        assert error_of(raw.rest())["type"] == "caller_cancelled"
    await expect(stream(page, run[:10])).to_have_count(0)


async def test_a_process_is_drained_and_the_page_says_that_it_is_gone(browser: Browser) -> None:
    gone = (REFUSED, "ERR_")
    with Server() as server:
        async with dashboard(browser, server.url, accept=gone) as page:
            await page.get_by_role("button", name=f"Drain process {server.pid}").click()
            await page.get_by_role("button", name="Drain it").click()
            await expect(page.locator("#status")).to_have_attribute("data-state", "away")
            assert server.wait() == 0


async def test_names_that_others_chose_are_shown_as_they_are(browser: Browser) -> None:
    """A subject may be any text, and so may a model's name."""
    with Guarded() as guarded:
        subject = {"authorization": f"Bearer {token(EVIL)}"}
        with guarded.server.open("POST", "/api/chat", subject, {**ENDLESS, "model": f"demo/{EVIL}"}):
            headers = guarded.key("boss")
            async with dashboard(browser, guarded.server.url, extra_http_headers=headers) as page:
                row = stream(page, f"sub:{EVIL}")
                await expect(row.locator("td").nth(1)).to_have_text(EVIL)
                await expect(row.locator("td").nth(2)).to_have_text(f"sub:{EVIL}")
                await expect(page.locator("main img")).to_have_count(0)
                assert await page.title() == "Tailrace operations"


async def test_what_an_instance_says_of_itself_is_text_too(page: Page) -> None:
    row = {"name": EVIL, "model": EVIL, "reader": EVIL, "records": 0, "seconds": 0, "opened": 0}
    report = {"id": EVIL, "at": 1, "others": [], "streams": 1, "open": [row]}
    said, images = await page.evaluate(SHOWN, [report, EVIL])
    assert said == f"{EVIL}namemodelreader{EVIL}{EVIL}{EVIL}"
    assert images == 0


async def test_whoever_is_no_admin_signs_in_first(browser: Browser) -> None:
    with Guarded() as guarded:
        async with dashboard(browser, guarded.server.url, accept=(REFUSED,)) as page:
            for key, answer in [
                ("tr_nothing", "not one of this server's"),
                ("tr_käse", "no key or token"),
                (guarded.keys["web"], "has not the scope admin"),
            ]:
                await page.get_by_label("Key or token").fill(key)
                await page.keyboard.press("Enter")
                await expect(page.get_by_role("alert")).to_contain_text(answer)
            await page.get_by_label("Key or token").fill(guarded.keys["boss"])
            await page.keyboard.press("Enter")
            await expect(page.locator("#status")).to_have_attribute("data-state", "healthy")
            await expect(stream(page, "this page")).to_contain_text("key:boss")
            await page.get_by_role("button", name="Sign out").click()
            await expect(page.get_by_label("Key or token")).to_be_visible()


async def test_a_dark_system_gets_a_dark_page_and_dark_plots(browser: Browser, server: Server) -> None:
    async with dashboard(browser, server.url, color_scheme="dark") as page:
        await expect(page.locator("#status")).to_have_attribute("data-state", "healthy")
        colour = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert max(map(int, re.findall(r"\d+", colour)[:3])) < 60


async def test_a_quantile_lies_between_the_bounds_that_hold_it(page: Page) -> None:
    random = Random(5)
    places = range(len(BOUNDS) + 1)
    cases = [[random.choice([0, 0, 1, random.randint(0, 50)]) for _ in places] for _ in range(300)]
    cases += [[0] * len(places), *[[int(one == place) for one in places] for place in places]]
    found = await page.evaluate(QUANTILES, [list(BOUNDS), cases])
    for counts, pair in zip(cases, found, strict=True):
        for share, value in zip((0.5, 0.95), pair, strict=True):
            if not sum(counts):
                assert value is None
                continue
            within = next(place for place in places if sum(counts[: place + 1]) >= share * sum(counts))
            low = BOUNDS[within - 1] if within else 0
            assert low <= value <= (BOUNDS[within] if within < len(BOUNDS) else low), counts
