"""Where log lines go: a descriptor, without ever waiting for whoever reads it.

A pipe that nobody reads blocks whoever writes to it, and with one event loop that would be everybody. So a line is
written only while it is taken; what is not waits, up to a bound, and what is lost is told afterwards.
"""

from __future__ import annotations

import logging
import os
import select
from collections import deque
from typing import Final

__all__ = ["Output"]

_MOST: Final = 1_048_576
"""Bytes that wait at most."""
_PIECE: Final = select.PIPE_BUF
"""Bytes that a pipe takes whole if it takes any, so that lines of several processes do not run into each other."""


class Output(logging.Handler):
    """Writes lines to a descriptor."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.lost = 0
        """Lines that were not written: too many waited, or nobody is there, or the disk is full."""
        self._told = 0
        self._descriptor = descriptor
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._room = select.poll()
        self._room.register(descriptor, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, and whatever waits before it."""
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001  # logging's own rule: whoever logs must not fail of it
            self.handleError(record)  # says which call it was, and never raises
            return
        self.flush()
        self._tell_lost()
        self._put(line)
        self.flush()

    def _tell_lost(self) -> None:
        if self.lost > self._told and not self._waiting:
            message = f"{self.lost - self._told} log lines are lost, since nobody took them"
            self._told = self.lost
            self._put(self.format(logging.LogRecord("tailrace", logging.WARNING, "", 0, message, (), None)))

    def _put(self, line: str) -> None:
        data = line.encode(errors="backslashreplace") + b"\n"
        if self._size + len(data) > _MOST:
            self.lost += 1
            return
        self._waiting.append(data)
        self._size += len(data)

    def flush(self) -> None:
        """Write what waits, as far as it is taken now."""
        self.acquire()
        try:
            while self._waiting and self._room.poll(0):
                self._write(self._waiting.popleft())
        except OSError:
            self.lost += 1 + len(self._waiting)
            self._waiting.clear()
            self._size = 0
        finally:
            self.release()

    def _write(self, line: bytes) -> None:
        written = os.write(self._descriptor, line[:_PIECE])
        self._size -= written
        if written < len(line):
            self._waiting.appendleft(line[written:])
