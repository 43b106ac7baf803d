"""A proxy's process in front of several instances: started, waited for, shown when a test fails, ended."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.hosted import until
from tests.support.ports import free_port
from tests.support.raw import Address, Ended, ask

__all__ = ["Address", "proxy"]

Configured = Callable[[int, Path], str]
"""Makes a configuration of the port to listen on and the folder for files."""


@contextmanager
def proxy(package: str, arguments: Sequence[str], configured: Configured) -> Iterator[Address]:
    """Run a proxy with its configuration in the file `conf` of its folder; yield its address.

    Skips the test where the Debian package is not installed, but on CI fails it.
    """
    binary = shutil.which(package)
    if binary is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{package} is not installed: apt-get install {package}")
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "conf").write_text(configured(port, folder))
        with (folder / "said").open("wb") as said:
            process = subprocess.Popen([binary, *arguments], cwd=folder, stdout=said, stderr=subprocess.STDOUT)
        try:
            until(lambda: process.poll() is not None or _serves(("127.0.0.1", port)))
            yield "127.0.0.1", port
        except BaseException:
            print((folder / "said").read_text()[:8000])
            raise
        finally:
            process.terminate()
            process.wait(10)


def _serves(address: Address) -> bool:
    try:
        return ask(address, "GET", "/health/live", timeout=2).status == 200
    except (OSError, Ended):
        return False
