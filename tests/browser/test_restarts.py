"""The chat page while its servers die, come back, and are replaced."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import anyio
import pytest
from playwright.async_api import Browser, Page, expect

from tests.support.browser import window
from tests.support.cable import Cable
from tests.support.chat_page import FAILED_REQUEST, ask, becomes, says
from tests.support.fleet import Answers, Fleet
from tests.support.nginx import nginx
from tests.support.server import Server

pytestmark = pytest.mark.anyio

KEPT = "JSON.parse(sessionStorage.getItem('tailrace.conversation.2')).at(-1).answer"
BREAKS = [FAILED_REQUEST, "ERR_"]


async def kept(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = await page.evaluate(KEPT)
    return found


async def test_a_server_that_was_killed_and_started_again_on_sqlite_tells_the_end_of_the_answer(
    browser: Browser, tmp_path: Path
) -> None:
    arguments = ["--store", f"sqlite:///{tmp_path / 'tailrace.db'}"]
    with Server(arguments=arguments) as killed:
        async with Cable(killed.address) as cable, window(browser, cable.url, accept=BREAKS) as page:
            await ask(page, "Tell me about mills in 3000 words")
            await says(page, 120)
            killed.signal(signal.SIGKILL)
            await becomes(page, "reconnecting")
            await anyio.to_thread.run_sync(killed.wait)
            with Server(arguments=arguments) as successor:
                cable.target = successor.address
                await becomes(page, "failed")
                await expect(page.locator(".ending")).to_contain_text("The server that was writing this answer stopped")
                answer = await kept(page)
                state = successor.ask("GET", f"/api/chat/{answer['run']}", {"Accept": "application/json"}).json()
                assert state["status"] == "interrupted"
                # What was seen and not yet stored stays seen; what is stored was seen.
                assert answer["text"].startswith(state["text"])
                assert len(answer["text"]) >= 120


@pytest.mark.timeout(120)
async def test_a_rolling_restart_changes_not_a_letter_of_an_answer_and_asks_nothing_twice(browser: Browser) -> None:
    question = "mills"
    with (
        Fleet(answers=Answers(60, 0.1), drain_delay=0.3, drain_timeout=15) as fleet,
        nginx(fleet.addresses) as front,
    ):
        url = f"http://{front[0]}:{front[1]}"
        async with window(browser, url, accept=BREAKS) as page:
            await ask(page, question)
            await says(page, 20)
            # Both at once would be an outage; one after the other is a rollout.
            for number in range(2):
                await asyncio.to_thread(fleet.restart, number)
            await becomes(page, "done")
            answer = await kept(page)
            assert answer["text"] == fleet.answers.to(question)
            assert fleet.times_asked == {question: 1}
            assert answer["missed"] == 0
