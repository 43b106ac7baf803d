"""The client for asyncio: awaited calls and asynchronous iterators. Its blocking twin is `sync`.

Bytes are moved and time is waited for; everything that has to be decided is left to `session`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from random import random as system_random
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar
from uuid import uuid4

import httpx2

from tailrace.client.channels import Publication, Publications, Subscription, channel_url, stream_url
from tailrace.client.events import ChatEvent, Finish, Message, Snapshot, Text
from tailrace.client.patience import Patience
from tailrace.client.questions import Cancellation, ChatOptions, Question, question_body
from tailrace.client.session import Exchange, Session, State
from tailrace.client.transport import (
    BODY_LIMIT,
    HOPELESS,
    TRANSIENT,
    UNLIMITED,
    AsyncHeaders,
    base_url,
    describe,
    plain_headers,
    prepare,
    timeouts,
)
from tailrace.errors import Unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
    from typing import Unpack

    from tailrace.client.notices import Notice

__all__ = ["AsyncAnswer", "AsyncClient", "AsyncEvents"]

E = TypeVar("E")


class AsyncClient:
    """A Tailrace server, seen from here.

    `url` is where it answers, with the path that stands before its own, if any. `headers` go with each
    request, but never to another host that a redirect names; a callable is asked for them before each
    attempt. An OSError that it raises is one more failure of the connection, and the attempt is repeated;
    anything else ends what was asked for. `http` may bring proxies or certificates;
    one that was given is not closed here. `sleep` takes seconds, `random` returns a float in [0, 1).

    Every method raises `RequestRefused` where the server refuses, and `Unreachable` where none answers.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: AsyncHeaders | None = None,
        patience: Patience | None = None,
        http: httpx2.AsyncClient | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = system_random,
    ) -> None:
        self._base = base_url(url)
        self._headers = headers or {}
        self._patience = patience or Patience()
        self._http = http or httpx2.AsyncClient(limits=UNLIMITED)
        self._owned = http is None
        self._sleep = sleep
        self._random = random

    def subscribe(
        self,
        channel: str | Sequence[str],
        *,
        last_event_id: str | None = None,
        from_earliest: bool = False,
        snapshot: bool = False,
        events: Iterable[str] = (),
        attempts: int | None = None,
        watch: Callable[[Notice], None] | None = None,
    ) -> AsyncEvents:
        """Follow a channel: its events in order, a `Gap` where some were lost, reconnecting for ever.

        `channel` is a name, several names (one connection for all), or a path or URL of any event stream. It starts
        with what comes next, after `last_event_id`, with all that is kept (`from_earliest`) or with the channel's
        state as an event `snapshot`. `events` keeps these types. It ends where the server says so (204), or after so
        many `attempts` in a row that failed. `watch` is told about the connection.
        """
        url = stream_url(self._base, channel, from_earliest=from_earliest, snapshot=snapshot, events=events)
        exchange = Subscription(url, watch)
        return AsyncEvents(self._drive, self._session(exchange, attempts, watch, last_event_id or ""))

    def chat(
        self,
        message: str | Sequence[Mapping[str, Any]],
        *,
        idempotency_key: str | None = None,
        attempts: int | None = 6,
        watch: Callable[[Notice], None] | None = None,
        **options: Unpack[ChatOptions],
    ) -> AsyncAnswer:
        """Ask a model. Iterating the answer sends the question and gives pieces of text.

        `message` is a text, or a conversation as `{role, content}` in order. Whatever happens to the
        connection, the question is answered, and paid, once: `idempotency_key` (else a new one) is sent
        with each attempt.
        """
        body = question_body(message, options)
        question = Question(self._base, watch, body=body, key=idempotency_key or uuid4().hex)
        return AsyncAnswer(self._drive, self._session(question, attempts, watch), question, self._cancel)

    def attach(
        self,
        run: str,
        *,
        last_event_id: str | None = None,
        snapshot: bool = False,
        attempts: int | None = 6,
        watch: Callable[[Notice], None] | None = None,
    ) -> AsyncAnswer:
        """Follow an answer that was asked for elsewhere: from its start, after `last_event_id`, or with what was
        said so far as one `Snapshot`.
        """
        cursor = last_event_id or ""
        question = Question(self._base, watch, run=run, midway=bool(cursor), snapshot=snapshot)
        return AsyncAnswer(self._drive, self._session(question, attempts, watch, cursor), question, self._cancel)

    async def publish(
        self,
        channel: str,
        data: Any,
        *,
        event: str | None = None,
        state: Literal["replace", "merge"] | None = None,
        idempotency_key: str | None = None,
        attempts: int | None = 6,
        watch: Callable[[Notice], None] | None = None,
    ) -> str:
        """Publish to a channel; return the event's id. A string is sent as its text, anything else as JSON.

        `state` has `data` replace the channel's state, or merges it in. An attempt that failed is repeated under the
        same key, so that the event is published once.
        """
        options = {"event": event, "state": state}
        publication = Publication(channel_url(self._base, channel), data, options, idempotency_key or uuid4().hex)
        async for _ in self._drive(self._session(publication, attempts, watch)):
            pass
        return publication.id

    async def publish_all(
        self,
        events: Sequence[Mapping[str, Any]],
        *,
        idempotency_key: str | None = None,
        attempts: int | None = 6,
        watch: Callable[[Notice], None] | None = None,
    ) -> Sequence[str]:
        """Publish up to 1000 events in one call; return their ids in order.

        Each is `{"channel", "data"}`, and `event` and `state` where it has them. Those of one channel are all there, or
        none of them. An attempt that failed is repeated under the same key, so that nothing is published twice.
        """
        publications = Publications(self._base, events, idempotency_key or uuid4().hex)
        async for _ in self._drive(self._session(publications, attempts, watch)):
            pass
        return publications.ids

    async def close(self) -> None:
        """Close all connections."""
        if self._owned:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    def _session(
        self, exchange: Exchange[E], attempts: int | None, watch: Callable[[Notice], None] | None, cursor: str = ""
    ) -> Session[E]:
        return Session(
            exchange, cursor=cursor, attempts=attempts, patience=self._patience, random=self._random, watch=watch
        )

    async def _cancel(self, run: str) -> None:
        async for _ in self._drive(self._session(Cancellation(self._base, run), 3, None)):
            pass

    async def _attempt_headers(self) -> dict[str, str]:
        if not callable(self._headers):
            return plain_headers(self._headers)
        told = self._headers()
        if isinstance(told, Mapping):
            return plain_headers(told)
        async with asyncio.timeout(self._patience.answer):
            return plain_headers(await told)

    async def _drive(
        self, session: Session[E], opened: Callable[[], Awaitable[None]] | None = None
    ) -> AsyncGenerator[E]:
        """Move bytes until the session is closed; yield its events, raise its error. `opened`: at each new stream."""
        while session.state is not State.CLOSED:
            if session.delay:
                await self._sleep(session.delay)
            try:
                request = session.next_request(None if session.redirected else await self._attempt_headers())
                limits = timeouts(self._patience, session.read_timeout)
                async with aclosing(
                    await self._http.send(prepare(self._http, request, limits), stream=True)
                ) as response:
                    state = session.answered(response.status_code, response.headers)
                    limits["read"] = session.read_timeout
                    if state is State.BODY:
                        session.complete(await _body(response))
                    elif state is State.OPEN:
                        if opened:
                            await opened()
                        async with aclosing(_stream(session, response)) as events:
                            async for event in events:
                                yield event
            except (*TRANSIENT, OSError) as error:
                session.lost(describe(error))
            except HOPELESS as error:
                session.fail(Unreachable(describe(error)))
        if session.error:
            raise session.error


