"""Workers that ask each other: who answers, and who does not."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tailrace.server.peers import WorkerPeers
from tailrace.server.seat import Seat

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def peer(folder: Path, number: int, of: int = 3) -> AsyncIterator[WorkerPeers]:
    """A worker that answers what its number is."""
    peers = WorkerPeers(Seat(number, of, 0, 0, folder))
    peers.answer("number", lambda: {"number": number})
    await peers.open()
    try:
        yield peers
    finally:
        await peers.close()


async def test_all_workers_answer_and_the_asked_one_first(tmp_path: Path) -> None:
    async with peer(tmp_path, 0), peer(tmp_path, 1) as asked, peer(tmp_path, 2):
        answers = await asked.ask("number")
    assert [each["number"] for each in answers.said] == [1, 0, 2]
    assert answers.asked == 3


async def test_one_that_is_not_there_is_missed(tmp_path: Path) -> None:
    async with peer(tmp_path, 0) as asked, peer(tmp_path, 1):
        answers = await asked.ask("number")
    assert (len(answers.said), answers.asked) == (2, 3)


async def test_one_that_is_being_replaced_and_its_successor_both_count(tmp_path: Path) -> None:
    async with peer(tmp_path, 0, 1) as asked:
        other = WorkerPeers(Seat(0, 1, 0, 0, tmp_path))
        other._path = tmp_path / f"0.{os.getpid() + 1}"
        other.answer("number", lambda: {"number": "new"})
        await other.open()
        answers = await asked.ask("number")
        await other.close()
    assert [each["number"] for each in answers.said] == [0, "new"]
    assert answers.asked == 2


async def test_one_that_is_dead_frozen_or_confused_is_left_out_within_about_a_second(tmp_path: Path) -> None:
    dead, frozen = (socket.socket(socket.AF_UNIX) for _ in range(2))
    dead.bind(str(tmp_path / "1.1"))
    dead.close()
    frozen.bind(str(tmp_path / "2.2"))
    frozen.listen()

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'{"number": ')
        writer.close()

    confused = await asyncio.start_unix_server(babble, tmp_path / "3.3")
    begun = time.monotonic()
    async with peer(tmp_path, 0) as asked:
        answers = await asked.ask("number")
    assert (list(answers.said), answers.asked) == ([{"number": 0}], 4)
    assert 0.9 < time.monotonic() - begun < 3
    confused.close()
    frozen.close()


async def test_a_question_that_nobody_knows_is_answered_by_nobody_else(tmp_path: Path) -> None:
    async with peer(tmp_path, 0) as asked, peer(tmp_path, 1):
        asked.answer("weather", lambda: {"sun": True})
        assert list((await asked.ask("weather")).said) == [{"sun": True}]


async def test_a_folder_that_is_gone_leaves_this_one_alone(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    async with peer(folder, 0) as asked:
        (socket_,) = folder.iterdir()
        socket_.unlink()
        folder.rmdir()
        answers = await asked.ask("number")
    assert (list(answers.said), answers.asked) == ([{"number": 0}], 3)


async def test_nothing_is_left_where_a_worker_was_found(tmp_path: Path) -> None:
    async with peer(tmp_path, 0):
        assert len(found(tmp_path)) == 1
    assert not found(tmp_path)


def found(folder: Path) -> list[Path]:
    """What lies in a folder."""
    return list(folder.iterdir())
