"""A worker's place under its supervisor, as it is told at its start.

The supervisor keeps the listening sockets open as long as it lives. So a worker that leaves only stops
accepting, and whoever waits in the queue is served by the next one in its seat.
"""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Seat"]

_FORM: Final = re.compile(r"(\d+)/(\d+):(\d+):(\d+):(.+)", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Seat:
    """One of `of` seats, by its `number` from 0. `listener` and `line` are descriptors that the worker inherits.

    In `folder` the workers find each other. As text it is an argument of the worker's command.
    """

    number: int
    of: int
    listener: int
    line: int
    folder: Path

    def __post_init__(self) -> None:
        """Refuse a number that is not one of those."""
        if not 0 <= self.number < self.of:
            raise ValueError(f"there is no seat {self.number} of {self.of}")

    @property
    def name(self) -> str:
        """What operators call the one who sits here."""
        return f"worker {self.number + 1}"

    @property
    def process(self) -> str:
        """What operators call this process, which sits here: during a reload there are two in a seat."""
        return f"{self.name} (process {os.getpid()})"

    @classmethod
    def parse(cls, text: str) -> Seat:
        """Read a seat's text. Raises `ValueError`."""
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no worker's seat")
        number, of, listener, line = map(int, found.groups()[:4])
        return cls(number, of, listener, line, Path(found[5]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}:{self.listener}:{self.line}:{self.folder}"

    def meeting_point(self, pid: int) -> Path:
        """Where the worker `pid` in this seat is found by the others."""
        return self.folder / f"{self.number}.{pid}"

    def take_line(self) -> socket.socket:
        """The end of the line to the supervisor, which nothing that this process starts is to have."""
        end = socket.socket(fileno=self.line)
        end.set_inheritable(False)
        return end
