"""Somebody's own application in a process of its own: under `tailrace run`, and under plain uvicorn."""

from __future__ import annotations

import signal
import sys
from typing import Literal

from tests.support.server import Server

__all__ = ["EXIT_CODES", "RUNNERS", "Runner", "served"]

Runner = Literal["tailrace run", "uvicorn"]
RUNNERS: tuple[Runner, ...] = ("tailrace run", "uvicorn")

EXIT_CODES: dict[Runner, int] = {"tailrace run": 0, "uvicorn": -signal.SIGTERM}
"""After SIGTERM. uvicorn raises the signal once more when it has shut down."""


def served(runner: Runner, app: str, **env: str) -> Server:
    """A server of `app`, `module:name`; `env` is for its environment."""
    python = [sys.executable, "-m"]
    if runner == "uvicorn":
        return Server.of([*python, "uvicorn", app, "--port", "0"], env=env)
    return Server.of([*python, "tailrace", "run", app, "--port", "0"], env=env)
