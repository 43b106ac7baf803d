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
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tailrace.asgi import NO_CONTENT, EventStream, Scope, come_back, not_now, problem, reason_of
from tailrace.asgi.cursor import cursor_of, query_of
from tailrace.asgi.response import Answered, StreamResponse
from tailrace.channels import Channels, Presence, StateChange
from tailrace.clock import SYSTEM, Clock
from tailrace.errors import InvalidName, MissingExtra, Overloaded, RunNotFound, StoreUnavailable
from tailrace.hub import Departure, Dismissal, Hub, HubOptions, Reading
from tailrace.log import Coordination, Entry, MemoryCoordination, MemoryStore, Retention, Store
from tailrace.log.address import StoreAddress
from tailrace.log.fleet import Fleet
from tailrace.log.measured import measure
from tailrace.log.redis_address import RedisAddress
from tailrace.observe import Counters
from tailrace.runs import Producer, Runs, Summary, discard, interruption
from tailrace.runs import RunOptions as _RunOptions
from tailrace.signals import heard

__all__ = ["Answered", "Options", "StreamResponse", "Tailrace", "cursor_of"]

log = logging.getLogger("tailrace")

_LAST_WORDS = 1.0  # seconds for what ends at the deadline to reach its viewers

Asked = TypeVar("Asked")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a `Tailrace` behaves. All times are in seconds, all sizes in bytes.

    `heartbeat`: silence before a comment is sent. `write_timeout`: how long a socket may take nothing.
    `grace`: how long a run goes on unwatched (None: to its end). `keep_ended`: how long an ended run can be
    read. `max_run_bytes`: how much a run may say, `max_ahead`: how much of that may be ahead of its quickest
    viewer before its producer has to wait. `drain_timeout`: how long leaving may take. `history`: what
    channels keep. `prefix`: what the names of all that is kept in a shared store begin with. `max_streams` and
    `max_runs`: how many of either this process takes on (0: any number).
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
    max_streams: int = 0
    max_runs: int = 0

    def __post_init__(self) -> None:
        """Refuse times and sizes that are none. Raises `ValueError`."""
        for name in ("grace", "keep_ended", "drain_timeout"):
            seconds = getattr(self, name)
            if seconds is not None and not seconds >= 0:
                raise ValueError(f"{name} must be 0 seconds or more, not {seconds}")
        for name in ("max_run_bytes", "max_ahead"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, not {getattr(self, name)}")
        for name in ("max_streams", "max_runs"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, not {getattr(self, name)}")


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
        self.entering = 0
        """Streams that are asked for and not begun yet."""
        self.on_leaving: list[Callable[[], None]] = []
        """Called when this process begins to leave: for connections that are more than one stream, or none yet."""
        self._started = False
        self._drain_task: asyncio.Task[None] | None = None
        hub_options = HubOptions(self.options.heartbeat, self.options.write_timeout, self.options.history)
        logs, coordination, fleet = _stored(StoreAddress.parse(store), self.options, clock)
        if logs.kind != "memory":  # which answers in the very call
            measure(logs, self.counters)
        self.hub = Hub(logs, hub_options, clock=clock, meter=self.counters)
        self.coordination = coordination
        self.runs = Runs(self.hub, coordination, fleet, self.options.max_runs)
        self.audience = self.runs.audience
        self.channels = Channels(self.hub)
        self.presence = Presence(self.hub, fleet, self.runs.instance.gone if self.runs.instance is not None else None)

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

        return self._answer(read)

    def attach(self, request: Any, run: str, *, owner: object = None) -> StreamResponse:
        """Answer `request` with a run that was started before, from its start or its `Last-Event-ID`."""
        belongs_to = None if owner is None else str(owner)
        return self._answer(lambda scope: self.runs.read(run, belongs_to, cursor_of(scope)))

    def subscribe(self, request: Any, channel: str | Sequence[str], *, events: Iterable[str] = ()) -> StreamResponse:
        """Answer `request` with a channel's events, or those of several, from its `Last-Event-ID` or from now on.

        `events` keeps these event types. What the client says in `from=earliest` and `snapshot=1` is heard too.
        """
        only = tuple(events)

        async def read(scope: Scope) -> Reading:
            query, cursor = query_of(scope), cursor_of(scope)
            earliest, snapshot = query.get("from") == ["earliest"], query.get("snapshot") == ["1"]
            if isinstance(channel, str):
                return await self.channels.read(channel, cursor, earliest=earliest, snapshot=snapshot, only=only)
            return await self.channels.read_several(channel, cursor, earliest=earliest, snapshot=snapshot, only=only)

        return self._answer(read)

    async def publish(
        self,
        channel: str,
        data: object,
        *,
        event: str | None = None,
        idempotency_key: str | None = None,
        state: StateChange | None = None,
    ) -> str:
        """Publish to a channel; the event's id, once the store has it.

        A string is sent as its text, anything else as compact JSON. `state` changes the channel's state along with
        it: `data` is the new one (`replace`), or a JSON merge patch for it (`merge`). Raises `InvalidName`,
        `InvalidEvent`, `StoreUnavailable`.
        """
        return str(await self.channels.publish(channel, data, event, idempotency_key, state))

    async def cancel(self, run: str, *, owner: object = None) -> Summary:
        """Cancel a run and abort what produces it; one that has ended stays as it is. Raises `RunNotFound`."""
        return await self.runs.cancel(run, None if owner is None else str(owner))

    def _answer(self, read: Callable[[Scope], Awaitable[Reading | None]]) -> StreamResponse:
        return StreamResponse(lambda scope: self._look_up(scope, read))

    async def _look_up(self, scope: Scope, read: Callable[[Scope], Awaitable[Reading | None]]) -> Answered:
        try:
            return self.respond(await self.enter(scope, read))
        except (StoreUnavailable, Overloaded) as error:
            return not_now(error) if cursor_of(scope) is None else self.come_back(*reason_of(error))
        except RunNotFound:
            return problem(404, "not_found", "There is no such run.")
        except InvalidName as error:
            return problem(422, "invalid_name", str(error))

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

    @property
    def is_full(self) -> bool:
        """Whether this process has all the streams that it takes on."""
        most = self.options.max_streams
        return most > 0 and len(self.hub.subscriptions) + self.entering >= most

    async def enter(self, request: Asked, answer: Callable[[Asked], Awaitable[Result]]) -> Result:
        """What `answer` makes of a request for a stream, which counts from now on. Raises `Overloaded`."""
        if self.is_full:
            self.counters.add("limits.hit", 1, ("max_streams",))
            raise Overloaded("streams")
        self.entering += 1
        try:
            return await answer(request)
        finally:
            self.entering -= 1

    def respond(self, reading: Reading | None, until: float | None = None) -> Answered:
        """A reading as an answer; None is a resume that has everything.

        `until` is when the reader's right to it ends, in Unix seconds: it is told then, and sent away.
        """
        if reading is None:
            return NO_CONTENT
        headers = [self._heartbeat]
        if not reading.lasting:
            headers.append((b"tailrace-run", reading.tail.epoch.encode()))
        return EventStream(reading, headers, until)

    def come_back(self, reason: str = "unavailable", seconds: float = 1.0) -> Answered:
        """Answer a resume that cannot be served now, as while the store is away: it is to come back in `seconds`."""
        return come_back(reason, seconds, [self._heartbeat])

    # Coming and going.

    async def start(self) -> None:
        """Get ready, in the running event loop; once. Raises `StoreError` where the store cannot be opened."""
        if not self._started:
            await self.hub.store.open()
            await self.runs.join()
            self.presence.start()
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
        for call in self.on_leaving:
            call()
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
        await self.presence.close(_LAST_WORDS)
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


def _goodbye() -> Dismissal:
    # Spread, so that a successor is not met by everybody in the same moment.
    retry = random.randint(500, 3000)  # noqa: S311  # spreads reconnects, keeps no secret
    return "reconnect", {"reason": "draining"}, retry
