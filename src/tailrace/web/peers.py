"""The other worker processes behind the same port, as an interface.

Whoever asks a server how it is asks one of them, by chance; the answer is to speak for all. How they
reach each other is left to `server`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["Answers", "Fold", "Peers"]

Fold = Callable[[Sequence[Mapping[str, Any]]], Mapping[str, Any]]
"""Makes one answer of several."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What the workers say, this one first; those who said nothing in time are left out of it, not of `asked`.

    `left` is what those said last who say nothing now, or are gone, where somebody folds it.
    """

    said: Sequence[Mapping[str, Any]]
    asked: int
    left: Sequence[Mapping[str, Any]] = ()


class Peers(Protocol):
    """The workers."""

    def answer(self, question: str, answer: Callable[[], Mapping[str, Any]], fold: Fold | None = None) -> None:
        """Have others' `question` answered here by `answer`, with what JSON can carry.

        With `fold`, what was said last is kept for when this one is gone; it makes one answer of several.
        """
        ...

    async def ask(self, question: str) -> Answers:
        """Ask every worker, this one too. Takes at most about a second, and never fails."""
        ...
