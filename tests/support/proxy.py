"""A proxy's process in front of several instances: started, waited for, shown when a test fails, ended."""

from __future__ import annotations

import os
import shutil
import signal
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
def proxy(
    package: str,
    arguments: Sequence[str],
    configured: Configured,
    *,
    binary: str | None = None,
    got_by: str = "",
    ending: signal.Signals = signal.SIGTERM,
) -> Iterator[Address]:
    """Run a proxy with its configuration in the file `conf` of its folder; yield its address.

    Skips the test where it is not installed, but on CI fails it. It is Debian's of that name, or else `binary`, which
    one gets by the command `got_by`. `ending` is the signal that ends it.
    """
    binary = shutil.which(binary or package)
    if binary is None:
        missing = f"{package} is not installed: {got_by or f'apt-get install {package}'}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        homes = {"XDG_CONFIG_HOME": name, "XDG_DATA_HOME": name}  # Caddy keeps what it was told last
        (folder / "conf").write_text(configured(port, folder))
        with (folder / "said").open("wb") as said:
            process = subprocess.Popen(
                [binary, *arguments], cwd=folder, stdout=said, stderr=subprocess.STDOUT, env={**os.environ, **homes}
            )
        try:
            until(lambda: process.poll() is not None or _serves(("127.0.0.1", port)))
            assert process.poll() is None, f"{package} does not start"
            yield "127.0.0.1", port
        except BaseException:
            print((folder / "said").read_text()[:8000])
            raise
        finally:
            process.send_signal(ending)
            process.wait(10)


def _serves(address: Address) -> bool:
    try:
        return ask(address, "GET", "/health/live", timeout=2).status == 200
    except (OSError, Ended):
        return False
