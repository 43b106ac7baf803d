"""How the workers behind one port ask each other: each listens on a unix socket in the supervisor's folder.

The folder is private to the user who runs them, and so are the questions. What is asked, and what is made
of the answers, is left to `web`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tailrace.server.left import LastWords
from tailrace.server.seat import Seat
from tailrace.web.peers import Answers, Fold

__all__ = ["WorkerPeers"]

_PATIENCE: Final = 1.0
"""Seconds for a peer's answer. A busy one takes milliseconds; a frozen one must not freeze the others' health."""
_MOST: Final = 16_777_216
"""Bytes of an answer."""
_WORDS: Final = "last-words"
"""The folder, beside the sockets, of what those have said who are gone."""


class WorkerPeers:
    """Implements `tailrace.web.peers.Peers` among the workers of one supervisor."""

    def __init__(self, seat: Seat) -> None:
        self._seats = seat.of
        self._path = seat.meeting_point(os.getpid())
        self._answers: dict[str, Callable[[], Mapping[str, Any]]] = {}
        self._folds: dict[str, Fold] = {}
        self._words = LastWords(seat.folder / _WORDS, self._path.name)
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Begin to answer."""
        self._words.begin()
        self._server = await asyncio.start_unix_server(self._reply, self._path)
        self._fold()

    async def close(self) -> None:
        """Answer no more."""
        for question in self._folds:
            self._say(question)
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)
        self._fold()

    def abandon(self) -> None:
        """Remove the folder, if this was the last worker: nobody else is there to do it."""
        if not self._others():
            shutil.rmtree(self._path.parent, ignore_errors=True)

    def answer(self, question: str, answer: Callable[[], Mapping[str, Any]], fold: Fold | None = None) -> None:
        """Have others' `question` answered here by `answer`; with `fold`, also when this worker is gone."""
        self._answers[question] = answer
        if fold is not None:
            self._folds[question] = fold

    async def ask(self, question: str) -> Answers:
        """Ask every worker. While one is being replaced there are more than seats; after a crash there are fewer."""
        others = sorted(self._others())
        answers = await asyncio.gather(*[_ask(path, question) for path in others])
        answered = {path.name: answer for path, answer in zip(others, answers, strict=True) if answer is not None}
        left = self._words.of_others(question, answered) if question in self._folds else ()
        own: dict[str, Any] = json.loads(self._say(question))
        return Answers([own, *answered.values()], max(self._seats, len(others) + 1), left)

    def _say(self, question: str) -> str:
        """What is said here. It is written down first: what others have been told must not be lost with this one."""
        said = json.dumps(self._answers[question]())
        if question in self._folds:
            self._words.keep(question, said)
        return said

    def _fold(self) -> None:
        living = {path.name for path in self._others()}
        for question, fold in self._folds.items():
            self._words.fold(question, fold, living)

    def _others(self) -> list[Path]:
        try:
            return [path for path in self._path.parent.iterdir() if path != self._path and path.name != _WORDS]
        except FileNotFoundError:  # the supervisor is gone, and somebody has tidied up
            return []

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Cancelled where the loop ends: asyncio's streams log that as an error in Python 3.11.
        with contextlib.closing(writer), contextlib.suppress(OSError, TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(_PATIENCE):
                question = (await reader.readline()).decode().strip()
                if question in self._answers:
                    writer.write(self._say(question).encode())
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
