"""How the workers behind one port ask each other: each listens on a unix socket in the supervisor's folder.

The folder is private to the user who runs them, and so are the questions. What is asked, and what is made
of the answers, is left to `web`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tailrace.server.seat import Seat
from tailrace.web.peers import Answers

__all__ = ["WorkerPeers"]

_PATIENCE: Final = 1.0
"""Seconds for a peer's answer. A busy one takes milliseconds; a frozen one must not freeze the others' health."""
_MOST: Final = 16_777_216
"""Bytes of an answer."""


class WorkerPeers:
    """Implements `tailrace.web.peers.Peers` among the workers of one supervisor."""

    def __init__(self, seat: Seat) -> None:
        self._seats = seat.of
        self._path = seat.meeting_point(os.getpid())
        self._answers: dict[str, Callable[[], Mapping[str, Any]]] = {}
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Begin to answer."""
        self._server = await asyncio.start_unix_server(self._reply, self._path)

    async def close(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)

    def answer(self, question: str, answer: Callable[[], Mapping[str, Any]]) -> None:
        """Have others' `question` answered here by `answer`."""
        self._answers[question] = answer

    async def ask(self, question: str) -> Answers:
        """Ask every worker. While one is being replaced there are more than seats; after a crash there are fewer."""
        others = sorted(self._others())
        answers = await asyncio.gather(*[_ask(path, question) for path in others])
        said = [self._answers[question](), *[answer for answer in answers if answer is not None]]
        return Answers(said, max(self._seats, len(others) + 1))

    def _others(self) -> list[Path]:
        try:
            return [path for path in self._path.parent.iterdir() if path != self._path]
        except FileNotFoundError:  # the supervisor is gone, and somebody has tidied up
            return []

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Cancelled where the loop ends: asyncio's streams log that as an error in Python 3.11.
        with contextlib.closing(writer), contextlib.suppress(OSError, TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(_PATIENCE):
                answer = self._answers.get((await reader.readline()).decode().strip())
                if answer is not None:
                    writer.write(json.dumps(answer()).encode())
                    writer.write_eof()
                    await writer.drain()


async def _ask(path: Path, question: str) -> dict[str, Any] | None:
    """One peer's answer; None where there is none in time."""
    try:
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await asyncio.open_unix_connection(path, limit=_MOST)
            with contextlib.closing(writer):
                writer.write(question.encode() + b"\n")
                return dict(json.loads(await reader.read(_MOST)))
    except (OSError, ValueError):  # TimeoutError is an OSError; what a dying peer has said is no JSON
        return None
