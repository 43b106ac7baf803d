"""The process above the workers of `tailrace serve --workers N`: it starts, replaces and ends them.

It opens one listening socket for each seat, all on one address, and keeps them open as long as it lives:
the queue of a socket that its last holder closes is reset, and so would be the clients in it. So neither
a crash nor a reload refuses anybody. It serves nothing itself, and knows nothing of what the workers do.

SIGTERM and SIGINT: all workers leave at the same time, and it exits 0; the second one: now. SIGHUP: the
workers are replaced one by one, each by a successor that serves before it goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from tailrace.errors import SettingsError
from tailrace.server.child import Child, Place
from tailrace.server.credentials import draw_secret
from tailrace.server.logs import say
from tailrace.server.settings import Settings
from tailrace.server.sockets import listen_together, shown

__all__ = ["Supervisor", "pause", "supervise"]

_SETTLED: Final = 10.0
"""Seconds after which a worker's death has nothing to do with its start."""
_MOST_FAILURES: Final = 5
"""Starts in a row that may fail while nobody serves. Whoever started us may know better then, or call somebody."""
_LONGEST_PAUSE: Final = 10.0
_LONGEST_FOLDER: Final = 85
"""Bytes of a path in which a worker's socket still gets a name: the kernel takes 108."""


def supervise(settings: Settings, workers: int) -> int:
    """Serve with several processes until told to leave; the exit code.

    Raises `SettingsError` where the address cannot be listened on.
    """
    server = settings.server
    draw_secret()
    with tempfile.TemporaryDirectory(prefix="tailrace-", ignore_cleanup_errors=True) as folder:
        if len(os.fsencode(folder)) > _LONGEST_FOLDER:
            raise SettingsError(f"{folder} is too long a path for sockets; set TMPDIR to a shorter one")
        listeners = listen_together(server.host, server.port, server.write_timeout, workers)
        # Just as this process was started: the interpreter's options and the way to the module too.
        command = [sys.executable, *sys.orig_argv[1:], "--joins", settings.store.named]
        return asyncio.run(Supervisor(command, listeners, Path(folder)).run())


def pause(deaths: int) -> float:
    """Seconds before a worker is started again after it has died soon so many times in a row."""
    return min(0.25 * 2 ** (deaths - 1), _LONGEST_PAUSE) if deaths else 0.0


class _GivenUp(Exception):
    """No worker can be had. Has the exit code for that."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class _Slot:
    """A seat and who sits there. The lock is held while that changes."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.child: Child | None = None
        self.deaths = 0
        self.lock = asyncio.Lock()

    @property
    def name(self) -> str:
        return f"worker {self.place.number + 1}"


