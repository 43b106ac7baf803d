"""The client without its extra."""

from __future__ import annotations

import subprocess
import sys


def test_without_httpx2_the_import_says_which_extra_to_install() -> None:
    code = """
import sys
sys.modules["httpx2"] = None
try:
    from tailrace.client import Client
except ImportError as missing:
    print(type(missing).__name__, missing)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told == "MissingExtra the Python client needs the extra 'client': pip install 'tailrace[client]'\n"
