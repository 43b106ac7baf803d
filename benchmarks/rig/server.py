"""A server under measurement: a process on a core of its own, asked from outside what it uses.

What is read is the kernel's account of that process, so that every server is measured alike,
whatever it is written in.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import psutil

__all__ = ["RIG_CORE", "SERVER_CORE", "BenchmarkFailed", "Server", "free_port", "on_core", "serving"]

SERVER_CORE, RIG_CORE = 0, 1
"""The server has a core alone; whatever asks it, and stands in for its upstream, shares the other."""

PEERS = Path(__file__).parent.parent / "peers"

_START_TIMEOUT = 20.0
_STOP_TIMEOUT = 10.0
_SHOWN_BYTES = 4000
_CPU_CLOCK_OF_A_PROCESS = 2
"""CPUCLOCK_SCHED of the kernel's posix-timers.h; the clock's number is made of it and the process id."""


class BenchmarkFailed(Exception):
    """A server or a client did not do what was measured, so there is no figure."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server on 127.0.0.1. `started_in` is in seconds, from its start to the first accepted connection."""

    pid: int
    port: int
    started_in: float

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its threads, user and kernel, to the nanosecond (`ps` counts in 10 ms)."""
        return time.clock_gettime_ns(~self.pid << 3 | _CPU_CLOCK_OF_A_PROCESS) / 1e9

    def rss(self) -> int:
        """Return its resident memory in bytes. Socket buffers belong to the kernel and are not in it."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)


def free_port() -> int:
    """Return a port that nobody listens on now. A fresh one each time leaves old TIME_WAIT pairs behind."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def on_core(core: int, argv: Sequence[str]) -> list[str]:
    """Prefix a command so that it runs on one core, where the system lets us and has that many."""
    if shutil.which("taskset") is None or (os.cpu_count() or 1) <= core:
        return [*argv]
    return ["taskset", "--cpu-list", str(core), *argv]


@contextmanager
def serving(
    argv: Sequence[str],
    port: int,
    *,
    core: int = SERVER_CORE,
    environment: Mapping[str, str] | None = None,
    patience: float = _START_TIMEOUT,
) -> Iterator[Server]:
    """Run a server until the block is left. What it printed is shown if the benchmark fails.

    Raises BenchmarkFailed if it does not listen within `patience` seconds.
    """
    with tempfile.TemporaryFile() as output:
        begun = time.perf_counter()
        process = subprocess.Popen(
            on_core(core, argv),
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": str(PEERS)} | dict(environment or {}),
        )
        try:
            _await_listening(process, port, begun + patience)
            yield Server(process.pid, port, time.perf_counter() - begun)
        except BenchmarkFailed:
            _show(output)
            raise
        finally:
            _stop(process)


def _show(output: BinaryIO) -> None:
    """Print the end of what a server said."""
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _SHOWN_BYTES))
    print("the server said:", output.read().decode(errors="replace"), sep="\n", file=sys.stderr)


def _await_listening(process: subprocess.Popen[bytes], port: int, deadline: float) -> None:
    while process.poll() is None and time.perf_counter() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.002)
    raise BenchmarkFailed(f"{process.args!r} does not listen")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
