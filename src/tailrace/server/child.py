"""A worker as its supervisor sees it: a process, and a line to it.

It is a fresh interpreter that runs the supervisor's own command once more, so that no event loop and no
thread is ever forked, and a successor reads settings and code anew. When one is started, replaced or
given up is left to `supervisor`.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tailrace.server.line import LEAVE, NOW, READY, RETIRE, Line
from tailrace.server.seat import Seat

__all__ = ["Child", "Place"]

_START_TIMEOUT: Final = 60.0
"""Seconds until a worker must serve. It takes half a one; a store that is away is waited for about five."""
_MARGIN: Final = 10.0
"""Seconds past its own bound after which a leaving worker must hang."""
_LAST_STEP: Final = 0.005
"""Seconds between looks whether a process is over whose line is: the kernel closes its files just before."""


class Place:
    """What the workers of one seat have in common: their number of `of`, their listening socket, their folder."""

    def __init__(self, number: int, of: int, listener: socket.socket, folder: Path) -> None:
        self.number = number
        self.listener = listener
        self._of = of
        self._folder = folder

    def seat(self, line: socket.socket) -> Seat:
        """For a worker with this end of a line."""
        return Seat(self.number, self._of, self.listener.fileno(), line.fileno(), self._folder)


class Child:
    """A worker's process."""

    def __init__(self) -> None:
        self.serving_since: float | None = None
        """Since when it serves, by the loop's clock."""
        self._patience = 0.0
        self._heard = asyncio.Event()  # that it serves, or that its line is lost
        self._line: Line
        self._lost = asyncio.Event()
        self._process: subprocess.Popen[bytes]
        self._seat: Seat

    @classmethod
    async def start(cls, command: Sequence[str], place: Place) -> Child:
        """Start a worker: `command` with its seat.

        It is in a process group of its own: a terminal's Ctrl-C reaches it through the supervisor, once.
        """
        child = cls()
        ours, theirs = socket.socketpair()
        with theirs:
            child._line = await Line.open(ours, child._hear, child._on_lost)
            child._seat = seat = place.seat(theirs)
            # Not asyncio's: it has a thread wait for the process, and where that has ended when it is sent
            # a signal, its exit code is lost.
            child._process = subprocess.Popen(  # noqa: ASYNC220, S603  # takes milliseconds; it is our own command
                [*command, "--seat", str(seat)],
                stdin=subprocess.DEVNULL,
                pass_fds=(seat.listener, seat.line),
                process_group=0,
            )
        return child

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def serving(self) -> bool:
        """Whether it serves, or leaves."""
        return self.serving_since is not None and not self._lost.is_set()

    async def ready(self) -> bool:
        """Wait until it serves; False if it ended before, or had to be ended because it took too long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_TIMEOUT):
                await self._heard.wait()
        if self.serving_since is None:
            await self.gone_in_time()
        return self.serving_since is not None

    async def gone(self) -> int:
        """Wait for its end; the exit code, negative for the signal that killed it."""
        await self._lost.wait()
        while (code := self._process.poll()) is None:  # noqa: ASYNC110  # no event: waitpid() tells nobody
            await asyncio.sleep(_LAST_STEP)
        self._seat.meeting_point(self.pid).unlink(missing_ok=True)  # what it left if it was killed
        return code

    async def gone_in_time(self) -> bool:
        """Wait for the end of one that is about to leave; False if it hung and had to be killed."""
        try:
            async with asyncio.timeout(self._patience + _MARGIN):
                await self.gone()
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await self.gone()
            return False
        return True

    def retire(self) -> None:
        """Tell it that its successor serves."""
        self._line.say(RETIRE)

    def leave(self) -> None:
        """Tell it to leave in order.

        In words: a signal would be its second where somebody signals every process of a service, as systemd does.
        """
        self._line.say(LEAVE)
        if self.serving_since is None:
            self._signal(signal.SIGTERM)  # it does not listen yet, and nobody would miss it

    def leave_now(self) -> None:
        """Tell it to leave at once."""
        self._line.say(NOW)
        if self.serving_since is None:
            self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def _hear(self, words: Sequence[str]) -> None:
        if words[:1] == [READY]:
            self._patience = float(words[1])
            self.serving_since = asyncio.get_running_loop().time()
            self._heard.set()

    def _on_lost(self) -> None:
        self._lost.set()
        self._heard.set()
