"""The package as a whole."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("missing", ["httptools", "msgspec", "yarl"])
def test_without_its_extra_the_package_says_which_to_install(missing: str) -> None:
    script = f"import sys; sys.modules[{missing!r}] = None; import tailrace.chat"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.stderr.splitlines()[-1] == (
        "tailrace.errors.MissingExtra: tailrace.chat needs the extra 'server': pip install 'tailrace[server]'"
    )
