"""Published clients against our server, each as its documentation says: what is measured is what docs/interop.md says.

All of them run at once, each over a network cable of its own, so that what happens to the network happens to all.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from tests.support.browser import chromium
from tests.support.cable import Cable
from tests.support.hosted import until
from tests.support.javascript import NODE, built, environment
from tests.support.ports import free_port
from tests.support.server import ROOT, Server

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
DOCS = ROOT / "docs" / "interop.md"

NATIVE = "native `EventSource`, Chromium"
OVER_NODE = {
    "`eventsource` (npm)": "eventsource",
    "`@microsoft/fetch-event-source`": "fetch-event-source",
    "`@tailrace/client`": "tailrace",
}
OVER_PYTHON = {
    "`httpx2`": "httpx2",
    "`httpx-sse`": "httpx-sse",
    "`sseclient-py`": "sseclient-py",
    "`tailrace.client`": "tailrace",
}
ALL = [NATIVE, *OVER_NODE, *OVER_PYTHON]
BY_HAND = {"`httpx2`", "`httpx-sse`", "`sseclient-py`"}
"""They read one body; coming back is done by their user."""

COLUMNS = ["events as published", "heartbeats unseen", "resumes", "redeploy", "204 ends it"]

OURS = {"ready", "resume", "gap", "cursor", "reconnect"}
SAID = [["tick", '{"eur":1.07}', "1"], ["message", "two\nlines, \u2028 \U0001f30a", "2"], ["message", "", "3"]]

FOLLOW = """(url) => {
  window.got = [];
  window.over = false;
  const source = new EventSource(url);
  const types = ["message", "tick", "error", "ready", "resume", "gap", "cursor", "reconnect", "done"];
  for (const type of types) source.addEventListener(type, (event) => {
    if (event.data !== undefined) got.push([type, event.data, event.lastEventId]);
    else window.over = source.readyState === EventSource.CLOSED;
  });
}"""


class Client:
    """One client at work: what it handed out so far, and whether it has given up or ended."""

    def __init__(self, cable: Cable) -> None:
        self.cable = cable
        self.events: list[list[str]] = []
        self.closed = False

    @property
    def published(self) -> list[list[str]]:
        """What came of what was published; ids without their epoch."""
        return [[name, data, id_.rpartition("-")[2]] for name, data, id_ in self.events if name not in OURS | {"done"}]

    async def look(self) -> None:
        """Find out what came."""

    async def until(self, condition: Any, seconds: float) -> bool:
        """Whether it comes to be in time."""
        for _ in range(int(seconds / 0.05)):
            await self.look()
            if condition():
                return True
            await asyncio.sleep(0.05)
        return False


class Process(Client):
    """One in a process of its own."""

    async def read(self, command: list[str]) -> None:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=subprocess.PIPE, env=environment(), cwd=ROOT, limit=2**20
        )
        assert process.stdout is not None
        try:
            async for line in process.stdout:
                told = json.loads(line)
                if "event" in told:
                    self.events.append(told["event"])
                else:
                    self.closed = True
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


class InPage(Client):
    """The browser's own."""

    def __init__(self, cable: Cable, page: Page) -> None:
        super().__init__(cable)
        self._page = page

    async def look(self) -> None:
        self.events, self.closed = await self._page.evaluate("[got, over]")


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    built()
    if not (HERE / "node_modules").is_dir():
        npm = shutil.which("npm")
        assert npm is not None
        subprocess.run([npm, "ci", "--silent"], cwd=HERE, check=True)


@asynccontextmanager
async def clients(target: tuple[str, int], path: str) -> AsyncIterator[dict[str, Client]]:
    """Every client on its own cable, opened on `path`."""
    async with AsyncExitStack() as stack:
        cables = {name: await stack.enter_async_context(Cable(target)) for name in ALL}
        found: dict[str, Client] = {}
        reading = []
        for command, names in (
            ([NODE, str(HERE / "clients.mjs")], OVER_NODE),
            ([sys.executable, str(HERE / "clients.py")], OVER_PYTHON),
        ):
            for name, argument in names.items():
                client = found[name] = Process(cables[name])
                reading.append(asyncio.create_task(client.read([*command, argument, cables[name].url + path])))
        browser = await stack.enter_async_context(chromium())
        page = await browser.new_page()
        # A page of the server's own: nothing else may be asked without CORS.
        await page.goto(f"{cables[NATIVE].url}/health/live")
        cables[NATIVE].opened = 0
        await page.evaluate(FOLLOW, path)
        found[NATIVE] = InPage(cables[NATIVE], page)
        try:
            yield {name: found[name] for name in ALL}
        finally:
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)


