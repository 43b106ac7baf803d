"""One HTTP/1.1 connection, fed by hand: whatever arrives, in whatever pieces."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.chat.connection import Connection, NotHttp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
WHOLE = CHUNKED + b"3\r\none\r\n3;a=b\r\ntwo\r\n0\r\nTrailer: x\r\n\r\n"


class Wire:
    """Stands where the transport would: keeps what is written, and whether reading rests."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closing = False
        self.reading = True
        self.unsent = 0

    def get_extra_info(self, name: str) -> None:
        return None

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.closing = True

    def pause_reading(self) -> None:
        assert not self.closing, "uvloop raises"
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.closing, "uvloop raises"
        self.reading = True


class Line:
    """A connection with a request under way, and the means to answer it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.lost: list[Connection] = []
        self.loop = loop
        self.wire = Wire()
        self.connection = Connection(loop, self.lost.append)
        self.connection.connection_made(self.wire)  # type: ignore[arg-type]
        self.connection.send(b"POST", b"{}")

    def say(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.connection.data_received(piece)

    def hear(self, what: Any) -> Any:
        """Run something that must not have to wait."""
        return self.loop.run_until_complete(asyncio.wait_for(what, 1))

    def body(self) -> bytes:
        pieces = iter(lambda: self.hear(self.connection.receive()), b"")
        return b"".join(pieces)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def line(loop: asyncio.AbstractEventLoop) -> Line:
    return Line(loop)


def _pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nonetwo"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
BARE = WHOLE.replace(b"\r\n\r\n", b"\n\n", 1)


@given(
    st.sampled_from([WHOLE, LENGTH, INTERIM + WHOLE, BARE]),
    st.lists(st.integers(0, len(WHOLE)), max_size=6),
)
def test_however_an_answer_is_cut_up_it_is_the_same_and_the_connection_can_be_used_again(
    loop: asyncio.AbstractEventLoop, wire: bytes, cuts: list[int]
) -> None:
    line = Line(loop)
    line.say(*[piece for piece in _pieces(wire, [min(cut, len(wire)) for cut in cuts]) if piece])
    line.hear(line.connection.head())
    assert line.connection.status == 200
    assert b"link" not in line.connection.headers, "an interim head says nothing"
    assert b"trailer" not in line.connection.headers
    assert line.body() == b"onetwo"
    assert line.connection.complete
    assert line.connection.usable
    line.connection.send(b"POST", b"{}")
    line.say(LENGTH.replace(b"onetwo", b"second"))
    assert line.body() == b"second"


def test_a_body_without_a_length_ends_with_its_connection_which_is_not_used_again(line: Line) -> None:
    line.say(b"HTTP/1.0 200 OK\r\n\r\none", b"two")
    assert line.hear(line.connection.receive()) == b"onetwo"
    line.connection.connection_lost(None)
    assert line.hear(line.connection.receive()) == b""
    assert not line.connection.usable
    assert line.lost == [line.connection]


def test_a_body_without_a_length_that_is_reset_is_broken(line: Line) -> None:
    line.say(b"HTTP/1.0 200 OK\r\n\r\none")
    line.connection.connection_lost(ConnectionResetError())
    assert line.hear(line.connection.receive()) == b"one"
    with pytest.raises(ConnectionResetError):
        line.hear(line.connection.receive())


@pytest.mark.parametrize("wire", [CHUNKED + b"3\r\none\r\n3\r\ntw", LENGTH[:-1]])
def test_what_arrived_before_a_break_is_received_before_it_is_told(line: Line, wire: bytes) -> None:
    line.say(wire)
    line.connection.connection_lost(None)
    assert line.hear(line.connection.receive()) == b"onetw"
    for _ in range(2):
        with pytest.raises(ConnectionError):
            line.hear(line.connection.receive())


def test_chunks_that_are_none_break_the_answer_and_close_the_connection(line: Line) -> None:
    line.say(CHUNKED + b"3\r\none\r\nzz\r\n")
    assert line.hear(line.connection.receive()) == b"one"
    with pytest.raises(NotHttp):
        line.hear(line.connection.receive())
    assert line.wire.closing


@pytest.mark.parametrize(
    "wire",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n....",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 140_000,
    ],
)
def test_what_is_no_answer_is_told_and_the_connection_closed(line: Line, wire: bytes) -> None:
    line.say(*_pieces(wire, range(0, len(wire), 10_000))[1:])
    with pytest.raises(NotHttp):
        line.hear(line.connection.head())
    assert line.wire.closing


def test_a_head_of_many_readings_is_bounded_in_all_of_them_together(line: Line) -> None:
    line.say(b"HTTP/1.1 200 OK\r\n", *[b"X-%d: %b\r\n" % (number, b"x" * 1000) for number in range(200)])
    with pytest.raises(NotHttp):
        line.hear(line.connection.head())


def test_an_answer_that_nobody_asked_for_closes_the_connection(line: Line) -> None:
    line.say(LENGTH)
    line.say(LENGTH)
    assert line.wire.closing
    assert not line.connection.usable
    assert line.body() == b"onetwo", "the one that was asked for is whole"


def test_an_answer_before_any_request_closes_the_connection(loop: asyncio.AbstractEventLoop) -> None:
    line = Line(loop)
    line.connection = Connection(loop, line.lost.append)
    line.connection.connection_made(line.wire)  # type: ignore[arg-type]
    line.say(LENGTH)
    assert line.wire.closing


def test_a_connection_whose_other_side_wants_to_close_it_is_not_used_again(line: Line) -> None:
    line.say(LENGTH.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert line.connection.complete
    assert not line.connection.usable


def test_one_that_was_answered_before_it_was_heard_out_is_not_used_again(line: Line) -> None:
    line.wire.unsent = 1
    line.say(LENGTH)
    assert not line.connection.usable


def test_a_provider_that_sends_faster_than_is_read_is_slowed_down(line: Line) -> None:
    line.say(CHUNKED)
    for _ in range(300):
        line.say(b"400\r\n" + b"x" * 1024 + b"\r\n")
        if not line.wire.reading:
            break
    assert not line.wire.reading
    assert 200_000 < len(line.connection.arrived()) < 300_000
    assert line.wire.reading


def test_very_much_that_breaks_off_is_received_up_to_there(line: Line) -> None:
    line.say(CHUNKED + b"493e0\r\n" + b"x" * 300_000 + b"\r\nzz\r\n")
    assert line.hear(line.connection.receive()) == b"x" * 300_000
    with pytest.raises(NotHttp):
        line.hear(line.connection.receive())


def test_a_reader_that_was_too_slow_for_a_provider_that_left_gets_what_had_arrived(line: Line) -> None:
    line.say(CHUNKED + b"493e0\r\n" + b"x" * 300_000)
    assert not line.wire.reading
    line.connection.close()
    assert line.connection.arrived() == b"x" * 300_000


def test_a_large_request_is_not_copied_and_a_small_one_leaves_in_one_write(line: Line) -> None:
    assert line.wire.written == [b"POST{}"]
    line.say(LENGTH)
    body = b"x" * 100_000
    line.connection.send(b"POST", body)
    assert line.wire.written[1:] == [b"POST", body]
    assert line.wire.written[2] is body


def test_nothing_that_comes_after_a_failure_is_received(line: Line) -> None:
    line.say(CHUNKED + b"3\r\none\r\n")
    line.connection.fail(TimeoutError("too late"))
    line.say(b"3\r\ntwo\r\n0\r\n\r\n")
    assert line.hear(line.connection.receive()) == b"one"
    with pytest.raises(TimeoutError, match="too late"):
        line.hear(line.connection.receive())


def test_a_failure_reaches_the_one_who_waits(line: Line) -> None:
    waiting = line.loop.create_task(line.connection.head())
    line.loop.call_soon(line.connection.fail, TimeoutError())
    with pytest.raises(TimeoutError):
        line.hear(waiting)


def test_a_request_over_a_connection_that_is_gone_fails(line: Line) -> None:
    line.wire.closing = True
    line.connection.send(b"POST", b"{}")
    with pytest.raises(ConnectionResetError):
        line.hear(line.connection.head())


@pytest.mark.parametrize("broken", [False, True])
def test_whoever_waits_for_the_bodys_end_is_told_once_of_it_or_of_the_break(line: Line, broken: bool) -> None:
    told: list[None] = []
    line.say(CHUNKED)
    line.connection.on_done = lambda: told.append(None)
    if not broken:
        line.say(b"0\r\n\r\n")
        assert told == [None]
    line.connection.connection_lost(None)
    assert told == [None]
