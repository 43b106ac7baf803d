"""The real server in front of a scripted model provider.

    with Backed() as backed:
        backed.up.script(Script(pieces=("Hel", "lo")))
        with backed.ask("Hi") as raw:
            assert text_of(raw.rest()) == "Hello"

The models `claude` and `gpt` are the same upstream, spoken to as Anthropic and as OpenAI.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self
from urllib.parse import urlencode

from tailrace.sse import Event
from tests.support.raw import Answer, Raw
from tests.support.scripted import refused_url
from tests.support.server import Server
from tests.support.upstream import Script, Seen, Upstream

__all__ = ["Backed", "data_of", "error_of", "names_of", "text_of", "verdict_of"]

_SETTINGS = """
[server]
max_body = 65536
cors_origins = ["https://app.example"]
[chat]
default_model = "claude"
grace = 20
max_run_bytes = 100000
[providers.anthropic]
kind = "anthropic"
base_url = "{url}"
api_key = "env:KEY"
timeouts = {{ connect = 2, first_token = 1, idle = 1, total = 20 }}
[providers.openai]
kind = "openai"
base_url = "{url}/v1"
api_key = "env:KEY"
timeouts = {{ connect = 2, first_token = 1, idle = 1, total = 20 }}
[providers.refusing]
kind = "openai"
base_url = "{refusing}"
[models.claude]
targets = [ {{ provider = "anthropic", model = "claude-test" }} ]
[models.gpt]
targets = [ {{ provider = "openai", model = "gpt-test" }} ]
"""
_STREAM = {"accept": "text/event-stream"}


class Backed:
    """A server and its upstream; a context manager that runs both."""

    def __init__(self) -> None:
        self.up = Upstream()
        self.server = Server(_SETTINGS.format(url=self.up.url, refusing=refused_url()), env={"KEY": "sk-secret"})
        self._asked = 0

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.up)
            stack.enter_context(self.server)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def forget(self) -> None:
        """Begin a test: what was asked of the upstream before does not count."""
        self.up.default = Script()
        self.up._scripts.clear()
        self.up._loop.call_soon_threadsafe(self.up._resumed.clear)
        self._asked = len(self.up.seen)

    @property
    def seen(self) -> list[Seen]:
        """What the upstream was asked in this test."""
        return self.up.seen[self._asked :]

    def wait_seen(self, count: int = 1) -> Seen:
        """Wait for the upstream's `count`th request in this test."""
        self.up.wait_for(lambda seen: len(seen) >= self._asked + count)
        return self.seen[count - 1]

    @contextmanager
    def ask(self, message: str = "Hi", headers: Mapping[str, str] | None = None, **body: Any) -> Iterator[Raw]:
        """POST a question, and read on from the head of its answer."""
        with self.server.open("POST", "/api/chat", headers, {"message": message, **body}) as raw:
            yield raw

    @contextmanager
    def get(self, headers: Mapping[str, str] | None = None, **query: str) -> Iterator[Raw]:
        """Ask as an EventSource does."""
        with self.server.open("GET", f"/api/chat?{urlencode(query)}", {**_STREAM, **(headers or {})}) as raw:
            yield raw

    @contextmanager
    def attach(self, run: str, cursor: str | None = None, query: str = "") -> Iterator[Raw]:
        """Read a run."""
        headers = {"last-event-id": cursor} if cursor is not None else {}
        with self.server.open("GET", f"/api/chat/{run}{query}", {**_STREAM, **headers}) as raw:
            yield raw

    def state(self, run: str) -> dict[str, Any]:
        """A run's state."""
        answer = self.server.ask("GET", f"/api/chat/{run}", {"accept": "application/json"})
        assert answer.status == 200, answer
        return dict(answer.json())

    def cancel(self, run: str) -> Answer:
        """Cancel a run."""
        return self.server.ask("DELETE", f"/api/chat/{run}")


def data_of(event: Event) -> dict[str, Any]:
    """An event's JSON."""
    return dict(json.loads(event.data))


def names_of(events: Iterable[Event]) -> list[str]:
    """The types of events."""
    return [event.event for event in events]


def text_of(events: Iterable[Event]) -> str:
    """The answer's text."""
    return "".join([data_of(event)["text"] for event in events if event.event == "message"])


def error_of(events: Iterable[Event]) -> dict[str, Any]:
    """What the one `error` event says."""
    (error,) = [data_of(event)["error"] for event in events if event.event == "error"]
    return dict(error)


def verdict_of(event: Event) -> tuple[bool, str, int | None]:
    """What a `resume` event says of the cursor."""
    assert event.event == "resume"
    said = data_of(event)
    return said["recovered"], said["reason"], said["missed"]
