"""The JavaScript client as it is published, and Node.js to run it with.

`built()` makes it once in a run of the tests; `Script` is one of our scripts, in a process that speaks JSON lines.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from tests.support.server import ROOT

__all__ = ["CLIENT", "NODE", "Script", "built", "environment"]

CLIENT = ROOT / "clients" / "js"
NODE = shutil.which("node") or ""

_OLDEST = 18
_HAS_CRYPTO = 20


@functools.cache
def built() -> Path:
    """Build the client; the folder of what is published. Skips the test without Node.js, but on CI fails it."""
    if _version() < _OLDEST or not shutil.which("npm"):
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing(f"Node.js {_OLDEST} or newer and npm are not installed: apt-get install nodejs npm")
    done = subprocess.run([ROOT / "scripts" / "javascript", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return CLIENT / "dist"


def environment() -> dict[str, str]:
    """What a script of the client needs: before version 20, Node.js hides what browsers have."""
    return os.environ | ({} if _version() >= _HAS_CRYPTO else {"NODE_OPTIONS": "--experimental-global-webcrypto"})


@functools.cache
def _version() -> int:
    if not NODE:
        return 0
    said = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True).stdout
    return int(re.findall(r"\d+", said)[0])


class Script:
    """A script of tests/js that prints JSON lines; iterating gives them until it ends."""

    def __init__(self, name: str, *arguments: str) -> None:
        built()
        self._command = [NODE, str(ROOT / "tests" / "js" / name), *arguments]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True, env=environment())
        return self

    def __exit__(self, *error: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def __iter__(self) -> Iterator[Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            yield json.loads(line)
