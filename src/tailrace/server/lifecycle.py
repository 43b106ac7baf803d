"""From settings to a process that serves, and its end: signals, drain, exit.

SIGTERM (or Ctrl-C): readiness fails at once; after `drain_delay` the listening socket closes, its queue
served; readers are sent away or kept to their end; then the process exits 0. A second signal ends it now.

A worker, one of several processes on the port, has a `Seat`: it is given its listening socket, tells its
supervisor instead of the operator that it serves, and leaves too when it is replaced or the supervisor is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_network
from types import FrameType
from typing import Any, cast

import click
import uvicorn
from uvicorn._compat import asyncio_run
from uvicorn.config import LOGGING_CONFIG
from uvicorn.importer import ImportFromStringError, import_from_string

from tailrace.errors import SettingsError, TailraceError
from tailrace.facade import Tailrace
from tailrace.server.door import Door
from tailrace.server.lifespan import Lifespan
from tailrace.server.line import LEAVE, NOW, READY, RETIRE, Line
from tailrace.server.logs import say
from tailrace.server.peers import WorkerPeers
from tailrace.server.protocol import LaneProtocol, lane_protocol
from tailrace.server.seat import Seat
from tailrace.server.settings import Settings
from tailrace.server.sockets import BACKLOG, accept_all, adopt, allow_connections, listen, shown
from tailrace.server.websocket import SocketProtocol, socket_options

__all__ = ["LeavingServer", "config_of", "run", "serve"]

log = logging.getLogger("tailrace")

_AFTERMATH = 2  # seconds for ordinary requests that are still being answered when all streams are over
_HEADERS = [("x-content-type-options", "nosniff")]
"""What the ready server says with every answer, so that no caller's words in JSON are ever taken for a page."""


def serve(settings: Settings, seat: Seat | None = None) -> int:
    """Run the ready server, alone or as the worker of `seat`, until it is told to leave; the exit code."""
    from tailrace.server.assembly import assemble  # noqa: PLC0415  # brings chat and web, which `run` does without

    if seat is None:
        tailrace, app = assemble(settings)
        return _run(LeavingServer(_config(app, settings, tailrace), settings, tailrace))
    peers = WorkerPeers(seat)
    tailrace, app = assemble(settings, peers)
    return _run(Worker(_config(app, settings, tailrace), settings, tailrace, seat, peers))


def _config(app: Any, settings: Settings, tailrace: Tailrace) -> uvicorn.Config:
    server = settings.server
    sockets = socket_options(server.heartbeat, server.write_timeout, server.max_body)
    return config_of(app, settings, door=_door(settings, tailrace), more={**sockets, "headers": _HEADERS})


def _door(settings: Settings, tailrace: Tailrace) -> Door | None:
    limits = settings.limits
    if not (limits.max_connections or limits.connections_per_address):
        return None
    return Door(
        limits.max_connections, limits.connections_per_address, settings.server.trusted_proxies, tailrace.counters
    )


def run(app: str, settings: Settings) -> int:
    """Run somebody's own application, `module:name`, with the direct lane and drain; the exit code.

    An application that uses `Tailrace.lifespan` drains its streams by itself when the signal comes.
    """
    config = config_of(app, settings, LOGGING_CONFIG)
    try:
        import_from_string(app)  # uvicorn will do it again, but reports what goes wrong in its own way
    except ImportFromStringError as error:
        click.echo(f"tailrace: {error}", err=True)
        return 2
    return _run(LeavingServer(config, settings, None))


def config_of(
    app: Any,
    settings: Settings,
    log_config: dict[str, Any] | None = None,
    door: Door | None = None,
    more: Mapping[str, Any] | None = None,
) -> uvicorn.Config:
    """uvicorn's configuration, as settings say.

    `log_config` is how it is to log, None where others see to that. `door` counts connections, where anybody does.
    `more` are options of uvicorn beside these: those for WebSockets, and headers that go with every answer.
    """
    server = settings.server
    return uvicorn.Config(
        app,
        http=lane_protocol(server.write_timeout, door),
        log_config=log_config,
        log_level="info",
        backlog=BACKLOG,
        access_log=False,
        server_header=False,
        proxy_headers=bool(server.trusted_proxies),
        forwarded_allow_ips=_proxies(server.trusted_proxies),
        timeout_graceful_shutdown=_AFTERMATH,
        **(more or {}),
    )


