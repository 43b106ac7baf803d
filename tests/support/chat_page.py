"""What a person does on the chat page, and sees there."""

from __future__ import annotations

import re

from playwright.async_api import Page, expect

__all__ = ["FAILED_REQUEST", "ask", "becomes", "says", "stop"]

FAILED_REQUEST = "Failed to load resource"
"""What the browser itself logs for each request that fails; not the page's complaint."""


async def ask(page: Page, question: str) -> None:
    """Write a question and send it."""
    await page.get_by_label("Your question").fill(question)
    await page.keyboard.press("Enter")


async def becomes(page: Page, state: str) -> None:
    """Wait until the newest answer is in `state`, as the line of status tells it."""
    await expect(page.locator("#status")).to_have_attribute("data-state", state)


async def says(page: Page, characters: int) -> None:
    """Wait until the newest answer has at least so many characters."""
    enough = re.compile(rf"^[\s\S]{{{characters},}}")
    await expect(page.locator(".turn .text").last).to_have_text(enough)


async def stop(page: Page) -> None:
    """Stop the answer, and see that it has stopped."""
    await page.get_by_role("button", name="Stop").click()
    await becomes(page, "stopped")
