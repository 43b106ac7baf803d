"""Letters between instances."""

from __future__ import annotations

import pytest

from tailrace.runs.letters import Letter, Word


@pytest.mark.parametrize("word", list(Word))
def test_a_letter_comes_out_as_it_went_in(word: Word) -> None:
    letter = Letter(word, "abc123")
    assert Letter.parse(str(letter)) == letter


@pytest.mark.parametrize("text", ["", "cancel", "cancel ", "dance abc", " abc", "cancelled abc"])
def test_what_this_release_does_not_know_is_no_letter(text: str) -> None:
    assert Letter.parse(text) is None
