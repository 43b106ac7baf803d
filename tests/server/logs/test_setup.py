"""Everything that logs in a server's process is heard in one form, at the level that an operator has chosen."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = """
import logging, sys, warnings
from tailrace.server.logs import configure, lost_lines, say
from tailrace.server.settings import Log

configure(Log(level=sys.argv[1], format=sys.argv[2]), sys.argv[3])
say("begun")
logging.getLogger("tailrace").debug("detail")
logging.getLogger("tailrace").info("an answer")
logging.getLogger("tailrace").warning("odd")
logging.getLogger("uvicorn.error").error("from the server")
logging.getLogger("somebody").info("from a library")
warnings.warn("old")
assert not lost_lines()
"""


def said(level: str, form: str = "json", speaker: str = "") -> str:
    command = [sys.executable, "-c", PROGRAM, level, form, speaker]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("level", "heard"),
    [
        ("debug", ["begun", "detail", "an answer", "odd", "from the server"]),
        ("info", ["begun", "an answer", "odd", "from the server"]),
        ("warning", ["odd", "from the server"]),
        ("error", ["from the server"]),
    ],
)
def test_what_is_heard_depends_on_the_level_and_libraries_are_heard_when_something_is_wrong(
    level: str, heard: list[str]
) -> None:
    *lines, last = [json.loads(line) for line in said(level).splitlines()]
    if level != "error":
        assert "UserWarning: old" in last["message"]
    else:
        lines.append(last)
    assert [line["message"] for line in lines] == heard


def test_every_line_says_which_process_it_is_of_where_there_are_several() -> None:
    assert {json.loads(line)["process"] for line in said("info", speaker="worker 2").splitlines()} == {"worker 2"}
    assert all("worker 2: " in line for line in said("error", "text", "worker 2").splitlines())


def test_elsewhere_than_on_a_terminal_lines_are_json_unless_text_is_asked_for() -> None:
    assert json.loads(said("error", "auto"))["level"] == "error"
    assert said("error", "text").rstrip().endswith("ERROR   from the server")
