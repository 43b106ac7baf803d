"""From settings to logging: one handler for whatever logs in this process, uvicorn included."""

from __future__ import annotations

import logging
import os
from typing import Final

import click

from tailrace.server.logs.formats import JsonLines, TextLines
from tailrace.server.logs.output import Output
from tailrace.server.settings import Log

__all__ = ["configure", "lost_lines", "say"]

_OURS: Final = "tailrace"
_STANDARD_ERROR: Final = 2


def configure(settings: Log, speaker: str = "") -> None:
    """Have everything that is logged in this process written to standard error, as `settings` say.

    `speaker` is what operators call this process, where there are several; each of its lines says so.
    """
    handler = Output(_STANDARD_ERROR)
    for_people = settings.format == "text" or (settings.format == "auto" and os.isatty(_STANDARD_ERROR))
    handler.setFormatter(TextLines(speaker) if for_people else JsonLines(speaker))
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    root = logging.getLogger()
    root.handlers = [handler]
    # What libraries say that is no warning is of no use to operators.
    root.setLevel(max(level, logging.WARNING))
    logging.getLogger(_OURS).setLevel(level)
    logging.captureWarnings(capture=True)
    _make_cheap()


def say(text: str, level: int = logging.INFO) -> None:
    """Tell operators something: as a line of the log, else as it is where logging is somebody else's."""
    if any(isinstance(handler, Output) for handler in logging.getLogger().handlers):
        logging.getLogger(_OURS).log(level, text)
    else:
        click.echo(text, err=True)


def _make_cheap() -> None:
    """Leave out what no line shows: from where it was logged, and in which thread, which costs half of each record."""
    logging._srcfile = None  # noqa: SLF001  # as the logging HOWTO says, "Optimization"
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def lost_lines() -> int:
    """How many lines were not written since the start."""
    return sum(handler.lost for handler in logging.getLogger().handlers if isinstance(handler, Output))
