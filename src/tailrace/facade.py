"""What library users and our own server share: runs, channels and their answers, behind one object.

    tail = Tailrace()                                  # or Tailrace("sqlite:///events.db")
    app = FastAPI(lifespan=tail.lifespan)

    @app.post("/chat")
    async def chat(body: Ask, request: Request):
        return tail.stream(request, answer(body), owner=request.user.id)

Where Starlette is installed the answers are its `Response` objects (FastAPI takes nothing else), else
plain ASGI applications.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from math import ceil
from typing import Any
from urllib.parse import parse_qs

from tailrace.asgi import HEADERS, NO_CONTENT, EventStream, Message, Receive, Scope, Send, problem
from tailrace.channels import Channels
from tailrace.clock import SYSTEM, Clock
from tailrace.errors import InvalidName, MissingExtra, RunNotFound, StoreUnavailable
from tailrace.hub import Departure, Dismissal, Hub, HubOptions, Reading, control
from tailrace.log import Coordination, Entry, MemoryCoordination, MemoryStore, Retention, Store
from tailrace.log.address import StoreAddress
from tailrace.log.fleet import Fleet
from tailrace.log.redis_address import RedisAddress
from tailrace.observe import Counters
from tailrace.runs import Producer, Runs, Summary, discard, interruption
from tailrace.runs import RunOptions as _RunOptions
from tailrace.signals import heard

try:
    from starlette.responses import Response as _Response
except ImportError:
    _Response = object  # type: ignore[assignment,misc]  # an answer is then a plain ASGI application

__all__ = ["Options", "StreamResponse", "Tailrace", "cursor_of"]

log = logging.getLogger("tailrace")

_LAST_WORDS = 1.0  # seconds for what ends at the deadline to reach its viewers

Answered = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a `Tailrace` behaves. All times are in seconds, all sizes in bytes.

    `heartbeat`: silence before a comment is sent. `write_timeout`: how long a socket may take nothing.
    `grace`: how long a run goes on unwatched (None: to its end). `keep_ended`: how long an ended run can be
    read. `max_run_bytes`: how much a run may say, `max_ahead`: how much of that may be ahead of its quickest
    viewer before its producer has to wait. `drain_timeout`: how long leaving may take. `history`: what
    channels keep. `prefix`: what the names of all that is kept in a shared store begin with.
    """

    heartbeat: float = 15.0
    write_timeout: float = 30.0
    grace: float | None = 10.0
    keep_ended: float = 900.0
    max_run_bytes: int = 8_388_608
    max_ahead: int = 4_194_304
    drain_timeout: float = 25.0
    history: Retention = field(default_factory=Retention)
    prefix: str = "tailrace"

    def __post_init__(self) -> None:
        """Refuse times and sizes that are none. Raises `ValueError`."""
        for name in ("grace", "keep_ended", "drain_timeout"):
            seconds = getattr(self, name)
            if seconds is not None and not seconds >= 0:
                raise ValueError(f"{name} must be 0 seconds or more, not {seconds}")
        for name in ("max_run_bytes", "max_ahead"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, not {getattr(self, name)}")


class Tailrace:
    """Resumable streams for one application. Use `lifespan`, or `start` and `close`, around it.

    `store` is `memory://`, a file as `sqlite:///relative.db` or `sqlite:////absolute.db`, or a Redis that several
    processes share, as `redis://host:6379/0`. Raises `SettingsError` for any other, `MissingExtra` where a Redis
    is asked for without what it needs.
    """

    def __init__(self, store: str = "memory://", options: Options | None = None, *, clock: Clock = SYSTEM) -> None:
        self.options = options or Options()
        self._heartbeat = (b"tailrace-heartbeat", b"%g" % self.options.heartbeat)
        self.counters = Counters()
        self.draining = False
        self._started = False
        self._drain_task: asyncio.Task[None] | None = None
        hub_options = HubOptions(self.options.heartbeat, self.options.write_timeout, self.options.history)
        logs, coordination, fleet = _stored(StoreAddress.parse(store), self.options, clock)
        self.hub = Hub(logs, hub_options, clock=clock, meter=self.counters)
        self.runs = Runs(self.hub, coordination, fleet)
        self.channels = Channels(self.hub)

    # What an application calls.

    def stream(
        self,
        request: Any,
        producer: Producer,
        *,
        owner: object = None,
        model: str = "",
        grace: float | None = -1,
    ) -> StreamResponse:
        """Answer `request` with a new run of `producer`, or with the run that its `Last-Event-ID` names.

        `producer` is an async iterator, or a callable that makes one, of text (`str`) or deltas. `owner`
        is who may resume it (None: whoever has its id). The run goes on when the client leaves, for
        `grace` seconds. A factory is only called where a run is started.
        """
        patience = self.options.grace if grace == -1 else grace
        options = self.run_options(owner=None if owner is None else str(owner), model=model, grace=patience)

        async def read(scope: Scope) -> Reading | None:
            cursor = cursor_of(scope)
            if cursor is None:
                run = (await self.runs.start(producer, options)).id
            else:
                await discard(producer)
                run = cursor.rpartition("-")[0]
            return await self.read_or_refuse(run, options.owner, cursor)

        return StreamResponse(self, read)

    def attach(self, request: Any, run: str, *, owner: object = None) -> StreamResponse:
        """Answer `request` with a run that was started before, from its start or its `Last-Event-ID`."""
        belongs_to = None if owner is None else str(owner)
        return StreamResponse(self, lambda scope: self.runs.read(run, belongs_to, cursor_of(scope)))

    def subscribe(self, request: Any, channel: str, *, events: Iterable[str] = ()) -> StreamResponse:
        """Answer `request` with a channel's events, from its `Last-Event-ID` or from now on.

        `events` keeps these event types. What the client says in `from=earliest` is heard too.
        """
        only = tuple(events)

        async def read(scope: Scope) -> Reading:
            earliest = _query(scope).get("from") == ["earliest"]
            return await self.channels.read(channel, cursor_of(scope), earliest=earliest, only=only)

        return StreamResponse(self, read)

    async def publish(
        self, channel: str, data: object, *, event: str | None = None, idempotency_key: str | None = None
    ) -> str:
        """Publish to a channel; the event's id, once the store has it.

        A string is sent as its text, anything else as compact JSON. Raises `InvalidName`, `InvalidEvent`,
        `StoreUnavailable`.
        """
        return str(await self.channels.publish(channel, data, event, idempotency_key))

    async def cancel(self, run: str, *, owner: object = None) -> Summary:
        """Cancel a run and abort what produces it; one that has ended stays as it is. Raises `RunNotFound`."""
        return await self.runs.cancel(run, None if owner is None else str(owner))

    # What our own server uses beside that.

    def run_options(self, **options: Any) -> _RunOptions:
        """Options of a run, with this application's bounds on its size and its keeping."""
        bounds = self.options
        return _RunOptions(
            max_bytes=bounds.max_run_bytes, max_ahead=bounds.max_ahead, keep=bounds.keep_ended, **options
        )

    async def read_or_refuse(
        self, run: str, owner: str | None, cursor: str | None, *, snapshot: bool = False
    ) -> Reading | None:
        """Read a run where a missing one would be started: in band, and never a second paid run."""
        try:
            return await self.runs.read(run, owner, cursor, snapshot=snapshot)
        except RunNotFound:
            refused = await self.runs.refuse(self.run_options(owner=owner))
            return await self.runs.read(refused.id, owner, cursor)

    def respond(self, reading: Reading | None) -> Answered:
        """A reading as an answer; None is a resume that has everything."""
        if reading is None:
            return NO_CONTENT
        headers = [self._heartbeat]
        if not reading.lasting:
            headers.append((b"tailrace-run", reading.tail.epoch.encode()))
        return EventStream(reading, headers)

    def come_back(self) -> Answered:
        """Answer a resume while the store is away: a stream that says so, and ends.

        A native `EventSource` gives up for good on a 503; told this, it comes back with its cursor.
        """
        retry = random.randint(1000, 3000)  # noqa: S311  # spreads reconnects, keeps no secret
        block = control("reconnect", {"reason": "unavailable"}, retry=retry)

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            headers = [*HEADERS, self._heartbeat]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": block})

        return answer

    # Coming and going.

    async def start(self) -> None:
        """Get ready, in the running event loop; once. Raises `StoreError` where the store cannot be opened."""
        if not self._started:
            await self.hub.store.open()
            await self.runs.join()
            self._started = True

    async def drain(self, patience: float | None = None) -> None:
        """Leave without losing anyone, within `patience` seconds (the options' `drain_timeout`).

        Where another process that shares the store stays, all readers are sent there, one after the other over
        half the time, and what is produced here goes on to its end. Else readers of channels are sent away at
        once, and a run's viewers are kept to its end, since no other process has it. What is left at the deadline
        ends as interrupted, and whoever watches it is told. Who comes meanwhile is served like everybody else:
        to refuse a new run would be a failure that somebody sees, while one that is started here is read elsewhere.
        """
        window = self.options.drain_timeout if patience is None else patience
        deadline = self.hub.clock.monotonic() + window
        self.draining = True
        self.runs.suspend_grace()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.runs.leave(), window)
        departure = Departure(self.hub, _goodbye, window / 2)
        if not self.runs.has_others:
            self.hub.dismiss_lasting(_goodbye)

        def nothing_left() -> bool:
            departure.step(elsewhere=self.runs.has_others)
            return not self.runs.live and not self.hub.subscriptions

        await self._wait_until(deadline, nothing_left)
        self.runs.interrupt_all()
        await self._wait_until(self.hub.clock.monotonic() + _LAST_WORDS, lambda: not self.hub.subscriptions)
        self.hub.abort_all()

    async def _wait_until(self, deadline: float, done: Callable[[], bool]) -> None:
        # Two registries, looked at once in a process's life: no event is worth its upkeep for that.
        while not done() and self.hub.clock.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        """End what is left as interrupted, and let go of everything."""
        await self.runs.close(_LAST_WORDS)
        self.hub.abort_all()
        self.hub.wheel.close()
        self._started = False
        await self.hub.store.close()

    @contextlib.asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """Run beside an application: `FastAPI(lifespan=tail.lifespan)`.

        It hears SIGTERM and SIGINT itself, before the server's own handler: a server runs the shutdown
        part of a lifespan only once all connections are closed, which open streams never are.
        """
        await self.start()
        with heard(lambda: self._on_signal(insist)) as insist:
            try:
                yield
            finally:
                if self._drain_task is not None:
                    self._drain_task.cancel()
                await self.close()

    def _on_signal(self, insist: Callable[[], None]) -> None:
        if self._drain_task is None:
            self._drain_task = asyncio.get_running_loop().create_task(self._leave(insist))

    async def _leave(self, insist: Callable[[], None]) -> None:
        await self.drain()
        # From here on the server ends the lifespan, and with it this task, unless somebody takes nothing.
        await asyncio.sleep(_LAST_WORDS)
        log.warning("a client that takes nothing keeps the server from leaving; the server is told again")
        await self.close()
        insist()


