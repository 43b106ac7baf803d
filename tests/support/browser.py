"""A real browser on our pages: Debian's Chromium, driven by Playwright.

async with chromium() as browser, window(browser, server.url) as page:
    ...
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

__all__ = ["CHROMIUM", "chromium", "window"]

_CHAT = "#composer [name=send]:disabled"
"""Of the chat page, when its scripts run: then there is nothing to send, and the button says so."""

CHROMIUM = shutil.which("chromium")
"""Where it is; None where it is not installed."""

_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_PATIENCE = 15_000  # milliseconds for anything to appear
_LOADS_WITHIN = 5_000

# Chromium drops what it is loading when any network interface of the machine comes or goes, as those of containers do.
_NETWORK_CHANGED = "net::ERR_NETWORK_CHANGED"

expect.set_options(timeout=_PATIENCE)

# Violations of the content security policy are told to the console in words that differ by kind; the event is one.
_WATCH_POLICY = "addEventListener('securitypolicyviolation', (event) => console.error('policy', event.blockedURI))"


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Start a browser with fresh user data; skip the test where there is none, but on CI fail it."""
    if CHROMIUM is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("Chromium is not installed: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*_ARGUMENTS])
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def window(
    browser: Browser, url: str, *, accept: Iterable[str] = (), ready: str = _CHAT, **options: Any
) -> AsyncIterator[Page]:
    """Open the page at `url` in a window of its own, with nothing kept from others; `ready` is there once it is.

    Whatever the page complains about fails the test, but for complaints that contain one of `accept`:
    the browser itself logs each request that fails.
    """
    context = await browser.new_context(**options)
    context.set_default_timeout(_PATIENCE)
    await context.add_init_script(_WATCH_POLICY)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        await _load(page, url, ready)
        yield page
    finally:
        await context.close()
    unexpected = [each for each in complaints if not any(known in each for known in (_NETWORK_CHANGED, *accept))]
    assert not unexpected, unexpected


async def _load(page: Page, url: str, ready: str) -> None:
    """Load a page until its scripts run."""
    for attempts_left in (2, 1, 0):
        await page.goto(url)
        try:
            await expect(page.locator(ready)).to_be_attached(timeout=_LOADS_WITHIN)
        except AssertionError:
            if not attempts_left:
                raise
        else:
            return