class Supervisor:
    """Keeps a worker in each seat. `command` starts one, when its seat is added to it."""

    def __init__(
        self,
        command: Sequence[str],
        listeners: Sequence[socket.socket],
        folder: Path,
        pause: Callable[[int], float] = pause,
    ) -> None:
        self._command = command
        self._listeners = listeners
        self._pause = pause
        self._slots = [_Slot(Place(number, len(listeners), each, folder)) for number, each in enumerate(listeners)]
        self._children: set[Child] = set()
        self._failures = 0
        self._told_to_leave = asyncio.Event()
        self._told_to_reload = asyncio.Event()
        self._watching: asyncio.TaskGroup | None = None

    async def run(self) -> int:
        """Serve until told to leave, or until no worker can be had; the exit code."""
        code = 0
        with self._hearing():
            try:
                await self._work_until_told()
            except* _GivenUp as group:
                code = next(each.code for each in group.exceptions if isinstance(each, _GivenUp))
            finally:
                in_order = await self._leave()
        return code if in_order else 1

    @contextlib.contextmanager
    def _hearing(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        heard = {
            signal.SIGTERM: self._hear_leave,
            signal.SIGINT: self._hear_leave,
            signal.SIGHUP: self._told_to_reload.set,
        }
        for number, hear in heard.items():
            loop.add_signal_handler(number, hear)
        try:
            yield
        finally:
            for number in heard:
                loop.remove_signal_handler(number)

    def _hear_leave(self) -> None:
        if self._told_to_leave.is_set():
            for child in self._children:
                child.leave_now()
        self._told_to_leave.set()

    async def _work_until_told(self) -> None:
        working = asyncio.create_task(self._work())
        told = asyncio.create_task(self._told_to_leave.wait())
        await asyncio.wait({working, told}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working

    async def _leave(self) -> bool:
        """Have all workers leave at the same time; whether none had to be killed."""
        for listener in self._listeners:
            listener.close()  # the workers' are then the last, and what they close is closed
        for child in self._children:
            child.leave()
        return all(await asyncio.gather(*[child.gone_in_time() for child in self._children]))

    async def _work(self) -> None:
        """Start all workers, then keep them."""
        first, *others = self._slots
        # One alone first: what is wrong with the settings or the store is then said once.
        await self._start_first(first)
        await asyncio.gather(*[self._start_first(slot) for slot in others])
        where, count = shown(self._listeners[0]), len(self._slots)
        say(f"Tailrace is listening on http://{where} with {count} workers")
        async with asyncio.TaskGroup() as self._watching:
            for slot in self._slots:
                self._watch(slot)
            self._watching.create_task(self._reload_when_told())

    async def _start(self, slot: _Slot) -> tuple[Child, bool]:
        """Start a worker, and take it for the seat's if it serves. Returns whether it does."""
        child = await Child.start(self._command, slot.place)
        self._children.add(child)
        if not await child.ready():
            self._children.discard(child)
            return child, False
        slot.child = child
        self._failures = 0
        return child, True

    async def _start_first(self, slot: _Slot) -> None:
        child, serves = await self._start(slot)
        if not serves:
            code = await child.gone()
            _warn(f"{slot.name} did not start: it {_ended(code)}")
            raise _GivenUp(code if code == 2 else 1)  # 2 is for settings; it has said which

    # Workers that die.

    def _watch(self, slot: _Slot) -> None:
        if self._watching is not None and slot.child is not None:
            self._watching.create_task(self._keep(slot, slot.child))

    async def _keep(self, slot: _Slot, child: Child) -> None:
        """When a worker is gone that has not been replaced, replace it."""
        code = await child.gone()
        self._children.discard(child)
        async with slot.lock:
            if slot.child is child:
                lived = asyncio.get_running_loop().time() - (child.serving_since or 0)
                slot.deaths = 0 if lived > _SETTLED else slot.deaths + 1
                _warn(f"{slot.name} (process {child.pid}) {_ended(code)}; another is started")
                await self._restart(slot)

    async def _restart(self, slot: _Slot) -> None:
        while True:
            await asyncio.sleep(self._pause(slot.deaths))
            child, serves = await self._start(slot)
            if serves:
                self._watch(slot)
                return
            slot.deaths += 1
            code = await child.gone()
            _warn(f"{slot.name} did not start: it {_ended(code)}; again in {self._pause(slot.deaths):g} s")
            self._count_failure()

    def _count_failure(self) -> None:
        self._failures += 1
        if self._failures >= _MOST_FAILURES and not any(child.serving for child in self._children):
            _warn(f"no worker is left, and {self._failures} in a row did not start: giving up")
            raise _GivenUp(1)

    # Workers that are replaced.

    async def _reload_when_told(self) -> None:
        while True:
            await self._told_to_reload.wait()
            self._told_to_reload.clear()
            say("reloading: the workers are replaced one by one")
            if await self._reload():
                say("reloaded: all workers are new")

    async def _reload(self) -> bool:
        for slot in self._slots:
            if not await self._replace(slot):
                return False
        return True

    async def _replace(self, slot: _Slot) -> bool:
        """Replace a worker by one that reads settings and code anew; if that cannot start, the old one stays."""
        async with slot.lock:
            old = slot.child
            new, serves = await self._start(slot)
            if not serves:
                code = await new.gone()
                _warn(f"not reloaded: the new {slot.name} {_ended(code)} at its start; those of before go on")
                return False
            slot.deaths = 0
            self._watch(slot)
        if old is not None:
            old.retire()
            if not await old.gone_in_time():
                _warn(f"{slot.name} (process {old.pid}) did not leave in time: killed")
        return True


def _ended(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _warn(text: str) -> None:
    say(text, logging.WARNING)
