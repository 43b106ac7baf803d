"""A worker's place, and the line to its supervisor."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.server.line import Line
from tailrace.server.seat import Seat

DESCRIPTORS = st.integers(0, 10**6)
FOLDERS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), min_size=1).map(Path)


@given(st.integers(0, 99), st.integers(1, 99), DESCRIPTORS, DESCRIPTORS, FOLDERS)
def test_a_seat_is_read_from_its_text(number: int, more: int, listener: int, line: int, folder: Path) -> None:
    seat = Seat(number, number + more, listener, line, folder)
    assert Seat.parse(str(seat)) == seat


@pytest.mark.parametrize(
    "text", ["", "1", "0/2:3:4", "0/2:3:4:", "2/2:3:4:/x", "-1/2:3:4:/x", "0/2:a:4:/x", "0/2:3:4/x"]
)
def test_what_is_no_seat_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="seat"):
        Seat.parse(text)


@pytest.mark.anyio
async def test_each_end_of_a_line_hears_the_words_of_the_other_and_its_end() -> None:
    ours, theirs = socket.socketpair()
    heard: list[Sequence[str]] = []
    lost = asyncio.Event()

    def hear(words: Sequence[str]) -> None:
        heard.append(words)
        line.say("well", len(words))

    line = await Line.open(ours, hear, lost.set)
    reader, writer = await asyncio.open_unix_connection(sock=theirs)
    for piece in (b"rea", b"dy 2.5\nre", b"tire\n", b"half a w"):
        writer.write(piece)
        await writer.drain()
    assert [await reader.readline(), await reader.readline()] == [b"well 2\n", b"well 1\n"]
    assert heard == [["ready", "2.5"], ["retire"]]
    writer.close()
    await lost.wait()
    line.say("nobody hears this")
