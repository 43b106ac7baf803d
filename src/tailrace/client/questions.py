"""Asking a model, following its answer and cancelling it, as exchanges of a session.

A question is posted once for one answer. As soon as its run is known, every further connection
attaches to that run; before, the same POST is repeated with the same idempotency key.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypedDict
from urllib.parse import quote

from tailrace.client.channels import verdict
from tailrace.client.events import ChatEvent, Finish, Restart, Snapshot, Start, Text, Thinking, Tool
from tailrace.client.requests import Request, stream_headers
from tailrace.client.session import Exchange
from tailrace.errors import ErrorType, RequestRefused, RunError, TailraceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tailrace.client.notices import Notice
    from tailrace.sse import Event

__all__ = ["Cancellation", "ChatOptions", "Question", "question_body"]


class ChatOptions(TypedDict, total=False):
    """What may go along with a question; `grace` is in seconds."""

    model: str
    system: str
    max_tokens: int
    temperature: float
    tools: Sequence[Mapping[str, Any]]
    thinking: bool
    grace: float
    metadata: Mapping[str, Any]


def _text(told: dict[str, Any]) -> str:
    if not isinstance(told["text"], str):
        raise TypeError("text is no string")
    return told["text"]


_READERS: Final[dict[str, Callable[[dict[str, Any]], ChatEvent]]] = {
    "start": lambda told: Start(told["run"], told.get("model") or ""),
    "message": lambda told: Text(_text(told), told.get("refusal") is True),
    "thinking": lambda told: Thinking(_text(told)),
    "tool": lambda told: Tool(told["index"], told.get("id") or "", told.get("name") or "", told.get("arguments") or ""),
    "snapshot": lambda told: Snapshot(_text(told), told.get("thinking") or ""),
    "restart": lambda told: Restart(told.get("provider") or "", told.get("model") or "", told.get("reason") or ""),
    "finish": lambda told: Finish(
        told["finish_reason"], told.get("usage") or {}, told.get("model") or "", told.get("provider") or ""
    ),
}
"""Every event of an answer that adds to it, or voids it, and how it is read."""


def question_body(message: str | Sequence[Mapping[str, Any]], options: ChatOptions) -> bytes:
    """Return the JSON that asks `message`: one text, or a conversation as `{role, content}` in order."""
    asked = {"message": message} if isinstance(message, str) else {"messages": list(message)}
    return json.dumps({**asked, **options}, ensure_ascii=False, separators=(",", ":")).encode()


class Question(Exchange[ChatEvent]):
    """One answer: its run, its text so far and how it finished.

    `body` is None to attach to `run`, which then must be known. Without a body nothing is ever posted.
    `midway` where the first connection does not read from the start, `snapshot` where it asks for what was said.
    """

    def __init__(
        self,
        base: str,
        watch: Callable[[Notice], None] | None = None,
        *,
        body: bytes | None = None,
        key: str = "",
        run: str = "",
        midway: bool = False,
        snapshot: bool = False,
    ) -> None:
        super().__init__()
        self.run = run
        self.finish: Finish | None = None
        self.stopping = False
        self._base = base
        self._watch = watch
        self._body = body
        self._key = key
        self._midway = midway or snapshot
        self._snapshot = snapshot
        self._pieces: list[str] = []
        self._received = 0
        self._repeated = 0

    @property
    def text(self) -> str:
        """The text that was delivered so far."""
        return "".join(self._pieces)

    def request(self, cursor: str) -> Request:
        """Return the POST that asks, or the GET that comes back for the rest."""
        headers = stream_headers(cursor)
        if self.run:
            # Without a cursor the run is told from its start.
            self._repeated = 0 if cursor else self._received
            asked = "?snapshot=1" if self._snapshot and not cursor else ""
            return Request("GET", run_url(self._base, self.run) + asked, headers)
        headers |= {"content-type": "application/json", "idempotency-key": self._key}
        return Request("POST", f"{self._base}/api/chat", headers, self._body)

    def opened(self, headers: Mapping[str, str]) -> None:
        """Learn the run before its first event: a connection lost right now must not ask again."""
        self.run = headers.get("tailrace-run", "") or self.run

    def translate(self, event: Event) -> list[ChatEvent]:
        """Return what the event adds to the answer; set `ended`, and `error` where the run failed."""
        name = event.event
        if name == "reconnect":
            return []
        if name == "resume":
            return self._resumed(event)
        if self._repeated:
            # A run's log is the same whoever reads it: what was received before comes first, in the same order.
            self._repeated -= 1
            return []
        self._received += 1
        if name == "done":
            self.ended = True
        elif name in _READERS or name == "error":
            try:
                told = json.loads(event.data)
                if name in _READERS:
                    return [self._noted(_READERS[name](told))]
                self._failed(told["error"])
            except (ValueError, TypeError, LookupError, AttributeError):
                self._end(RequestRefused(200, "not_an_answer", f"the event {name!r} cannot be read: is this Tailrace?"))
        return []  # the end, or an event of a later release

    def delivered(self, event: ChatEvent) -> None:
        """Keep what the user has got."""
        if isinstance(event, Text):
            self._pieces.append(event.text)
        elif isinstance(event, Snapshot):
            self._pieces = [event.text]
        elif isinstance(event, Restart):
            self._pieces.clear()
        elif isinstance(event, Finish):
            self.finish = event

    def _noted(self, event: ChatEvent) -> ChatEvent:
        if isinstance(event, Start):
            self.run = event.run  # where a proxy has dropped the header
        return event

    def _failed(self, told: dict[str, Any]) -> None:
        text = str(told["message"])
        try:
            kind = ErrorType(told["type"])
        except ValueError:
            kind, text = ErrorType.TAILRACE_INTERNAL, f"{told['type']}: {text}"
        if self.stopping and kind is ErrorType.CALLER_CANCELLED:
            self._end(None)  # as asked
        else:
            self._end(RunError(kind, text, retryable=told.get("retryable")))

    def _resumed(self, event: Event) -> list[ChatEvent]:
        resumed = verdict(event)
        if resumed is None:
            return []
        if self._watch:
            self._watch(resumed)
        if resumed.recovered:
            return []
        if resumed.reason == "trimmed":
            told = "a part of the answer is no longer kept, so that the rest would not follow on what was said"
            self._end(RunError(ErrorType.TAILRACE_INTERRUPTED, told, retryable=False))
        elif self._midway:
            # Of what comes now from the start, nobody here knows how much was said before.
            self._midway, self._received = False, 0
            return [Restart("", "", resumed.reason)]
        else:
            self._repeated = self._received
        return []

    def _end(self, error: TailraceError | None) -> None:
        self.ended = True
        self.error = error


class Cancellation(Exchange[None]):
    """Cancel a run; a run that has ended is left as it is."""

    streams = False

    def __init__(self, base: str, run: str) -> None:
        super().__init__()
        self._request = Request("DELETE", run_url(base, run))

    def request(self, cursor: str) -> Request:
        """Return the same DELETE each time: cancelling twice is cancelling once."""
        return self._request


def run_url(base: str, run: str) -> str:
    """Return the URL of a run."""
    return f"{base}/api/chat/{quote(run, safe='')}"
