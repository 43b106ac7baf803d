"""The loop of every dialect's writer: a beginning, what is said, and one end.

What each of them looks like is the dialect's own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from tailrace.chat.dialects.frames import COMMENT
from tailrace.runs.deltas import Finish, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tailrace.chat.dialects.writing import Head
    from tailrace.errors import RunError
    from tailrace.runs.deltas import Delta, Text, Thinking, ToolCall

__all__ = ["Teller"]


class Teller(ABC):
    """Writes one stream, as `writing.Writer` wants it. `_usage` are the tokens so far, which no delta tells here."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._open = False
        self._ended = False
        self._usage = Usage()

    @property
    def keep_alive(self) -> bytes:
        """A comment, where the dialect has nothing of its own for it."""
        return COMMENT

    def open(self) -> bytes:
        """Return what comes before anything is said; nothing where it was written."""
        if self._open:
            return b""
        self._open = True
        return self._opening()

    def write(self, deltas: Iterable[Delta]) -> bytes:
        """Return the blocks of `deltas`; nothing after the end."""
        written: list[bytes] = []
        for delta in deltas:
            if self._ended:
                break
            if isinstance(delta, Usage):
                self._usage = self._usage.updated(delta)
                continue
            if not self._open:
                written.append(self.open())
            if isinstance(delta, Finish):
                self._ended = True
                written.append(self._finish(delta.reason))
            else:
                written.append(self._say(delta))
        return b"".join(written)

    def fail(self, error: RunError) -> bytes:
        """Return the dialect's explicit error, on which its SDK raises; nothing after the end."""
        if self._ended:
            return b""
        self._ended = True
        return self._failure(error)

    @abstractmethod
    def _opening(self) -> bytes:
        """Write what comes before anything is said."""

    @abstractmethod
    def _say(self, delta: Text | Thinking | ToolCall) -> bytes:
        """Write a piece of the answer; nothing where it says nothing."""

    @abstractmethod
    def _finish(self, reason: str) -> bytes:
        """Write the model's own end, and all that is left to tell."""

    @abstractmethod
    def _failure(self, error: RunError) -> bytes:
        """Write the error."""