def _proxies(trusted: Sequence[str]) -> list[str] | str:
    """The proxies that are believed, as uvicorn reads them: it knows a network by its first address alone."""
    if "*" in trusted:
        return "*"
    return [str(ip_network(each, strict=False)) if "/" in each else each for each in trusted]


def _run(server: LeavingServer) -> int:
    try:
        listener = server.listen()
    except SettingsError as error:
        click.echo(f"tailrace: {error}", err=True)
        return 2
    allow_connections()
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    try:
        asyncio_run(server.serve(sockets=[listener]), loop_factory=server.config.get_loop_factory())
    except TailraceError as error:
        click.echo(f"tailrace: {error}", err=True)
        return 1
    return 0


class LeavingServer(uvicorn.Server):
    """uvicorn's server, but one that drains before it shuts down, and exits 0."""

    def __init__(self, config: uvicorn.Config, settings: Settings, tailrace: Tailrace | None) -> None:
        super().__init__(config)
        self._settings = settings.server
        self._tailrace = tailrace
        self._listener: socket.socket | None = None
        self.name = "Tailrace"
        """What operators call this process."""
        self._told = False
        self._leaving: asyncio.Task[None] | None = None

    def listen(self) -> socket.socket:
        """Open the listening socket."""
        self._listener = listen(self._settings.host, self._settings.port, self._settings.write_timeout)
        return self._listener

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so: from then on requests are served and signals are heard.

        Raises `TailraceError` where that is impossible, as `StoreError` where the store cannot be opened: out of a
        lifespan it would come as a traceback.
        """
        if self._tailrace is not None:
            await self._tailrace.start()
        with Lifespan(self.config) as lifespan:
            try:
                await super().startup(sockets)
            except SystemExit:  # it has said that the application did not start, and would exit with a code of its own
                raise lifespan.failure or TailraceError("the application did not start") from None
        # What is loaded by now stays: to look through it again in each full collection took 3 % of a relay's CPU.
        gc.collect()
        gc.freeze()
        # Streams leave hardly a cycle behind, so what is left to find is not worth a look at every 700 objects (3 %).
        gc.set_threshold(10_000, 20, 20)
        self.announce()

    def announce(self) -> None:
        """Say that requests are served."""
        if self._listener is not None:
            say(f"Tailrace is listening on http://{shown(self._listener)} (process {os.getpid()})")

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Hear the signals; unlike uvicorn, do not raise them again at the end: leaving is what was asked for."""
        numbers = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """First signal: leave in order. Second: now."""
        # A signal comes between any two steps of the interpreter, in the middle of a delivery too.
        loop = asyncio.get_running_loop()
        if not self._told:
            self._told = True
            loop.call_soon_threadsafe(self._begin_leaving)
        else:
            loop.call_soon_threadsafe(self._leave_now)

    def _begin_leaving(self, *, succeeded: bool = False) -> None:
        """Leave in order; `succeeded` says that another process goes on accepting from the same queue."""
        if self._leaving is None:
            self._leaving = asyncio.get_running_loop().create_task(self._leave_in_order(succeeded=succeeded))

    def _leave_now(self) -> None:
        """Cut everybody. uvicorn's own way would skip the end of the lifespan too, which writes what is said."""
        if self._leaving is not None:
            self._leaving.cancel()
        if self._tailrace is not None:
            self._tailrace.runs.interrupt_all()
        for connection in tuple(self.server_state.connections):
            connection.transport.abort()
        self.config.timeout_graceful_shutdown = 1
        self.should_exit = True

    async def _leave_in_order(self, *, succeeded: bool) -> None:
        try:
            await self._leave(succeeded=succeeded)
        except Exception:
            log.exception("leaving in order failed")
        finally:
            self.should_exit = True  # whatever happened: a process that was told to go must not stay

    async def _leave(self, *, succeeded: bool) -> None:
        settings, tailrace = self._settings, self._tailrace
        if tailrace is not None:
            tailrace.draining = True
        if tailrace is not None and tailrace.runs.live:
            self._tell_leaving(len(tailrace.runs.live), succeeded=succeeded)
        if not succeeded:
            await asyncio.sleep(settings.drain_delay)
        await self._close_listener(serve_queue=not succeeded)
        if tailrace is not None:
            # At the same time: those who leave together, on one store, must learn that of each other at once.
            await asyncio.gather(tailrace.drain(), self._hear_newcomers())
            return
        await self._hear_newcomers()
        if settings.drain_timeout:
            await self._wait_for_streams(settings.drain_timeout)

    def _tell_leaving(self, answers: int, *, succeeded: bool) -> None:
        go_on = "1 answer goes on" if answers == 1 else f"{answers} answers go on"
        # Nobody who replaces a worker is about to signal it.
        hint = "" if succeeded else f"; a second signal ends {'it' if answers == 1 else 'them'} now"
        say(f"{self.name} is leaving: {go_on} for at most {self._settings.drain_timeout:g} s{hint}")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop. Requests that are not here by then are refused: uvicorn would cancel them with a traceback each."""
        refusing = asyncio.get_running_loop().call_later(_AFTERMATH / 2, self._refuse_unfinished)
        try:
            await super().shutdown(sockets)
        finally:
            refusing.cancel()

    def _refuse_unfinished(self) -> None:
        for connection in tuple(self.server_state.connections):
            if isinstance(connection, LaneProtocol):
                connection.stop_waiting()

    async def _wait_for_streams(self, seconds: float) -> None:
        """Give an application that drains by itself its time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.connections and loop.time() < deadline:  # noqa: ASYNC110  # uvicorn's set tells nobody
            await asyncio.sleep(0.05)

    async def _close_listener(self, *, serve_queue: bool) -> None:
        listener = self._listener
        if listener is None or not self.started:
            return
        loop = asyncio.get_running_loop()
        # Whoever was queued by the kernel is served: closing first would reset them.
        waiting = accept_all(listener) if serve_queue else []
        for server in self.servers:
            server.close()
        for connection in waiting:
            await loop.connect_accepted_socket(self._protocol, connection)

    async def _hear_newcomers(self) -> None:
        """Let those who came last ask, since closed with their request on the way they would be reset; then nobody new.

        A proxy keeps connections for its next requests, and would start new answers here until the very end. One more
        is answered on each, which says that it closes: where nobody asks, the connection closes after uvicorn's 5 s.
        """
        connections = self.server_state.connections
        while True:
            await asyncio.sleep(0.01)  # at least once: who was just accepted is not among the connections yet
            if not any(isinstance(each, LaneProtocol) and each.is_new for each in connections):
                break
        for connection in tuple(connections):
            if isinstance(connection, LaneProtocol | SocketProtocol):
                connection.keep_no_longer()
            else:
                connection.shutdown()

    def _protocol(self) -> asyncio.Protocol:
        make = cast("type[LaneProtocol]", self.config.http_protocol_class)
        return make(self.config, self.server_state, self.lifespan.state)


