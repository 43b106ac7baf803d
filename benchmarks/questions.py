"""What is asked of servers before a model, and how much a whole answer is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from contestants import tailrace_serve
from rig.native import load
from rig.server import BenchmarkFailed, Server

__all__ = ["Question", "as_openai", "native", "tailrace"]

_QUESTION = "What do rivers do?"
_SETTINGS = """
[chat]
# A steady state within seconds: runs expire at the rate at which they are made.
keep_ended = 5

[providers.mock-openai]
kind = "openai"
base_url = "http://127.0.0.1:{port}/v1"
api_key = "env:BENCH_KEY"

[providers.mock-anthropic]
kind = "anthropic"
base_url = "http://127.0.0.1:{port}"
api_key = "env:BENCH_KEY"
"""


@dataclass(frozen=True, slots=True)
class Question:
    """What the callers ask, where, and how many events a whole answer has."""

    path: str
    body: dict[str, Any]
    events: int

    def asked(self, server: Server, **options: int) -> dict[str, Any]:
        """Return the callers' report. Raises BenchmarkFailed if an answer was cut short."""
        report = load(
            port=server.port,
            path=self.path,
            body=json.dumps(self.body),
            token="Rivers",
            end="[DONE]",
            **options,
        )
        if (report["fewest_events"], report["most_events"]) != (self.events, self.events):
            raise BenchmarkFailed(f"not every answer has its {self.events} events: {report}")
        return report


def as_openai(model: str) -> Question:
    """Ask as OpenAI's SDK does."""
    body = {
        "model": model,
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [{"role": "user", "content": _QUESTION}],
    }
    return Question("/v1/chat/completions", body, events=31)


def native(model: str, texts: int) -> Question:
    """Ask over the native API, whose answer is `start`, the pieces of text, `finish` and `done`."""
    return Question("/api/chat", {"message": _QUESTION, "model": model}, events=texts + 3)


@contextmanager
def tailrace(upstream_port: int) -> Iterator[Server]:
    """Start Tailrace before the upstream on the given port, its models `mock-openai/…` and `mock-anthropic/…`."""
    with tailrace_serve(_SETTINGS.format(port=upstream_port), {"BENCH_KEY": "none"}) as server:
        yield server
