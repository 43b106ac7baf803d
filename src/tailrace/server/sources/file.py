"""A file that others append to, read line by line over rotations, as `tail -F` does.

Reading blocks, and says nothing of when to look again: that is left to `follower`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from tailrace.server.splitting import Lines

__all__ = ["FollowedFile", "Place"]

_CHUNK: Final = 65_536
"""Bytes that are read at once: what is published together, and what may be repeated after a crash."""


@dataclass(frozen=True, slots=True)
class Place:
    """How much of which file is read: all whole lines up to `offset`."""

    device: int
    inode: int
    offset: int


class FollowedFile:
    """The file at a path, whichever that is just now.

    Where it is renamed and another takes its place, the old one is read to its end first; where it is truncated, it
    is read from its start. It need not be there yet. `place` is where to go on; without one, what the file has when
    it is first looked at is read `from_start` or not at all, and a file that appears later is read from its start.
    """

    def __init__(self, path: Path, *, from_start: bool = False, place: Place | None = None) -> None:
        self._path = path
        self._from_start = from_start
        self._restored = place
        self._file: BinaryIO | None = None
        self._offset = 0
        self._lines = Lines()
        self._left = False  # whether another has taken its place, and the old one had nothing more

    @property
    def place(self) -> Place | None:
        """Where to go on after all lines that were returned; None before there was a file."""
        if self._file is None:
            return self._restored
        status = os.fstat(self._file.fileno())
        return Place(status.st_dev, status.st_ino, self._offset - self._lines.unfinished)

    @property
    def dropped(self) -> int:
        """Lines that were too long to be any."""
        return self._lines.dropped

    def read(self) -> Sequence[str]:
        """Return the next lines, none where there is nothing new. Raises OSError where it cannot be read."""
        file = self._file or self._first()
        if file is None:
            return ()
        data = file.read(_CHUNK)
        if not data:
            return self._after_its_end(file)
        self._offset += len(data)
        self._left = False
        return self._lines.receive(data)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def _first(self) -> BinaryIO | None:
        try:
            file = self._opened()
        except FileNotFoundError:
            # What is not there when it is first looked for is new when it comes, all of it.
            self._from_start = True
            return None
        self._offset = self._beginning(file)
        file.seek(self._offset)
        self._file = file
        return file

    def _opened(self) -> BinaryIO:
        # Unbuffered: what a buffer had read before a truncation would be taken for what was written after it.
        return self._path.open("rb", buffering=0)

    def _beginning(self, file: BinaryIO) -> int:
        status, place = os.fstat(file.fileno()), self._restored
        if place is not None:
            same = (status.st_dev, status.st_ino) == (place.device, place.inode)
            return place.offset if same and status.st_size >= place.offset else 0
        if self._from_start or not status.st_size:
            return 0
        # The rest of a line that was begun before is no line.
        file.seek(status.st_size - 1)
        self._lines = Lines(skipping=file.read(1) != b"\n")
        return status.st_size

    def _after_its_end(self, file: BinaryIO) -> Sequence[str]:
        """See whether the file was truncated or another is in its place; return the last line, if it has no end."""
        mine = os.fstat(file.fileno())
        if mine.st_size < self._offset:
            file.seek(0)
            self._offset = 0
            return self._lines.flush()
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return ()  # between a rename and the next file, or for good
        if (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino):
            return ()
        if not self._left:
            self._left = True  # whoever writes may not have turned to the new file yet: one more look
            return ()
        self._file = self._opened()
        file.close()
        self._offset, self._left = 0, False
        return self._lines.flush()