class Worker(LeavingServer):
    """One of several processes that share a port, under a supervisor."""

    def __init__(
        self, config: uvicorn.Config, settings: Settings, tailrace: Tailrace, seat: Seat, peers: WorkerPeers
    ) -> None:
        super().__init__(config, settings, tailrace)
        self.name = seat.process
        self._seat = seat
        self._peers = peers
        self._line: Line | None = None
        self._orphan = False

    def listen(self) -> socket.socket:
        """Take over the listening socket of the seat."""
        self._listener = adopt(self._seat.listener, self._settings.write_timeout)
        return self._listener

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, with a line to the supervisor and to the other workers."""
        self._line = await Line.open(self._seat.take_line(), self._hear, self._be_orphaned)
        await self._peers.open()
        await super().startup(sockets)

    def announce(self) -> None:
        """Tell the supervisor, who tells the operator when all serve."""
        if self._line is not None:
            self._line.say(READY, self._settings.drain_delay + self._settings.drain_timeout)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop, and be asked no more."""
        await super().shutdown(sockets)
        await self._peers.close()
        if self._orphan:
            self._peers.abandon()  # it was the supervisor's to remove

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Hear the signals. The one for a reload is the supervisor's, whoever else of us it was sent to."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with super().capture_signals():
            yield

    def _hear(self, words: Sequence[str]) -> None:
        if words == [RETIRE]:
            self._begin_leaving(succeeded=True)
        elif words == [LEAVE]:
            self._begin_leaving()
        elif words == [NOW]:
            self._leave_now()

    def _be_orphaned(self) -> None:
        self._orphan = True
        self._begin_leaving()