class Measured:
    """What is found out, as the table in the docs has it."""

    def __init__(self) -> None:
        self.cells: dict[str, dict[str, str]] = {name: {} for name in ALL}

    async def note(self, column: str, at: dict[str, Client], condition: Any, seconds: float = 10) -> None:
        """Note for each client whether `condition` of it comes to be."""
        came = await asyncio.gather(*[client.until(lambda c=client: condition(c), seconds) for client in at.values()])
        for name, well in zip(at, came, strict=True):
            done_by_user = name in BY_HAND and column in {"resumes", "redeploy", "204 ends it"}
            self.cells[name][column] = ("by hand" if done_by_user else "yes") if well else "no"


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f'[server]\nheartbeat = 0.2\n[store]\nurl = "sqlite:///{tmp_path}/events.db"\n'


def documented() -> list[list[str]]:
    """The rows of the first table."""
    table = DOCS.read_text().partition("\n\n**")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:2] == "| "]
    return [row for row in rows if row[0] in ALL]


async def test_each_client_gets_what_the_docs_say(store: str) -> None:
    measured, port = Measured(), free_port()
    with Server(store, arguments=["--port", str(port)]) as server:
        async with clients(server.address, "/events/a") as at:
            await asyncio.to_thread(until, lambda: viewers(server) == len(at), 20)
            await asyncio.to_thread(publish, server, SAID)
            await measured.note("events as published", at, lambda c: c.published[:3] == SAID)
            await asyncio.sleep(0.7)  # three heartbeats
            await asyncio.to_thread(publish, server, [["message", "4", ""]])
            await measured.note("heartbeats unseen", at, lambda c: c.published[3:] == [["message", "4", "4"]], 3)
            before = {name: len(client.published) for name, client in at.items()}
            for client in at.values():
                await client.cable.pull()
            await asyncio.to_thread(publish, server, [["message", "5", ""], ["message", "6", ""]])
            for client in at.values():
                await client.cable.plug()
            rest = [["message", "5", "5"], ["message", "6", "6"]]
            await measured.note("resumes", at, lambda c: resumed(c, before, at) == rest, 15)
            await asyncio.to_thread(server.signal, signal.SIGTERM)
            assert await asyncio.to_thread(server.wait, 20) == 0
            before = {name: len(client.published) for name, client in at.items()}
            with Server(store, arguments=["--port", str(port)]) as again:
                await asyncio.to_thread(publish, again, [["message", "7", ""]])
                await asyncio.gather(
                    measured.note("redeploy", at, lambda c: resumed(c, before, at) == [["message", "7", "7"]], 8),
                    ask_for_no_more(again, measured),
                )
    rows = {name: [name, *[cells[column] for column in COLUMNS]] for name, cells in measured.cells.items()}
    print("\n".join(f"| {' | '.join(row)} |" for row in rows.values()))
    assert documented() == list(rows.values())


async def ask_for_no_more(server: Server, measured: Measured) -> None:
    run, last = await asyncio.to_thread(finished, server)
    async with clients(server.address, f"/api/chat/{run}?last_event_id={last}") as at:
        await asyncio.sleep(4)  # longer than any of them waits by default
        await measured.note("204 ends it", at, lambda c: c.closed and c.cable.opened <= 1, 0.2)


def resumed(client: Client, before: dict[str, int], at: dict[str, Client]) -> list[list[str]]:
    name = next(name for name, each in at.items() if each is client)
    return client.published[before[name] :]


def viewers(server: Server) -> int:
    return int(server.ask("GET", "/events/a/viewers").json()["viewers"])


def publish(server: Server, events: list[list[str]]) -> None:
    for name, data, _ in events:
        server.publish("a", json.loads(data) if data.startswith("{") else data, None if name == "message" else name)


def finished(server: Server) -> tuple[str, str]:
    """A run that is over, and the id of its last event."""
    with server.open("POST", "/api/chat", {"accept": "text/event-stream"}, {"message": "Hi", "max_tokens": 2}) as raw:
        last = raw.rest()[-1].id
    return last.rpartition("-")[0], last


def test_the_lock_names_no_registry() -> None:
    assert not re.search("resolved|https?://registry", (HERE / "package-lock.json").read_text())
