"""The client's side of the protocol, without I/O: what to send, what an answer means, when to come back.

A session is one thing that the user wants (a subscription, an answer, a publication), over as many
connections as it takes. What is wanted is an `Exchange`; moving bytes and sleeping is left to the
shells, which drive a session so:

    while session.state is not CLOSED:
        sleep(session.delay), send session.next_request(headers), pass the head to answered(status, headers)
        OPEN:  pass each chunk to receive(chunk), which returns events; at the end, call lost(reason)
        BODY:  pass the whole body to complete(body)
    where sending or reading fails, or is silent for session.read_timeout: lost(reason)
    raise session.error, if there is one

    READY ── next_request ──> SENT ── answered ──> OPEN ── lost, `reconnect` ──> READY
                               │                    └── the end ──> CLOSED
                               ├── answered ──> BODY ── complete ──> READY (again, later) or CLOSED
                               ├── answered, a redirect ──> READY (at once)
                               ├── answered, 204 ──> CLOSED
                               └── lost ──> READY, or CLOSED where no attempt is left
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from enum import Enum, auto
from random import random as system_random
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from tailrace.client.notices import Connected, Ended, Notice, Reconnecting
from tailrace.client.patience import Patience, Retries
from tailrace.client.problems import refusal, retry_after
from tailrace.client.requests import REDIRECTS, Request, follow
from tailrace.errors import EventTooLarge, RequestRefused, TailraceError, Unreachable
from tailrace.sse import Decoder, Event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Exchange", "Session", "State"]

_MAX_REDIRECTS: Final = 10

# One heartbeat may be lost, and the next be late by half of its time.
_HEARTBEATS_MISSED: Final = 2.5

E = TypeVar("E")
E_co = TypeVar("E_co", covariant=True)


class State(Enum):
    """Where a session stands; the module's docstring draws the ways between."""

    READY = auto()
    SENT = auto()
    OPEN = auto()
    BODY = auto()
    CLOSED = auto()


class Exchange(ABC, Generic[E_co]):
    """What the user wants: how to ask for it, and what the answer means.

    `streams` tells an event stream from a plain answer; the one is told by `opened` and `translate`,
    the other by `complete`. `ended` is set when nothing more will come, `error` when that is the
    user's to hear.
    """

    streams = True

    def __init__(self) -> None:
        self.ended = False
        self.error: TailraceError | None = None

    @abstractmethod
    def request(self, cursor: str) -> Request:
        """Return what to ask now, coming from `cursor` (empty: from nowhere)."""

    def opened(self, headers: Mapping[str, str]) -> None:
        """Take note of the head of an event stream."""

    def translate(self, event: Event) -> Sequence[E_co]:
        """Return what `event` is to the user: nothing, or what to deliver."""
        return ()

    def complete(self, body: bytes) -> None:
        """Take the body of a plain answer that is no refusal."""


