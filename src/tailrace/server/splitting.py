"""Bytes as lines of text, of whatever program or file they come from.

A line ends with LF or CRLF. What is no UTF-8 becomes U+FFFD: one broken byte must not keep a log from being read.
"""

from __future__ import annotations

from typing import Final

__all__ = ["LONGEST", "Lines"]

LONGEST: Final = 1_048_576
"""Bytes of a line: what has no end after so many is no line of a log, and is passed over up to its end."""


class Lines:
    """Takes bytes as they come, gives whole lines. `skipping` begins in the middle of a line that is nobody's."""

    __slots__ = ("_longest", "_skipping", "_unfinished", "dropped")

    def __init__(self, longest: int = LONGEST, *, skipping: bool = False) -> None:
        self.dropped = 0
        """Lines that were longer."""
        self._longest = longest
        self._skipping = skipping
        self._unfinished = bytearray()

    @property
    def unfinished(self) -> int:
        """Bytes of a line that has no end yet."""
        return len(self._unfinished)

    def receive(self, data: bytes) -> list[str]:
        """Take bytes; return the lines that they complete."""
        *whole, rest = data.split(b"\n")
        lines = [text for part in whole if (text := self._complete(part)) is not None]
        if not self._skipping:
            self._unfinished += rest
            if len(self._unfinished) > self._longest:
                self._drop()
                self._skipping = True
        return lines

    def flush(self) -> list[str]:
        """Return what is left where nothing follows: a last line without an end."""
        unfinished, self._unfinished, self._skipping = bytes(self._unfinished), bytearray(), False
        return [_text(unfinished)] if unfinished else []

    def _complete(self, end: bytes) -> str | None:
        if self._skipping:
            self._skipping = False
            return None
        if len(self._unfinished) + len(end) > self._longest:
            self._drop()
            return None
        if not self._unfinished:
            return _text(end)
        line = bytes(self._unfinished) + end
        self._unfinished.clear()
        return _text(line)

    def _drop(self) -> None:
        self.dropped += 1
        self._unfinished.clear()


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode(errors="replace")
