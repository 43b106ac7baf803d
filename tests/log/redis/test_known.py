"""What a process has seen of logs."""

from __future__ import annotations

import pytest

from tailrace.log import Position
from tailrace.log.redis import known
from tailrace.log.redis.known import Known


def test_the_newest_position_in_an_epoch_is_remembered() -> None:
    seen = Known()
    for offset in (1, 3, 2):
        seen.note("a", Position("e", offset))
    assert seen["a"] == Position("e", 3)


def test_another_epoch_takes_its_place_whatever_its_offset() -> None:
    seen = Known()
    seen.note("a", Position("e", 3))
    seen.note("a", Position("f", 1))
    assert seen["a"] == Position("f", 1)


def test_of_an_unknown_log_nothing_is_known() -> None:
    assert Known()["a"].epoch == ""


def test_the_logs_used_last_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "_KNOWN", 2)
    seen = Known()
    for log in ("a", "b", "a", "c"):
        seen.note(log, Position("e", 1))
    assert [log for log in "abc" if seen[log].epoch] == ["a", "c"]
