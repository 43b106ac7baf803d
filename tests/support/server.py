"""The real server, in a process of its own.

    with Server("[server]\\nheartbeat = 1\\n") as server:
        assert server.ask("GET", "/health").json()["status"] == "healthy"
        with server.open("GET", "/events/news") as raw:
            assert raw.event().event == "ready"

`tailrace run` and whatever else says where it listens are started with `Server.of`. A server that is left
running is killed at the end of its block; its standard error is shown by `Server.said` and by failures.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import psutil

from tests.support.raw import Answer, Raw, ask

__all__ = ["ROOT", "Server"]

ROOT = Path(__file__).parents[2]

_LISTENING = re.compile(r"(?:listening on|running on) http://([^\s:/]+):(\d+)")
_START_TIMEOUT = 20.0
_CALLERS = re.compile(r"TAILRACE_|[A-Z]+_API_KEY$")


class Server:
    """A server's process. `settings` is the text of a `tailrace.toml`; `env` overrides what it inherits."""

    def __init__(
        self,
        settings: str = "",
        *,
        arguments: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        self._settings = settings
        self._command = [*prefix, sys.executable, "-m", "tailrace", "serve", "--port", "0", *arguments]
        # Settings and keys of whoever runs the tests are not for the server under test.
        self._environment = {name: value for name, value in os.environ.items() if not _CALLERS.match(name)}
        self._environment |= {"PYTHONUNBUFFERED": "1", **(env or {})}
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self.host, self.port = "127.0.0.1", 0
        self.started_in = 0.0
        """Seconds from the process's start until it said that it listens."""

    @classmethod
    def of(cls, command: Sequence[str], *, env: Mapping[str, str] | None = None) -> Self:
        """Any command that says on standard error where it listens, as uvicorn and `tailrace run` do."""
        server = cls(env=env)
        server._command = [*command]
        return server

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return self.host, self.port

    @property
    def url(self) -> str:
        """Its base URL, without a slash at the end."""
        return f"http://{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def said(self) -> str:
        """Its standard error so far."""
        with self._changed:
            return "".join(self._lines)

    @property
    def rss(self) -> int:
        """Its resident memory in bytes."""
        return int(psutil.Process(self.pid).memory_info().rss)

    # Asking.

    def ask(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: Any = b"", **options: Any
    ) -> Answer:
        """Ask once and read the whole answer."""
        return ask(self.address, method, target, headers, body, **options)

    def connect(self, **options: Any) -> Raw:
        """Open a connection."""
        return Raw(self.address, **options)

    @contextmanager
    def open(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: Any = b"", **options: Any
    ) -> Iterator[Raw]:
        """Ask on a new connection and read the head, which must say 200; the rest is the caller's to read."""
        with self.connect(**options) as raw:
            raw.request(method, target, headers, body)
            head = raw.head()
            assert head.status == 200, (head, raw.read())
            yield raw

    def publish(self, channel: str, data: object, event: str | None = None) -> str:
        """Publish to a channel; the event's id."""
        body = {"data": data} | ({"event": event} if event else {})
        answer = self.ask("POST", f"/events/{channel}", body=body)
        assert answer.status == 200, answer
        return str(answer.json()["id"])

    def health(self) -> dict[str, Any]:
        """What `/health` says."""
        return dict(self.ask("GET", "/health").json())

    # Coming and going.

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            if self._settings:
                (folder / "tailrace.toml").write_text(self._settings)
                self._command += ["--config", str(folder / "tailrace.toml")]
            begun = time.monotonic()
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environment, stderr=subprocess.PIPE, text=True
            )
            stack.callback(self._end)
            self._reader = threading.Thread(target=self._listen, daemon=True)
            self._reader.start()
            self._await_listening()
            self.started_in = time.monotonic() - begun
            self._cleanup = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is not None:
            print(self.said)
        self._cleanup.close()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._changed:
                self._lines.append(line)
                found = _LISTENING.search(line)
                if found and not self.port:
                    self.host, self.port = found[1], int(found[2])
                self._changed.notify_all()
        self._process.wait()
        with self._changed:
            self._changed.notify_all()

    def _await_listening(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self.port or self._process.poll() is not None, _START_TIMEOUT)
        assert self.port, f"{self._command} does not listen (exit code {self._process.poll()}):\n{self.said}"

    def wait_said(self, text: str, timeout: float = 10) -> None:
        """Return once its standard error has `text`."""
        with self._changed:
            assert self._changed.wait_for(lambda: text in "".join(self._lines), timeout), "".join(self._lines)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def terminate(self) -> None:
        """Tell it to leave (SIGTERM)."""
        self.signal(signal.SIGTERM)

    def wait(self, timeout: float = 10) -> int:
        """Wait for its end; its exit code. Raises `subprocess.TimeoutExpired`."""
        return self._process.wait(timeout)

    def _end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join(5)
        assert self._process.stderr is not None
        self._process.stderr.close()
