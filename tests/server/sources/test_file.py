"""A file that is followed over whatever its writers do to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.server.sources.file import FollowedFile

Follow = Callable[..., FollowedFile]


@pytest.fixture
def follow() -> Iterator[Follow]:
    """Return what follows a file, until the test is over."""
    files: list[FollowedFile] = []

    def followed(path: Path, **options: Any) -> FollowedFile:
        files.append(FollowedFile(path, **options))
        return files[-1]

    yield followed
    for file in files:
        file.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.log"


def add(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def look(file: FollowedFile, times: int = 3) -> list[str]:
    return [line for _ in range(times) for line in file.read()]


def test_it_begins_at_the_end_or_at_the_start(follow: Follow, path: Path) -> None:
    path.write_text("old\n")
    at_end, at_start = follow(path), follow(path, from_start=True)
    assert look(at_start) == ["old"]
    assert look(at_end) == []
    add(path, "new\n")
    assert look(at_end) == look(at_start) == ["new"]


def test_at_the_end_the_rest_of_a_line_that_was_begun_is_no_line(follow: Follow, path: Path) -> None:
    path.write_text("old\nhal")
    file = follow(path)
    look(file)
    add(path, "f\nnew\n")
    assert look(file) == ["new"]


def test_what_appears_later_is_read_from_its_start(follow: Follow, path: Path) -> None:
    file = follow(path)
    assert look(file) == []
    assert file.place is None
    path.write_text("first\n")
    assert look(file) == ["first"]


def test_a_line_is_read_when_it_is_whole(follow: Follow, path: Path) -> None:
    file = follow(path, from_start=True)
    path.write_text("ha")
    assert look(file) == []
    add(path, "lf\n")
    assert look(file) == ["half"]


def test_a_renamed_file_is_read_to_its_end_and_then_the_one_in_its_place(follow: Follow, path: Path) -> None:
    path.write_text("1\n")
    file = follow(path, from_start=True)
    with path.open("a") as writer:
        assert look(file) == ["1"]
        path.rename(path.with_suffix(".1"))
        assert look(file) == []
        path.write_text("4\n")
        writer.write("2\n3")  # a writer that has not turned to the new file yet
        writer.flush()
        assert look(file, 6) == ["2", "3", "4"]
    add(path, "5\n")
    assert look(file) == ["5"]


def test_a_truncated_file_is_read_from_its_start(follow: Follow, path: Path) -> None:
    path.write_text("1\n2\nunfinished")
    file = follow(path, from_start=True)
    assert look(file) == ["1", "2"]
    path.write_text("3\n")
    assert look(file) == ["unfinished", "3"]


def test_a_deleted_file_is_waited_for(follow: Follow, path: Path) -> None:
    path.write_text("1\n")
    file = follow(path, from_start=True)
    assert look(file) == ["1"]
    path.unlink()
    assert look(file) == []
    path.write_text("2\n")
    assert look(file) == ["2"]


def test_it_goes_on_where_it_was(follow: Follow, path: Path) -> None:
    path.write_text("1\n2\nha")
    before = follow(path, from_start=True)
    assert look(before) == ["1", "2"]
    add(path, "lf\n3\n")
    after = follow(path, place=before.place)
    assert look(after) == ["half", "3"]
    assert after.place is not None
    assert after.place.offset == path.stat().st_size


@pytest.mark.parametrize("how", ["rotated", "truncated"])
def test_where_another_file_is_there_by_then_it_is_read_from_its_start(follow: Follow, path: Path, how: str) -> None:
    path.write_text("1\n2\n")
    before = follow(path, from_start=True)
    look(before)
    if how == "rotated":
        path.rename(path.with_suffix(".1"))
    path.write_text("3\n")
    assert look(follow(path, place=before.place)) == ["3"]


def test_what_cannot_be_read_is_an_error_and_can_be_tried_again(follow: Follow, path: Path) -> None:
    path.mkdir()
    file = follow(path)
    with pytest.raises(IsADirectoryError):
        file.read()
    path.rmdir()
    path.write_text("1\n")
    assert look(follow(path, from_start=True)) == ["1"]


@given(st.lists(st.tuples(st.sampled_from(["write", "rotate", "restart", "look"]), st.text("ab\n", max_size=6))))
def test_no_line_is_lost_or_told_twice_whatever_happens(steps: list[tuple[str, str]]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "app.log"
        path.touch()
        file = FollowedFile(path, from_start=True)
        got, said = look(file), ""
        for number, (what, text) in enumerate(steps):
            if what == "write":
                add(path, text)
                said += text
            elif what == "rotate":
                got += look(file, 6)
                path.rename(path.with_suffix(f".{number}"))
                path.touch()
                got += look(file, 6)
                said += "\n" if said and not said.endswith("\n") else ""
            elif what == "restart":
                place = file.place
                file.close()
                file = FollowedFile(path, place=place)
            else:
                got += look(file, 1)
        got += look(file, 6)
        file.close()
    assert got == said.split("\n")[:-1]
