"""Peers from PyPI, each in an environment of its own: what they need is nothing that Tailrace should have beside it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

__all__ = ["Unavailable", "environment"]

_PLACE = Path(__file__).parent.parent / ".peers"  # a hidden folder: nobody checks what is in it
_INSTALLED = "installed"


class Unavailable(Exception):
    """A peer that cannot be had here; the message says why."""


def environment(name: str, requirement: str, *, install: bool) -> Path:
    """Return the folder of commands of the environment `name`, which has `requirement`.

    It is made and filled where it is missing and `install` allows that. Raises Unavailable.
    """
    place = _PLACE / name
    commands = place / "bin"
    if (place / _INSTALLED).exists():
        return commands
    if not install:
        raise Unavailable(f"{requirement} is not installed; a run without --quick does it")
    print(f"installing {requirement} into benchmarks/{_PLACE.name}/{name}", file=sys.stderr)
    _PLACE.mkdir(exist_ok=True)
    (_PLACE / ".gitignore").write_text("*\n")
    pip = [str(commands / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in ([sys.executable, "-m", "venv", str(place)], [*pip, requirement]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}"
            raise Unavailable(f"{requirement} cannot be installed: {reason}")
    (place / _INSTALLED).touch()
    return commands
