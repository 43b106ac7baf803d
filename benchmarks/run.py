"""The command line of the benchmarks: runs them one after the other, prints a table, writes JSON.

    python benchmarks/run.py [--only NAME]... [--quick] [--json PATH]

Exits with 1 if a benchmark could not be run. A target that is missed is shown, not punished: on
a loaded machine that would say more about the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import clients
import codec
import fanout
import fleet
import idle
import javascript
import open_runs
import pacing
import relay
import startup
import stores
import storm
from rig.native import build
from rig.row import Row
from rig.server import BenchmarkFailed


class Benchmark(Protocol):
    def __call__(self, *, quick: bool) -> list[Row]: ...


_BENCHMARKS: dict[str, Benchmark] = {
    "codec": codec.run,
    "startup": startup.run,
    "fanout": fanout.run,
    "idle": idle.run,
    "stores": stores.run,
    "storm": storm.run,
    "relay": relay.run,
    "pacing": pacing.run,
    "runs": open_runs.run,
    "fleet": fleet.run,
    "clients": clients.run,
    "javascript": javascript.run,
}

_VERDICTS = {True: "met", False: "MISSED"}


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    _raise_descriptor_limit()
    print(_line("what", "figure", "ratio", "target"))
    rows: list[Row] = []
    failed = False
    for name in options.only or _BENCHMARKS:
        try:
            rows += _measured(name, quick=options.quick)
        except BenchmarkFailed as failure:
            failed = True
            print(f"{name} could not be run: {failure}", file=sys.stderr)
    if options.json:
        options.json.write_text(json.dumps(_report(rows, quick=options.quick), indent=2) + "\n")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure Tailrace against its floors and its peers.")
    parser.add_argument("--only", action="append", choices=_BENCHMARKS, help="run this one (may be repeated)")
    parser.add_argument("--quick", action="store_true", help="scaled down to seconds: shows that all of it works")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the results there, too")
    return parser


def _raise_descriptor_limit() -> None:
    """Allow the servers a descriptor for each connection; they inherit the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _measured(name: str, *, quick: bool) -> list[Row]:
    build()
    rows = _BENCHMARKS[name](quick=quick)
    print(f"\n{name}")
    for row in rows:
        print(_row_line(row), flush=True)
    return rows


def _row_line(row: Row) -> str:
    ratio = "" if row.ratio is None else f"{row.ratio:.2f} x {row.against}"
    target = "" if row.target is None or row.met is None else f"{row.target}: {_VERDICTS[row.met]}"
    return _line(f"  {row.what}", f"{_rounded(row.figure)} {row.unit}".rstrip(), ratio, target)


def _line(what: str, figure: str, ratio: str, target: str) -> str:
    return f"{what:<64}{figure:>16}  {ratio:<34}{target}".rstrip()


def _rounded(figure: float) -> str:
    """Show three significant digits, and whole numbers from a hundred up."""
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"


def _report(rows: Sequence[Row], *, quick: bool) -> dict[str, Any]:
    machine = {"system": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count()}
    return {"quick": quick, "machine": machine, "rows": [row.as_json() for row in rows]}


if __name__ == "__main__":
    sys.exit(main())
