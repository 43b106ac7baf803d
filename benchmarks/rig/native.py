"""The programs in C: compiled when their source is newer, run on the rig's core, read as JSON.

The clients are in C because a client in Python would be slower than the servers it measures.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from rig.server import RIG_CORE, BenchmarkFailed, on_core

__all__ = ["build", "load", "program", "subscribers"]

_SOURCES = Path(__file__).parent.parent / "c"
_PROGRAMS = Path(__file__).parent.parent / "bin"
_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror")


def build() -> None:
    """Compile what is not up to date. Raises BenchmarkFailed without gcc or if it refuses the source."""
    compiler = shutil.which("gcc")
    if compiler is None:
        raise BenchmarkFailed("the benchmarks need gcc: apt-get install gcc libc6-dev")
    _PROGRAMS.mkdir(exist_ok=True)
    headers = max(header.stat().st_mtime for header in _SOURCES.glob("*.h"))
    for source in _SOURCES.glob("*.c"):
        target = program(source.stem)
        if target.exists() and target.stat().st_mtime > max(headers, source.stat().st_mtime):
            continue
        done = subprocess.run([compiler, *_FLAGS, "-o", target, source], capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchmarkFailed(f"{source.name} does not compile:\n{done.stderr}")


def program(name: str) -> Path:
    return _PROGRAMS / name


def load(**options: object) -> dict[str, Any]:
    """Run `c/load.c` to its end and return its report. Raises BenchmarkFailed if any answer was not whole."""
    with _running("load", options) as output:
        report = _next_line(output)
    if report["failed"] or not report["answers"]:
        raise BenchmarkFailed(f"load: {report}")
    return report


@contextmanager
def subscribers(**options: object) -> Iterator[Iterator[dict[str, Any]]]:
    """Run `c/subscribers.c` until the block is left; yield its lines: first `ready`, then the report.

    Raises BenchmarkFailed where a line was expected and the client ended without it.
    """
    with _running("subscribers", options) as output:
        yield (_next_line(output) for _ in range(2))


@contextmanager
def _running(name: str, options: dict[str, object]) -> Iterator[IO[str]]:
    arguments = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    process = subprocess.Popen(on_core(RIG_CORE, [str(program(name)), *arguments]), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def _next_line(output: IO[str]) -> dict[str, Any]:
    line = output.readline()
    if not line:
        raise BenchmarkFailed("the client gave up; it says why above")
    return dict(json.loads(line))
