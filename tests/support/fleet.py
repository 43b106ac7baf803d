"""Several instances of the real server over one real Redis, in front of one scripted model provider.

    with Fleet() as fleet:
        a, b = fleet.instances
        with a.open("POST", "/api/chat", body={"message": "Hi"}) as raw: ...
        a.signal(signal.SIGKILL)

What the model answers is told by the question: `Answers` gives each one a text of its own, at its own pace, so that
nobody can be given another's answer unnoticed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

from tailrace.sse import Event
from tests.support.hosted import until
from tests.support.ports import free_port
from tests.support.raw import Address, Raw
from tests.support.redis import RedisServer
from tests.support.server import Server
from tests.support.upstream import Seen, Upstream
from tests.support.upstream_frames import Script

__all__ = ["CHAOS", "STREAM", "Answers", "Fleet", "question_of"]

CHAOS = bool(os.environ.get("TAILRACE_CHAOS"))
"""Whether the tests run at their full size (`make chaos`)."""

STREAM = {"accept": "text/event-stream"}

_SETTINGS = """
[server]
heartbeat = 2
drain_delay = {drain_delay}
drain_timeout = {drain_timeout}
[store]
url = "{url}"
[chat]
default_model = "up/m"
grace = {grace}
[providers.up]
kind = "anthropic"
base_url = "{upstream}"
timeouts = {{ connect = 5, first_token = 60, idle = 120, total = 600 }}
[providers.responses]
kind = "openai-responses"
base_url = "{upstream}/v1"
"""


@dataclass(frozen=True, slots=True)
class Answers:
    """What the model says: `pieces` pieces that name the question, one each `delay` seconds."""

    pieces: int = 20
    delay: float = 0.1

    def __call__(self, seen: Seen) -> Script:
        """The answer to a request."""
        question = question_of(seen)
        said = tuple([f"{question}/{number} " for number in range(self.pieces)])
        return Script(pieces=said, delay=self.delay)

    def to(self, question: str) -> str:
        """The whole text of the answer to a question."""
        return "".join([f"{question}/{number} " for number in range(self.pieces)])


class Fleet:
    """Instances, their Redis (`redis`) and their provider (`up`). With `url` it is another store, and not theirs.

    `grace`, `drain_delay` and `drain_timeout` are the settings', in seconds.
    """

    def __init__(
        self,
        size: int = 2,
        *,
        answers: Answers | None = None,
        url: str | None = None,
        grace: float = 20,
        drain_delay: float = 0,
        drain_timeout: float = 10,
    ) -> None:
        self.answers = answers or Answers()
        self.up = Upstream(self.answers)
        self.instances: list[Server] = []
        self._ports = [free_port() for _ in range(size)]
        self._url = url
        self._times = {"grace": grace, "drain_delay": drain_delay, "drain_timeout": drain_timeout}

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.up)
            if self._url is None:
                self.redis = stack.enter_context(RedisServer())
            self._stack = stack
            with ThreadPoolExecutor() as pool:
                self.instances = [*pool.map(self._start, self._ports)]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is not None:
            for number, instance in enumerate(self.instances):
                print(f"instance {number}:\n{instance.said}")
        self._stack.close()

    def _start(self, port: int) -> Server:
        url = self._url or self.redis.url
        settings = _SETTINGS.format(url=url, upstream=self.up.url, **self._times)
        return self._stack.enter_context(Server(settings, arguments=["--port", str(port)]))

    @property
    def addresses(self) -> list[Address]:
        """Where the instances listen, for as long as the fleet is there."""
        return [("127.0.0.1", port) for port in self._ports]

    def restart(self, number: int) -> float:
        """Have an instance leave in order, and start another in its place; the seconds that leaving took."""
        leaving, begun = self.instances[number], time.monotonic()
        leaving.terminate()
        assert leaving.wait(60) == 0
        took = time.monotonic() - begun
        self.instances[number] = self._start(self._ports[number])
        return took

    # What the model was asked.

    def asked(self, question: str) -> Seen:
        """Wait until the model was asked this; the request."""
        self.up.wait_for(lambda seen: any(question_of(each) == question for each in seen))
        return next(each for each in self.up.seen if question_of(each) == question)

    @property
    def times_asked(self) -> Counter[str]:
        """How often the model was asked each question."""
        return Counter([question_of(seen) for seen in self.up.seen])

    # Asking.

    @contextmanager
    def ask(self, instance: Server, question: str, **body: Any) -> Iterator[tuple[str, Raw, Event]]:
        """Ask an instance; the run, the stream behind its first event, and that event."""
        with instance.open("POST", "/api/chat", STREAM, {"message": question, **body}) as raw:
            start = raw.event()
            assert start.event == "start"
            yield start.id.rpartition("-")[0], raw, start

    @contextmanager
    def watch(self, instance: Server, run: str, cursor: str = "", query: str = "") -> Iterator[Raw]:
        """Read a run on an instance."""
        headers = STREAM | ({"last-event-id": cursor} if cursor else {})
        with instance.open("GET", f"/api/chat/{run}{query}", headers) as raw:
            yield raw

    def state(self, instance: Server, run: str) -> dict[str, Any]:
        """A run's state, as an instance tells it."""
        answer = instance.ask("GET", f"/api/chat/{run}", {"accept": "application/json"})
        assert answer.status == 200, answer
        return dict(answer.json())

    def kill(self, instance: Server) -> None:
        """End an instance at once."""
        instance.signal(signal.SIGKILL)
        assert instance.wait() == -signal.SIGKILL

    def wait_status(self, status: str, instances: Sequence[Server] = (), timeout: float = 10) -> None:
        """Wait until `/health` of these instances, or all, says so."""
        until(lambda: all(each.health()["status"] == status for each in instances or self.instances), timeout)


def question_of(seen: Seen) -> str:
    """The question that a request to the model brings."""
    content = (seen.body.get("messages") or [{"content": seen.body.get("input")}])[-1]["content"]
    return str(content if isinstance(content, str) else content[0]["text"])
