"""The tutorial's dashboard, as a reader would start it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, expect

from tests.support.browser import window
from tests.support.chat_page import FAILED_REQUEST
from tests.support.served import served
from tests.support.server import Server

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with served("tailrace run", "examples.dashboard_app:app") as server:
        yield server


async def test_it_shows_what_there_is_and_then_what_changes(browser: Browser, server: Server) -> None:
    assert server.ask("POST", "/log", body="said before").status == 200
    # It has no icon.
    async with window(browser, server.url, ready="#log li", accept=[FAILED_REQUEST]) as page:
        await expect(page.locator("#status")).to_have_text("live")
        await expect(page.locator("#log")).to_have_text("said before")
        await expect(page.locator("#prices tr").first).to_be_visible()
        assert server.ask("POST", "/log", body="<b>said now</b>").status == 200
        await expect(page.locator("#log li").last).to_have_text("<b>said now</b>")
