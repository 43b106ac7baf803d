"""A log record as one line, whatever others have put into it."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.server.logs.formats import JsonLines, TextLines

ANY = st.text(st.characters(exclude_categories=()))  # half of a surrogate pair, too
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY, inner, max_size=3),
    max_leaves=6,
)
FORGED = "\r\n{} \x1b[2J\u2028\x9b1mWARNING all is well"


def record(message: str, *arguments: object, exc: BaseException | None = None, **fields: Any) -> logging.LogRecord:
    info = (type(exc), exc, exc.__traceback__) if exc else None
    made = logging.LogRecord("tailrace", logging.WARNING, "", 0, message, arguments, info)
    made.created = 1_800_000_000.25
    vars(made).update(fields)
    return made


def is_clean(text: str) -> bool:
    return not any(ord(each) < 32 or 127 <= ord(each) < 160 or each in "\u2028\u2029" for each in text)


@given(message=ANY, value=VALUES)
def test_any_record_is_one_line_of_json_that_nothing_in_it_can_end(message: str, value: Any) -> None:
    line = JsonLines().format(record("%s", message, said=value))
    assert is_clean(line)
    read = json.loads(line)
    assert read["message"] == message or "\\" in line
    assert {"time", "level", "logger", "message", "said"} == read.keys()


@given(ANY)
def test_any_record_is_one_line_of_text(message: str) -> None:
    assert is_clean(TextLines("worker 1").format(record("%s", message)))


def test_a_line_says_when_how_bad_who_and_what() -> None:
    read = json.loads(JsonLines("worker 1").format(record("run %s ended", "r", run="r", error=None)))
    assert read == {
        "time": "2027-01-15T08:00:00.250Z",
        "level": "warning",
        "logger": "tailrace",
        "message": "run r ended",
        "process": "worker 1",
        "run": "r",
        "error": None,
    }


def test_a_field_named_like_one_of_the_lines_own_does_not_replace_it() -> None:
    read = json.loads(JsonLines().format(record("x", level="harmless", time="never")))
    assert (read["level"], read["level_"], read["time_"]) == ("warning", "harmless", "never")


def raised() -> BaseException:
    with pytest.raises(ValueError, match="well") as info:
        int(FORGED)
    return info.value


def test_a_traceback_is_a_field_and_to_people_an_indented_block() -> None:
    assert "Traceback" in json.loads(JsonLines().format(record("failed", exc=raised())))["exception"]
    first, *others = TextLines().format(record("failed", exc=raised())).splitlines()
    assert first.endswith("failed")
    assert others[0] == "    Traceback (most recent call last):"
    assert all(line.startswith("    ") and is_clean(line) for line in others)


@pytest.mark.parametrize("value", [object(), {1: 2}, {(1, 2): 3}, b"bytes", ValueError("x"), float("nan")])
def test_what_json_does_not_know_is_shown_somehow(value: object) -> None:
    assert "said" in json.loads(JsonLines().format(record("x", said=value)))
