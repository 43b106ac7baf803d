"""`tailrace doctor`: does what lies between here and a server deliver events at once? And what to change if not."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tailrace.client.doctor import MEGABYTES, Level, NotExamined, Visit, examine
from tailrace.server.commands.target import key_for
from tailrace.server.commands.terminal import note, write

if TYPE_CHECKING:
    from tailrace.client.doctor import Finding, Report

__all__ = ["command"]

_WORDS = {Level.OK: ("ok", "green"), Level.HINT: ("hint", "yellow"), Level.FAULT: ("FAULT", "red")}


@click.command("doctor")
@click.argument("url")
@click.option("--idle", default=35.0, show_default=True, help="Seconds for which a quiet stream is watched.")
@click.option(
    "--quick", is_flag=True, help="Two seconds in all: no quiet stream, and no test of whether a slow reader is felt."
)
@click.option("--origin", help="Ask for pages of this origin too, such as https://app.example.com (CORS).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--key-file", metavar="PATH", type=click.Path(path_type=Path), help="A key, if a proxy there wants one.")
def command(url: str, *, idle: float, quick: bool, origin: str | None, as_json: bool, key_file: Path | None) -> int:
    """Look for what delays, cuts or changes streams on the way to the server at URL.

    For each fault it prints the lines that mend it. Exit code 0: no faults; 1: faults; 2: nothing could be said, since
    no Tailrace answered.
    """
    key = None if key_file is None else key_for(key_file)
    try:
        visit = Visit(url, key=key, origin=origin, quiet=0.0 if quick else idle, flood=0 if quick else MEGABYTES)
    except ValueError as problem:
        raise click.BadParameter(str(problem)) from None
    if visit.quiet and not as_json:
        note(f"watching a quiet stream for {visit.quiet:g} s (--quick leaves that out)")
    try:
        report = asyncio.run(examine(visit))
    except NotExamined as problem:
        return _not_examined(url, problem, as_json=as_json)
    if as_json:
        write(json.dumps(report.as_json(), ensure_ascii=False))
    else:
        _show(report)
    return 1 if report.faults else 0


def _not_examined(url: str, problem: NotExamined, *, as_json: bool) -> int:
    if as_json:
        write(json.dumps({"url": url, "tailrace": None, "error": str(problem)}, ensure_ascii=False))
    else:
        note(f"tailrace: {problem}")
    return 2


def _show(report: Report) -> None:
    behind = f", behind {report.proxy}" if report.proxy else ""
    write(f"{report.url}: Tailrace {report.version}{behind}")
    for finding in report.findings:
        _show_one(finding)
    count = report.faults
    write("no faults" if not count else "1 fault" if count == 1 else f"{count} faults")


def _show_one(finding: Finding) -> None:
    word, colour = _WORDS[finding.level]
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        click.secho(f"{word:<5}", fg=colour, nl=False)
    else:
        write(f"{word:<5}", end="")
    write(f" {finding.check:<18} {finding.said}")
    for proxy, lines in finding.mend.items():
        for line in lines:
            write(f"{'':<24} {proxy + ':':<11} {line}")
