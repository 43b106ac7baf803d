"""A supervisor in a process of its own, over workers that are a few lines each.

    with Supervised(3) as supervised:
        assert supervised.ask() in supervised.workers

What a worker does is in a file that it reads at its start, as a real one reads its settings: `supervised.become(…)`
changes it for those that start from then on.

    serve           answers each connection with its process's id, leaves when told
    fail            ends at once with exit code 3
    refuse          ends at once with exit code 2
    insist          as serve, but leaves only when it is told that it must be now
    hang            as serve, but never leaves, and says that it needs no time for that
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Final, Self

import psutil

from tests.support.server import Server

__all__ = ["Supervised"]

_SUPERVISOR: Final = """
import asyncio, sys
from pathlib import Path
from tailrace.server.logs import configure
from tailrace.server.settings import Log
from tailrace.server.sockets import listen_together
from tailrace.server.supervisor import Supervisor

configure(Log())
count, folder, *command = sys.argv[1:]
listeners = listen_together("127.0.0.1", 0, 30, int(count))
supervisor = Supervisor(command, listeners, Path(folder), pause=lambda deaths: 0.01 if deaths else 0)
sys.exit(asyncio.run(supervisor.run()))
"""

_WORKER: Final = """
import os, re, select, socket, sys

role = open(sys.argv[1]).read()
if role in ("fail", "refuse"):
    sys.exit(3 if role == "fail" else 2)
listener, line = map(int, re.match(r"\\d+/\\d+:(\\d+):(\\d+):", sys.argv[-1]).groups())
listener, line = socket.socket(fileno=listener), socket.socket(fileno=line)
line.sendall(b"ready -9.8\\n" if role == "hang" else b"ready 5\\n")
watched = [listener, line]
while True:
    readable, _, _ = select.select(watched, [], [])
    if line in readable:
        words = line.recv(100)
        if not words or b"now" in words or role == "serve":
            os._exit(0)
    elif listener in readable:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            continue
        with connection:
            connection.sendall(b"%d" % os.getpid())
"""


class Supervised:
    """A supervisor of `count` workers, killed with them at the end of its block."""

    def __init__(self, count: int, role: str = "serve") -> None:
        self._count = count
        self._folder = tempfile.TemporaryDirectory()
        self._role = Path(self._folder.name) / "role"
        self.become(role)
        meeting = Path(self._folder.name) / "meeting"
        meeting.mkdir()
        worker = [sys.executable, "-S", "-c", _WORKER, str(self._role)]
        command = [sys.executable, "-c", _SUPERVISOR, str(count), str(meeting), *worker]
        self.server = Server.of(command)

    def become(self, role: str) -> None:
        """What the workers do that start from now on."""
        self._role.write_text(role)

    @property
    def workers(self) -> set[int]:
        """The ids of the processes under the supervisor."""
        return {child.pid for child in psutil.Process(self.server.pid).children()}

    def ask(self) -> int:
        """Connect; the id of the worker that answers."""
        with socket.create_connection(self.server.address, 10) as connection:
            return int(connection.recv(100))

    def reload(self) -> None:
        """Tell the supervisor to (SIGHUP)."""
        self.server.signal(signal.SIGHUP)

    def __enter__(self) -> Self:
        try:
            self.server.__enter__()
        except AssertionError:
            self._folder.cleanup()
            raise
        self._begun = self.workers
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            self._begun |= self.workers
        self.server.__exit__(*error)
        for pid in self._begun:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._folder.cleanup()
