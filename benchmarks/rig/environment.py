"""Peers from PyPI and npm, each in a place of its own: what they need is nothing that Tailrace should have too."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["Unavailable", "environment", "node_modules"]

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
    pip = [str(commands / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _fill(place, requirement, [[sys.executable, "-m", "venv", str(place)], [*pip, requirement]], install=install)
    return commands


def node_modules(name: str, requirement: str, *, install: bool) -> Path:
    """Return the folder in which Node finds `requirement`. As `environment` in all else."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Unavailable(f"{requirement} needs Node and npm")
    place = _PLACE / name
    npm = ["npm", "install", "--no-audit", "--no-fund", "--silent", "--prefix", str(place), requirement]
    _fill(place, requirement, [npm], install=install)
    return place


def _fill(place: Path, requirement: str, commands: Sequence[Sequence[str]], *, install: bool) -> None:
    if (place / _INSTALLED).exists():
        return
    if not install:
        raise Unavailable(f"{requirement} is not installed; a run without --quick does it")
    print(f"installing {requirement} into benchmarks/{_PLACE.name}/{place.name}", file=sys.stderr)
    place.mkdir(parents=True, exist_ok=True)
    (_PLACE / ".gitignore").write_text("*\n")
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}"
            raise Unavailable(f"{requirement} cannot be installed: {reason}")
    (place / _INSTALLED).touch()
