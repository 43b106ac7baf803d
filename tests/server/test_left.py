"""The last words of workers that are gone."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.server import left
from tailrace.server.left import LastWords

LONG_AGO = time.time() - 60


def total(words: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"count": sum(each["count"] for each in words)}


def say(folder: Path, name: str, count: int, *, at: float = LONG_AGO) -> LastWords:
    words = LastWords(folder, name)
    words.begin()
    words.keep("q", json.dumps({"count": count}))
    os.utime(folder / f"q@{name}", (at, at))
    return words


def test_words_of_all_are_known_but_of_those_who_have_answered(tmp_path: Path) -> None:
    asked = say(tmp_path, "0.1", 1)
    say(tmp_path, "1.2", 10)
    say(tmp_path, "2.3", 100)
    assert asked.of_others("q", {"1.2"}) == [{"count": 100}]
    assert asked.of_others("other question", ()) == []


def test_the_dead_are_folded_into_one_and_counted_once(tmp_path: Path) -> None:
    asked = say(tmp_path, "0.1", 1)
    for number in range(2, 6):
        say(tmp_path, f"1.{number}", 10)
    say(tmp_path, "2.9", 100)
    asked.fold("q", total, {"2.9"})
    assert total(asked.of_others("q", {"2.9"})) == {"count": 40}
    assert total(asked.of_others("q", ())) == {"count": 140}
    assert sorted(path.name for path in tmp_path.glob("q@*")) == ["q@0.1", "q@2.9"]
    say(tmp_path, "1.7", 5)
    asked.fold("q", total, {"2.9"})
    assert total(asked.of_others("q", {"2.9"})) == {"count": 45}


def test_who_has_died_just_now_is_not_folded_since_its_answer_may_still_be_on_its_way(tmp_path: Path) -> None:
    asked = say(tmp_path, "0.1", 1)
    say(tmp_path, "1.2", 10, at=time.time())
    asked.fold("q", total, ())
    assert asked.of_others("q", {"1.2"}) == []
    assert (tmp_path / "q@1.2").exists()


def test_a_fold_that_was_cut_off_before_it_had_tidied_up_counts_nobody_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = say(tmp_path, "0.1", 1)
    say(tmp_path, "1.2", 10)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", lambda *_, **__: None)
        asked.fold("q", total, ())
    assert len(list(tmp_path.glob("q@1.2*"))) == 1
    assert asked.of_others("q", ()) == [{"count": 10}]
    asked.fold("q", total, ())
    assert asked.of_others("q", ()) == [{"count": 10}]
    assert not list(tmp_path.glob("q@1.2*"))


def test_a_worker_with_the_number_of_a_dead_one_does_not_speak_over_it(tmp_path: Path) -> None:
    say(tmp_path, "0.1", 1)
    asked = say(tmp_path, "0.1", 10)
    assert asked.of_others("q", ()) == [{"count": 1}]


def test_a_worker_with_the_number_of_one_that_was_folded_is_not_taken_for_it(tmp_path: Path) -> None:
    asked = say(tmp_path, "0.1", 1)
    say(tmp_path, "1.2", 10)
    asked.fold("q", total, ())
    say(tmp_path, "1.2", 100)
    assert total(asked.of_others("q", ())) == {"count": 110}
    asked.fold("q", total, ())
    assert asked.of_others("q", ()) == [{"count": 110}]


def test_a_disk_that_takes_nothing_is_told_once_and_keeps_nobody_from_answering(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    words = say(tmp_path, "0.1", 1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(left, "_replace", full)
    words.keep("q", "{}")
    words.keep("q", "{}")
    assert len(caplog.records) == 1


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["ask", "fold", "die", "count"]), max_size=30))
def test_the_sum_over_all_never_falls_and_loses_nothing(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("words")
    counts, born, counted, seen = {"0.0": 0, "1.0": 0}, 1, 0, 0
    words = {name: LastWords(folder, name) for name in counts}
    for each in words.values():
        each.begin()
    for step in steps:
        name = max(counts)
        if step == "count":
            counts[name] += 1
            counted += 1
        elif step == "die":
            words[name].keep("q", json.dumps({"count": counts.pop(name)}))
            os.utime(folder / f"q@{name}", (LONG_AGO, LONG_AGO))
            new = f"1.{born}"
            born, counts[new] = born + 1, 0
            words[new] = LastWords(folder, new)
            words[new].begin()
        elif step == "fold":
            words[name].fold("q", total, set(counts))
        else:
            left_over = total(words[name].of_others("q", set(counts)))["count"]
            now = left_over + sum(counts.values())
            assert now == counted >= seen
            seen = now
