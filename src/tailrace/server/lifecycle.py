"""From settings to a process that serves, and its end: signals, drain, exit.

SIGTERM (or Ctrl-C): readiness fails at once; after `drain_delay` the listening socket closes, its queue
served; readers are sent away or kept to their end; then the process exits 0. A second signal ends it now.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Iterator
from types import FrameType
from typing import Any

import click
import uvicorn
from uvicorn._compat import asyncio_run

from tailrace.errors import SettingsError
from tailrace.facade import Tailrace
from tailrace.server.protocol import LaneProtocol
from tailrace.server.settings import Settings
from tailrace.server.sockets import accept_all, allow_connections, listen

__all__ = ["run", "serve"]

log = logging.getLogger("tailrace")

_AFTERMATH = 2  # seconds for ordinary requests that are still being answered when all streams are over


def serve(settings: Settings) -> int:
    """Run the ready server until it is told to leave; the exit code."""
    from tailrace.server.assembly import assemble  # noqa: PLC0415  # brings chat and web, which `run` does without

    tailrace, app = assemble(settings)
    return _run(LeavingServer(_config(app, settings), settings, tailrace))


def run(app: str, settings: Settings) -> int:
    """Run somebody's own application, `module:name`, with the direct lane and drain; the exit code.

    An application that uses `Tailrace.lifespan` drains its streams by itself when the signal comes.
    """
    config = _config(app, settings)
    config.load()
    return _run(LeavingServer(config, settings, None))


def _config(app: Any, settings: Settings) -> uvicorn.Config:
    server = settings.server
    return uvicorn.Config(
        app,
        http=LaneProtocol,
        log_level="info",
        access_log=False,
        server_header=False,
        proxy_headers=bool(server.trusted_proxies),
        forwarded_allow_ips=list(server.trusted_proxies),
        timeout_graceful_shutdown=_AFTERMATH,
    )


def _run(server: LeavingServer) -> int:
    try:
        listener = server.listen()
    except SettingsError as error:
        click.echo(f"tailrace: {error}", err=True)
        return 2
    allow_connections()
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    asyncio_run(server.serve(sockets=[listener]), loop_factory=server.config.get_loop_factory())
    return 0


class LeavingServer(uvicorn.Server):
    """uvicorn's server, but one that drains before it shuts down, and exits 0."""

    def __init__(self, config: uvicorn.Config, settings: Settings, tailrace: Tailrace | None) -> None:
        super().__init__(config)
        self._settings = settings.server
        self._tailrace = tailrace
        self._listener: socket.socket | None = None
        self._told = False
        self._leaving: asyncio.Task[None] | None = None

    def listen(self) -> socket.socket:
        """Open the listening socket."""
        self._listener = listen(self._settings.host, self._settings.port, self._settings.write_timeout)
        return self._listener

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so: from then on requests are served and signals are heard."""
        await super().startup(sockets)
        if self._listener is not None:
            host, port = self._listener.getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            click.echo(f"Tailrace is listening on http://{shown}:{port}", err=True)

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
            self.force_exit = self.should_exit = True
            loop.call_soon_threadsafe(self._cut)

    def _begin_leaving(self) -> None:
        self._leaving = asyncio.get_running_loop().create_task(self._leave_in_order())

    def _cut(self) -> None:
        if self._tailrace is not None:
            self._tailrace.hub.abort_all()

    async def _leave_in_order(self) -> None:
        try:
            await self._leave()
        except Exception:
            log.exception("leaving in order failed")
        finally:
            self.should_exit = True  # whatever happened: a process that was told to go must not stay

    async def _leave(self) -> None:
        settings, tailrace = self._settings, self._tailrace
        if tailrace is not None:
            tailrace.draining = True
        log.info("leaving: %s", "draining" if tailrace is not None else "shutting down")
        await asyncio.sleep(settings.drain_delay)
        await self._close_listener()
        if tailrace is not None:
            await tailrace.drain()
        elif settings.drain_timeout:
            await self._wait_for_streams(settings.drain_timeout)

    async def _wait_for_streams(self, seconds: float) -> None:
        """Give an application that drains by itself its time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.connections and loop.time() < deadline:  # noqa: ASYNC110  # uvicorn's set tells nobody
            await asyncio.sleep(0.05)

    async def _close_listener(self) -> None:
        listener = self._listener
        if listener is None or not self.started:
            return
        loop = asyncio.get_running_loop()
        # Whoever was queued by the kernel is served: closing first would reset them.
        waiting = accept_all(listener)
        for server in self.servers:
            server.close()
        for connection in waiting:
            await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        return LaneProtocol(self.config, self.server_state, self.lifespan.state)