def _stored(address: StoreAddress, options: Options, clock: Clock) -> tuple[Store, Coordination, Fleet | None]:
    if address.kind == "memory":
        return MemoryStore(options.history, clock), MemoryCoordination(clock), None
    if address.redis is not None:
        return _in_redis(address.redis, options, clock)
    # Only where it is asked for: a Python may be built without sqlite3, and it takes time to load.
    from tailrace.log.sqlite import Ending, SqliteStore  # noqa: PLC0415

    ending = Ending([Entry(event, data) for event, data in interruption()], options.keep_ended)
    store = SqliteStore(address.path, options.history, clock, ending)
    return store, store.coordination, None


def _in_redis(address: RedisAddress, options: Options, clock: Clock) -> tuple[Store, Coordination, Fleet]:
    try:
        from tailrace.log.redis import RedisStore  # noqa: PLC0415  # only where it is asked for and installed
    except ModuleNotFoundError as missing:
        raise MissingExtra("the Redis store", "redis") from missing
    store = RedisStore(address, options.prefix, options.history, clock)
    return store, store.coordination, store.fleet


class StreamResponse(_Response):
    """An answer that is looked up when it is sent: a stream, a 204, or a problem.

    Headers and cookies that an application sets on it are sent along. Its `background` task runs when the
    answer is on its way: on the direct lane that is when the connection was handed over.
    """

    def __init__(self, tailrace: Tailrace, read: Callable[[Scope], Awaitable[Reading | None]]) -> None:
        if _Response is not object:
            super().__init__(media_type="text/event-stream")
            del self.headers["content-length"]
        self._tailrace = tailrace
        self._read = read

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. HEAD gets no stream, and starts nothing."""
        answer = await self._look_up(scope)
        await answer(scope, receive, _adding(getattr(self, "raw_headers", ()), send))
        background = getattr(self, "background", None)
        if background is not None:
            await background()

    async def _look_up(self, scope: Scope) -> Answered:
        if scope["method"] == "HEAD":
            return problem(405, "method_not_allowed", "This is a stream; HEAD has none.")
        try:
            return self._tailrace.respond(await self._read(scope))
        except StoreUnavailable as error:
            return unavailable(error) if cursor_of(scope) is None else self._tailrace.come_back()
        except RunNotFound:
            return problem(404, "not_found", "There is no such run.")
        except InvalidName as error:
            return problem(422, "invalid_name", str(error))


def unavailable(error: StoreUnavailable) -> Answered:
    """Say that the store cannot be asked now, and when to come again."""
    return problem(503, "store_unavailable", str(error), headers={"retry-after": str(ceil(error.retry_after))})


def _adding(headers: Iterable[tuple[bytes, bytes]], send: Send) -> Send:
    """Add an application's own headers to whatever is answered; what a stream is, they do not say."""
    own = [(name, value) for name, value in headers if name not in {b"content-type", b"content-length"}]
    if not own:
        return send

    async def added(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *own]
        await send(message)

    return added


def cursor_of(scope: Scope) -> str | None:
    """The cursor that a request brings: the `Last-Event-ID` header, else `last_event_id` in the query.

    An empty one is none: it is what a client has before its first id.
    """
    for name, value in scope["headers"]:
        if name == b"last-event-id" and value:
            return bytes(value).decode(errors="replace")  # UTF-8 by the HTML standard, not latin-1
    values = _query(scope).get("last_event_id")
    return values[0] or None if values else None


def _query(scope: Scope) -> dict[str, list[str]]:
    return parse_qs(scope["query_string"].decode(errors="replace"), keep_blank_values=True)


def _goodbye() -> Dismissal:
    # Spread, so that a successor is not met by everybody in the same moment.
    retry = random.randint(500, 3000)  # noqa: S311  # spreads reconnects, keeps no secret
    return "reconnect", {"reason": "draining"}, retry