class AsyncEvents:
    """The events of a subscription: an asynchronous iterator, and a context manager that ends it.

    `last_event_id` is the id of the last event that was handed out: keep it to come back later.
    """

    def __init__(self, drive: Callable[[Session[Message]], AsyncGenerator[Message]], session: Session[Message]) -> None:
        self.last_event_id = session.cursor
        self._events = drive(session)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        event = await anext(self._events)
        self.last_event_id = event.id
        return event

    async def close(self) -> None:
        """End the subscription and its connection."""
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()


class AsyncAnswer:
    """The answer to one question: an asynchronous iterator of text, and a context manager that lets go of it.

    Letting go is not cancelling: the run goes on for its grace. Iterating raises `RunError` where the
    run failed, after the text that came before.
    """

    def __init__(
        self,
        drive: Callable[[Session[ChatEvent], Callable[[], Awaitable[None]]], AsyncGenerator[ChatEvent]],
        session: Session[ChatEvent],
        question: Question,
        cancel: Callable[[str], Awaitable[None]],
    ) -> None:
        self._question = question
        self._session = session
        self._cancel = cancel
        self._stop_due = False
        self._events = drive(session, self._opened)

    @property
    def run(self) -> str:
        """The run's id, empty until the server has named it."""
        return self._question.run

    @property
    def last_event_id(self) -> str:
        """The id of the last event that was received: where `attach` goes on, once all of it is handed out."""
        return self._session.cursor

    @property
    def text(self) -> str:
        """The text that was handed out so far."""
        return self._question.text

    @property
    def finish(self) -> Finish | None:
        """How the model ended, and what it used; None before it has."""
        return self._question.finish

    async def events(self) -> AsyncIterator[ChatEvent]:
        """Yield all that the answer brings, reasoning and tool calls too."""
        async for event in self._events:
            self._question.delivered(event)
            yield event

    def __aiter__(self) -> AsyncIterator[str]:
        return (event.text async for event in self.events() if isinstance(event, Text | Snapshot))

    async def stop(self) -> None:
        """Cancel the run; iterating then ends after what was said. Before the run is known, as soon as it is."""
        self._question.stopping = True
        self._stop_due = not self.run
        if self.run:
            await self._cancel(self.run)

    async def close(self) -> None:
        """Let go of the answer and its connection."""
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def _opened(self) -> None:
        if self._stop_due and self.run:
            self._stop_due = False
            await self._cancel(self.run)


async def _stream(session: Session[E], response: httpx2.Response) -> AsyncGenerator[E]:
    async for chunk in response.aiter_bytes():
        for event in session.receive(chunk):
            yield event
        if session.state is not State.OPEN:
            return
    session.lost("the server closed the connection")


async def _body(response: httpx2.Response) -> bytes:
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > BODY_LIMIT:
            break
    return body
