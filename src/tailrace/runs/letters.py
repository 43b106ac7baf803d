"""What one instance asks of another, as text: a letter is a word and the run that it is about."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, Self

__all__ = ["Letter", "Word"]


class Word(StrEnum):
    """What is asked."""

    CANCEL = "cancel"
    """Somebody with the right to it wants the run cancelled."""
    UNWATCHED = "unwatched"
    """The last viewer that the run had here has left."""
    LOOK = "look"
    """Somebody waits here for more of the run, and has heard nothing for a while: does it go on at all?"""
    COUNT = "count"
    """Somebody here wants to know how many watch the run there."""


class Letter(NamedTuple):
    """A letter to the instance that produces `run`, or where it is watched."""

    word: Word
    run: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a letter; None for one that this release does not know, from an instance of another."""
        word, _, run = text.partition(" ")
        return cls(Word(word), run) if word in Word.__members__.values() and run else None

    def __str__(self) -> str:
        return f"{self.word} {self.run}"
