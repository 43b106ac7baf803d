"""Pages that use the Vercel AI SDK as it is published, each of them a component with `useChat`.

    with Browser() as browser:
        page = browser.open("http://127.0.0.1:8000", "chat-1")
        assert page.send("Hi").text == "Hello, world!"

All of them live in one Node.js process. The packages are installed once, where their lock file has changed.
"""

from __future__ import annotations

import fcntl
import functools
import itertools
import json
import os
import shutil
import subprocess
import threading
import uuid
from dataclasses import dataclass
from queue import Queue
from typing import Any, Self

import pytest

from tailrace.runs.deltas import ToolCall
from tests.support.javascript import NODE, environment
from tests.support.server import ROOT, Server

__all__ = ["PARALLEL", "Browser", "Page", "View", "ask", "new_chat", "user"]

_HERE = ROOT / "tests" / "js" / "ai-sdk"
_PATIENCE = 30.0

PARALLEL = (
    ToolCall(0, "call_1", "look"),
    ToolCall(0, arguments='{"where":'),
    ToolCall(0, arguments='"hüben"}'),
    ToolCall(1, "call_2", "find"),
    ToolCall(1, arguments='{"what":[1,2.50]}'),
)
"""Two calls of tools, as a provider tells them."""


@functools.cache
def _install() -> None:
    if not (NODE and shutil.which("npm")):
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("Node.js and npm are not installed: apt-get install nodejs npm")
    modules = _HERE / "node_modules"
    modules.mkdir(exist_ok=True)
    with (_HERE / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        marker, wanted = modules / ".installed", lock.read()
        if not (marker.exists() and marker.read_text() == wanted):
            subprocess.run(["npm", "ci", "--silent"], cwd=_HERE, check=True)
            marker.write_text(wanted)


@dataclass(frozen=True)
class View:
    """What a page shows, and what it has noted: how answers finished, and which calls of tools it ran."""

    messages: list[dict[str, Any]]
    status: str
    error: str | None
    finished: list[dict[str, Any]]
    ran: list[str]

    @property
    def last(self) -> dict[str, Any]:
        """The newest message."""
        return self.messages[-1]

    @property
    def text(self) -> str:
        """The text of the newest message."""
        return "".join([part["text"] for part in self.parts("text")])

    @property
    def thinking(self) -> str:
        """Its reasoning."""
        return "".join([part["text"] for part in self.parts("reasoning")])

    def parts(self, *kinds: str) -> list[dict[str, Any]]:
        """The parts of the newest message, or those of some types."""
        return [part for part in self.last["parts"] if not kinds or part["type"] in kinds]


class Browser:
    """A context manager that runs the pages; `version` is that of the package `ai`, where it is not the newest."""

    def __init__(self, version: str = "") -> None:
        self._command = [NODE, str(_HERE / "page.mjs"), *filter(None, [version])]
        self._numbers = itertools.count()
        self._pages = itertools.count()
        self._answers: dict[int, Queue[dict[str, Any]]] = {}

    def __enter__(self) -> Self:
        _install()
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment(),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def open(self, url: str, chat: str, **options: Any) -> Page:
        """Open a page; `options` as in `page.mjs`: `messages`, `resume`, `ended`, `body`, `headers`, `outputs`."""
        page = Page(self, f"page {next(self._pages)}", {"api": f"{url}/api/ai-sdk/chat", "id": chat, **options})
        page.do("open", page.options)
        return page

    def begin(self, page: str, call: str, given: Any) -> int:
        """Have a page do something; the number by which to wait for it."""
        number = next(self._numbers)
        self._answers[number] = Queue()
        line = json.dumps({"number": number, "page": page, "call": call, "given": given})
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return number

    def end(self, number: int) -> View:
        """Wait until it is done; what the page shows then."""
        answer = self._answers[number].get(timeout=_PATIENCE)
        assert answer.pop("failed") is None, answer
        return View(**answer)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            self._answers[answer.pop("number")].put(answer)


class Page:
    """One page of a browser."""

    def __init__(self, browser: Browser, name: str, options: dict[str, Any]) -> None:
        self.options = options
        self._browser = browser
        self._name = name

    def do(self, call: str, given: Any = None) -> View:
        """Have it do something, and wait for that."""
        return self._browser.end(self.begin(call, given))

    def begin(self, call: str, given: Any = None) -> int:
        """Have it do something; the number for `Browser.end`."""
        return self._browser.begin(self._name, call, given)

    def send(self, text: str) -> View:
        """Ask, and wait for the answer."""
        return self.do("send", {"text": text})

    def reads(self, text: str) -> View:
        """Wait until the newest message shows a text."""
        return self.do("reads", text)

    def rests(self) -> View:
        """Wait until no answer is being read."""
        return self.do("rests")

    def leave(self) -> None:
        """Close it."""
        self.do("leave")

    def reload(self, messages: list[dict[str, Any]] | None = None, **options: Any) -> Page:
        """Leave the page, and open it again with `resume`; `messages` are those that the application has kept."""
        self.leave()
        options = {**self.options, "messages": messages or [], "resume": True, **options}
        page = Page(self._browser, self._name, options)
        page.do("open", page.options)
        return page


def new_chat() -> str:
    """A chat's id, as an application may make one."""
    return f"chat/{uuid.uuid4()}"


def user(text: str, name: str = "u1") -> dict[str, Any]:
    """A message of the user."""
    return {"id": name, "role": "user", "parts": [{"type": "text", "text": text}]}


def ask(server: Server, body: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
    """Ask by hand, and read the whole answer."""
    return server.ask("POST", "/api/ai-sdk/chat", headers, body)
