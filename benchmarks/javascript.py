"""The JavaScript client: what an event costs in it, beside the bare parser; and what it costs a page to load."""

from __future__ import annotations

import gzip
import json
import subprocess
from pathlib import Path

from rig.row import Row, at_most

__all__ = ["run"]

_ROOT = Path(__file__).parents[1]
_BARE = "eventsource-parser by hand"


def run(*, quick: bool) -> list[Row]:
    subprocess.run([_ROOT / "scripts" / "javascript"], check=True)
    script = _ROOT / "benchmarks" / "clients" / "javascript.mjs"
    command = ["node", str(script), "2000" if quick else "10000"]
    taken: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    bare = taken.pop(_BARE)
    rows = [Row("javascript", _BARE, bare, "us an event")]
    rows += [Row("javascript", name, figure, "us an event", figure / bare, _BARE) for name, figure in taken.items()]
    return [*rows, Row("javascript", "size, without the parser", _size(), "kB", target=at_most(6.0))]


def _size() -> float:
    client = _ROOT / "clients" / "js"
    command = [
        str(client / "node_modules" / ".bin" / "esbuild"),
        "dist/index.js",
        "--bundle",
        "--minify",
        "--format=esm",
    ]
    command += ["--target=es2022", "--external:eventsource-parser"]
    bundle = subprocess.run(command, cwd=client, capture_output=True, check=True).stdout
    return len(gzip.compress(bundle, 9)) / 1000