class Session(Generic[E]):
    """One exchange over as many connections as it takes.

    `delay` is how long to wait before the next request, `read_timeout` how long to wait for the next
    bytes (both in seconds). `watch` is told what happens to the connection.
    """

    def __init__(
        self,
        exchange: Exchange[E],
        *,
        cursor: str = "",
        attempts: int | None = None,
        patience: Patience | None = None,
        random: Callable[[], float] = system_random,
        watch: Callable[[Notice], None] | None = None,
    ) -> None:
        self.state = State.READY
        self.delay = 0.0
        self.error: TailraceError | None = None
        self.patience = patience or Patience()
        self.read_timeout = self.patience.answer
        self._exchange = exchange
        self._retries = Retries(self.patience, attempts, random)
        self._watch = watch or (lambda _: None)
        self._decoder = Decoder(last_event_id=cursor)
        self._answer: tuple[int, Mapping[str, str]] = (0, {})
        self._request: Request | None = None
        self._redirects = 0

    @property
    def cursor(self) -> str:
        """The id of the last event that was received, empty where there is none."""
        return self._decoder.last_event_id

    @property
    def _retry(self) -> float | None:
        return None if self._decoder.retry is None else self._decoder.retry / 1000

    @property
    def _url(self) -> str:
        return self._request.url if self._request is not None else ""

    @property
    def redirected(self) -> bool:
        """Whether the next request goes where a redirect leads: its headers are settled."""
        return self._redirects > 0

    def next_request(self, headers: Mapping[str, str] | None = None) -> Request:
        """Return what to send now. `headers` are the user's, by lower-case name; heard where it is not `redirected`."""
        if self._request is None or not self.redirected:
            asked = self._exchange.request(self.cursor)
            self._request = replace(asked, headers={**(headers or {}), **asked.headers})
        self.state = State.SENT
        self.read_timeout = self.patience.answer
        return self._request

    def answered(self, status: int, headers: Mapping[str, str]) -> State:
        """Take the head of an answer; return the new state. `headers` has lower-case names, or minds no case."""
        self._answer = (status, headers)
        if status in REDIRECTS:
            self._redirect(status, headers.get("location", ""))
            return self.state
        if not self._exchange.streams:
            self.state = State.BODY
        elif status == 204:
            self._close()
        elif status != 200:
            self.state = State.BODY
        elif headers.get("content-type", "").partition(";")[0].strip().lower() != "text/event-stream":
            got = headers.get("content-type") or "no content type"
            self._close(
                RequestRefused(200, "not_an_event_stream", f"expected text/event-stream from {self._url}, got {got}")
            )
        else:
            self._open(headers)
        return self.state

    def receive(self, chunk: bytes) -> list[E]:
        """Take bytes of an open stream; return what they complete. Afterwards look at `state`."""
        try:
            events = self._decoder.receive(chunk)
        except EventTooLarge as error:
            self._close(error)  # it would come again with the next connection
            return []
        leaving = False
        delivered: list[E] = []
        for event in events:
            leaving = leaving or event.event == "reconnect"
            delivered += self._exchange.translate(event)
            if self._exchange.ended:
                break
        if events:
            self._retries.succeeded()
        if self._exchange.ended:
            self._close(self._exchange.error)
        elif leaving:
            # The server has spread its clients over the time that `retry:` names: no jitter of our own.
            self._again(self.patience.first if self._retry is None else self._retry, "the server asked for it")
        return delivered

    def complete(self, body: bytes) -> None:
        """Take the body of an answer that is no stream."""
        status, headers = self._answer
        error = refusal(status, headers, body, self._url)
        if status == 404 and self.cursor:
            lost = "what was begun here is not there any more (was the server restarted?); ask again"
            error = RequestRefused(status, error.code, lost)
        if status == 429 or status >= 500:
            self._failed(f"the server answered {error}", retry_after(headers), error)
        elif self._exchange.streams or not 200 <= status < 300:
            self._close(error)
        else:
            self._exchange.complete(body)
            self._close(self._exchange.error)

    def lost(self, reason: str) -> None:
        """Take note that the connection is gone, or never came to be."""
        if self.state is not State.CLOSED:
            self._failed(reason)

    def fail(self, error: TailraceError) -> None:
        """Give up: no further attempt could help."""
        self._close(error)

    def _open(self, headers: Mapping[str, str]) -> None:
        self.state = State.OPEN
        self.delay = 0.0
        self.read_timeout = self.patience.silence
        if heartbeat := _positive(headers.get("tailrace-heartbeat", "")):
            self.read_timeout = _HEARTBEATS_MISSED * heartbeat
        # What the last connection left unfinished is void: "Once the end of the file is reached, any pending data must
        # be discarded." Only the last event id lives on.
        self._decoder.reset()
        self._exchange.opened(headers)
        self._watch(Connected())

    def _redirect(self, status: int, location: str) -> None:
        self._redirects += 1
        target = follow(self._request, status, location) if self._request else None
        if target is None or self._redirects > _MAX_REDIRECTS:
            why = f"it leads to {location!r}" if target is None else f"more than {_MAX_REDIRECTS} in a row"
            self._close(RequestRefused(status, "bad_redirect", f"the redirect cannot be followed: {why}"))
            return
        self._request = target
        self.state = State.READY
        self.delay = 0.0

    def _failed(self, reason: str, after: float | None = None, error: TailraceError | None = None) -> None:
        delay = self._retries.failed(self._retry, after)
        if delay is None:
            self._close(error or Unreachable(reason))
        else:
            self._again(delay, reason)

    def _again(self, delay: float, reason: str) -> None:
        self.state = State.READY
        self.delay = delay
        self._redirects = 0  # the next attempt starts at the user's own URL again
        self._watch(Reconnecting(delay, reason))

    def _close(self, error: TailraceError | None = None) -> None:
        self.state = State.CLOSED
        self.error = error
        self._watch(Ended(error))


def _positive(text: str) -> float:
    """Return the number that a header announces, 0.0 for anything else."""
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if 0 < number < float("inf") else 0.0
