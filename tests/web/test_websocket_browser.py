"""A WebSocket of a real browser: from the server's own page it opens, from another site's it does not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.backed import Backed
from tests.support.browser import chromium, window
from tests.support.server import Server

pytestmark = pytest.mark.anyio

_TALK = """(address) => new Promise((resolve) => {
  const socket = new WebSocket(address), heard = [];
  const say = (type, payload, id) => socket.send(JSON.stringify({ type, payload, id }));
  socket.onopen = () => { say("subscribe", { channel: "browser" }, 1); };
  socket.onmessage = ({ data }) => {
    const said = JSON.parse(data);
    heard.push(said.event ?? said.type);
    if (said.event === "ready") say("chat", { message: "Hi" }, 2);
    if (said.event === "done") socket.close();
  };
  socket.onclose = ({ code }) => resolve({ code, heard, extensions: socket.extensions });
})"""


async def test_a_page_of_ours_talks_and_a_page_of_another_site_is_refused(backed: Backed) -> None:
    address = f"ws://127.0.0.1:{backed.server.port}/ws"
    async with chromium() as browser:
        async with window(browser, backed.server.url) as page:
            told: dict[str, Any] = await page.evaluate(_TALK, address)
            names = ["subscribed", "ready", "started", "start", *["message"] * 4, "finish", "done"]
            assert told == {"code": 1005, "heard": names, "extensions": ""}
        # Not the chat page: its own policy would keep it from trying.
        with Server() as elsewhere:
            page = await browser.new_page()
            await page.goto(f"{elsewhere.url}/health")
            assert await page.evaluate(_TALK, address) == {"code": 1006, "heard": [], "extensions": ""}
