"""The live demo in a browser: the picture is whole at once, moves, and comes back."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.support.browser import window
from tests.support.cable import Cable
from tests.support.chat_page import FAILED_REQUEST
from tests.support.server import Server

pytestmark = pytest.mark.anyio

LIVE = "#state[data-state=live]"
CHANNELS = ("demo.prices", "demo.log", "demo.load")


@pytest.fixture(scope="module")
def server() -> Any:
    with Server() as server:
        yield server


# Not by Playwright's own waiting, which the page's policy forbids: it evaluates text.
COUNT = """(least) => new Promise((resolve) => {
  const output = document.getElementById('events');
  const check = () => Number(output.value) >= least && resolve(Number(output.value));
  new MutationObserver(check).observe(output, { childList: true });
  check();
})"""


def publish(server: Server, channel: str, patch: object, event: str) -> None:
    body = {"data": patch, "event": event, "state": "merge"}
    assert server.ask("POST", f"/events/{channel}", body=body).status == 200


async def counts(page: Page, at_least: int) -> int:
    """Wait until the page has heard so many events; how many it has."""
    return int(await page.evaluate(COUNT, at_least))


async def test_whoever_opens_it_later_has_the_whole_picture_at_once_and_then_sees_it_move(
    browser: Browser, server: Server
) -> None:
    async with window(browser, f"{server.url}/demo", ready=LIVE) as page:
        await counts(page, 3)
        first = await page.locator("#log li").first.text_content()
        # A price that no second of the demo publishes, and a load that the next one will replace.
        publish(server, "demo.prices", {"XXX/YYY": {"price": 7, "change": -1}}, "quotes")
        await expect(page.locator("#prices tbody")).to_contain_text("XXX/YYY")
        async with window(browser, f"{server.url}/demo", ready=LIVE) as late:
            await expect(late.locator("#prices tbody")).to_contain_text("XXX/YYY")
            await expect(late.locator("#log ol")).to_contain_text(first or "?")
            await counts(late, 3)
            await expect(late.locator("#share")).to_contain_text("%")


async def test_it_is_whole_again_after_its_server_was_replaced_by_one_that_knows_nothing(browser: Browser) -> None:
    with Server() as doomed, Server() as successor:
        async with (
            Cable(doomed.address) as cable,
            window(browser, f"{cable.url}/demo", ready=LIVE, accept=[FAILED_REQUEST, "ERR_"]) as page,
        ):
            await counts(page, 3)
            doomed.signal(signal.SIGKILL)
            await expect(page.locator("#state")).to_have_attribute("data-state", "lost")
            cable.target = successor.address
            await expect(page.locator("#state")).to_have_attribute("data-state", "live")
            await counts(page, await counts(page, 3) + 3)


async def test_what_others_publish_there_is_text(browser: Browser, server: Server) -> None:
    hostile = "<img src=x onerror=\"document.title='hit'\">"
    async with window(browser, f"{server.url}/demo", ready=LIVE) as page:
        line = {"99": {"at": 4_000_000_000, "level": hostile, "text": hostile}}
        for nonsense in ({"1": None}, {"2": "no line"}, {"3": {"at": 1e300}}, "neither", line):
            publish(server, "demo.log", nonsense, "line")
        publish(server, "demo.prices", {"A": None, "B": "no price", hostile: {"price": hostile, "change": 0}}, "quotes")
        await expect(page.locator("#log li").last).to_contain_text(hostile)
        await expect(page.locator("#prices tbody")).to_contain_text(hostile)
        assert await page.locator("main img").count() == 0
        await expect(page).to_have_title("Tailrace: live demo")


async def test_a_native_event_source_gets_named_events_of_several_channels_and_resumes(
    browser: Browser, server: Server
) -> None:
    follow = """() => {
      const heard = [];
      let check = () => {};
      window.heard = (count) => new Promise((resolve) => {
        check = () => heard.length >= count && resolve(heard);
        check();
      });
      const source = new EventSource('/events?channel=native.a&channel=native.b');
      for (const name of ['ready', 'resume', 'tick', 'message']) {
        source.addEventListener(name, ({ data }) => {
          heard.push([name, JSON.parse(data)]);
          check();
        });
      }
    }"""
    async with (
        Cable(server.address) as cable,
        window(browser, f"{cable.url}/demo", ready=LIVE, accept=[FAILED_REQUEST, "ERR_"]) as page,
    ):
        await page.evaluate(follow)
        await page.evaluate("heard(1)")
        server.publish("native.a", {"n": 1}, "tick")
        await page.evaluate("heard(2)")
        await cable.pull()
        server.publish("native.b", "two")
        await cable.plug()
        (opened, ready), tick, (resumed, verdict), missed = await page.evaluate("heard(4)")
        assert (opened, ready) == ("ready", {"channels": ["native.a", "native.b"]})
        assert tick == ["tick", {"channel": "native.a", "data": {"n": 1}}]
        assert (resumed, verdict["recovered"]) == ("resume", True)
        assert missed == ["message", {"channel": "native.b", "data": "two"}]
