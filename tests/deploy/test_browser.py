"""A browser's own EventSource behind nginx: many streams on one connection, and back again when nobody was there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import chromium
from tests.support.nginx import nginx, nginx_tls
from tests.support.ports import free_port
from tests.support.server import Server

pytestmark = pytest.mark.anyio

STREAMS = 20

# Opens the streams; `heard` says how many have heard what.
OPEN = """
(count) => {
  globalThis.heard = {};
  for (let number = 0; number < count; number++) {
    const source = new EventSource(`/events/news?number=${number}`);
    for (const name of ["ready", "message"]) {
      source.addEventListener(name, (event) => {
        const what = name === "ready" ? name : event.data;
        globalThis.heard[what] = (globalThis.heard[what] ?? 0) + 1;
      });
    }
  }
}
"""
HEARD = "([what, count]) => globalThis.heard[what] === count"


async def test_twenty_streams_share_one_connection(tmp_path: Path) -> None:
    with Server() as server, nginx_tls([server.address], tmp_path) as front:
        async with chromium() as browser:
            page = await browser.new_page(ignore_https_errors=True)
            seen: list[Any] = []
            session = await page.context.new_cdp_session(page)
            # Playwright marks what it calls, which a built-in method does not bear.
            session.on("Network.responseReceived", lambda said: seen.append(said))  # noqa: PLW0108
            await session.send("Network.enable")
            await page.goto(f"https://127.0.0.1:{front[1]}/health/live")
            await page.evaluate(OPEN, STREAMS)
            await page.wait_for_function(HEARD, arg=["ready", STREAMS])
            for number in range(3):
                server.publish("news", f"{number}")
                await page.wait_for_function(HEARD, arg=[f"{number}", STREAMS])
            streams = [said["response"] for said in seen if said["type"] == "EventSource"]
    assert [each["protocol"] for each in streams] == ["h2"] * STREAMS
    assert len({each["connectionId"] for each in streams}) == 1


WAIT = """
() => {
  const source = new EventSource("/events/news");
  globalThis.heard = [];
  for (const name of ["reconnect", "ready"]) source.addEventListener(name, () => globalThis.heard.push(name));
  source.addEventListener("error", () => globalThis.heard.push(source.readyState));
}
"""
CONNECTING = 0


async def test_an_event_source_that_finds_nobody_comes_back_by_itself() -> None:
    port = str(free_port())
    with Server(arguments=["--port", port]) as leaving, nginx([leaving.address]) as front:
        leaving.terminate()
        assert leaving.wait() == 0
        async with chromium() as browser:
            page = await browser.new_page()
            await page.goto(f"http://127.0.0.1:{front[1]}/health/live")
            await page.evaluate(WAIT)
            await page.wait_for_function("globalThis.heard.length >= 2")
            assert await page.evaluate("globalThis.heard.slice(0, 2)") == ["reconnect", CONNECTING]
            with Server(arguments=["--port", port]):
                await page.wait_for_function("globalThis.heard.includes('ready')")
