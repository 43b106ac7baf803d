"""The decoder reads a stream as the HTML standard says, however it is cut into chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.errors import EventTooLarge
from tailrace.sse import MAX_EVENT_BYTES, Decoder, Event
from tests.sse.reference import Stream, interpret
from tests.sse.wire_cases import BOM, CASES, Case

Cut = Callable[[tuple[bytes, ...]], Iterable[bytes]]


def pieces(wire: bytes, size: int) -> list[bytes]:
    return [wire[at : at + size] for at in range(0, len(wire), size)]


def receive_all(decoder: Decoder, chunks: Iterable[bytes]) -> list[Event]:
    return [event for chunk in chunks for event in decoder.receive(chunk)]


def seen(events: Iterable[Event]) -> list[tuple[str, str, str]]:
    return [(event.data, event.event, event.id) for event in events]


CUTS: dict[str, Cut] = {
    "as given": lambda chunks: chunks,
    "whole": lambda chunks: [b"".join(chunks)],
    "in bytes": lambda chunks: pieces(b"".join(chunks), 1),
    "in pairs of bytes": lambda chunks: pieces(b"".join(chunks), 2),
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case(case: Case, cut: Cut) -> None:
    """Each case gives its events, its last event ID and its reconnection time, however it is cut."""
    decoder = Decoder()
    assert seen(receive_all(decoder, cut(case.chunks))) == list(case.events)
    assert decoder.last_event_id == case.last_event_id
    assert decoder.retry == case.retry


@pytest.mark.parametrize(
    "case", [case for case in CASES if BOM[:1] not in case.chunks[0][:1]], ids=lambda case: case.name
)
def test_case_between_whole_blocks(case: Case) -> None:
    """Each case means the same in the middle of a stream, where whole blocks take the short way."""
    decoder = Decoder()
    decoder.receive(b"\n")
    assert seen(receive_all(decoder, [b"".join(case.chunks)])) == list(case.events)
    assert (decoder.last_event_id, decoder.retry) == (case.last_event_id, case.retry)


@pytest.mark.parametrize("chunks", [1, 2])
def test_case_42_a_line_of_5_mb_in_one_and_two_chunks(chunks: int) -> None:
    text = "x" * 5_000_000
    wire = f"data: {text}\n\n".encode()
    assert [event.data for event in receive_all(Decoder(), pieces(wire, len(wire) // chunks + 1))] == [text]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("megabytes", "chunk"), [(10, 1024), (5, 65536), (1, 1)])
def test_case_42_one_long_line_takes_linear_time(megabytes: int, chunk: int) -> None:
    """Quadratic work would copy terabytes here, and not come back in time."""
    text = "0123456789" * (megabytes * 100_000)
    decoder = Decoder()
    assert [event.data for event in receive_all(decoder, pieces(f"data: {text}\n\n".encode(), chunk))] == [text]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("chunk", [100, 65536, 1 << 24])
def test_case_42_an_event_of_many_data_lines_takes_linear_time(chunk: int) -> None:
    wire = b"data: 012345678901234567890123456789\n" * 270_000 + b"\n"
    (event,) = receive_all(Decoder(), pieces(wire, chunk))
    assert event.data == "\n".join(["012345678901234567890123456789"] * 270_000)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("wire", [b"data: " + b"x" * 200, b":" + b"x" * 200, b"data: x\n" * 20, b"foo: bar\n" * 20])
def test_case_44_an_event_over_the_bound_is_an_error_until_reset(wire: bytes, size: int) -> None:
    decoder = Decoder(max_event_bytes=100)
    with pytest.raises(EventTooLarge) as refused:
        receive_all(decoder, pieces(wire, size))
    assert refused.value.limit == 100
    for chunk in (b"", b"\n\n", b"data: y\n\n"):
        with pytest.raises(EventTooLarge):
            decoder.receive(chunk)
    decoder.reset()
    assert seen(decoder.receive(b"data: y\n\n")) == [("y", "message", "")]


def test_events_before_one_that_is_too_large_come_out_first() -> None:
    decoder = Decoder(max_event_bytes=20)
    assert seen(decoder.receive(b"id: 7\ndata: a\n\ndata: " + b"x" * 30)) == [("a", "message", "7")]
    with pytest.raises(EventTooLarge):
        decoder.receive(b"\n\n")
    assert decoder.last_event_id == "7"


def test_the_bound_holds_for_an_event_that_is_whole_in_its_chunk() -> None:
    decoder = Decoder(max_event_bytes=100)
    assert len(decoder.receive(b"data: x\n\n")) == 1
    with pytest.raises(EventTooLarge):
        decoder.receive(b"data: " + b"x" * 100 + b"\n\n")


def test_an_event_of_exactly_the_bound_is_read() -> None:
    line = b"data: 7890\n"
    assert len(Decoder(max_event_bytes=11).receive(line + b"\n")) == 1
    with pytest.raises(EventTooLarge):
        Decoder(max_event_bytes=10).receive(line + b"\n")


def test_a_line_break_counts_as_one_byte_whichever_it_is() -> None:
    assert len(Decoder(max_event_bytes=11).receive(b"data: 7890\r\n\r\n")) == 1


def test_heartbeats_without_blank_lines_never_add_up_to_the_bound() -> None:
    decoder = Decoder(max_event_bytes=30)
    for _ in range(100):
        assert decoder.receive(b":heartbeat\n") == []
    assert seen(decoder.receive(b"data: x\n\n")) == [("x", "message", "")]


def test_the_default_bound_lets_10_mb_events_pass() -> None:
    assert MAX_EVENT_BYTES == 16 * 1024 * 1024


def test_a_bound_below_one_byte_is_refused() -> None:
    with pytest.raises(ValueError, match="max_event_bytes"):
        Decoder(max_event_bytes=0)


def test_an_event_comes_as_soon_as_its_blank_line_even_if_that_may_be_half_a_crlf() -> None:
    decoder = Decoder()
    assert decoder.receive(b"data: x\r\n") == []
    assert seen(decoder.receive(b"\r")) == [("x", "message", "")]
    assert decoder.receive(b"\n") == []


def test_an_empty_chunk_changes_nothing() -> None:
    decoder = Decoder()
    received = receive_all(decoder, [b"", b"\xef", b"", b"\xbb\xbfdata: x\r", b"", b"\n", b"", b"\n", b""])
    assert seen(received) == [("x", "message", "")]


def test_reset_discards_what_is_unfinished_and_keeps_the_cursor_and_the_reconnection_time() -> None:
    decoder = Decoder()
    decoder.receive(b"retry: 250\nid: 1\ndata: a\n\nid: 2\nevent: b\nretry: 300\ndata: lost\nda")
    decoder.reset()
    assert (decoder.last_event_id, decoder.retry) == ("1", 300)
    assert seen(decoder.receive(BOM + b"data: c\n\n")) == [("c", "message", "1")]


def test_an_id_that_was_never_committed_does_not_survive_a_reset() -> None:
    decoder = Decoder(last_event_id="1")
    decoder.receive(b"id: 2\n")
    decoder.reset()
    assert seen(receive_all(decoder, pieces(b"data: a\n\n", 1))) == [("a", "message", "1")]


def test_a_block_that_a_chunk_boundary_cuts_between_lines_is_one_event() -> None:
    assert seen(receive_all(Decoder(), [b"data: a\n", b"data: b\n\ndata: c\n\n"])) == [
        ("a\nb", "message", ""),
        ("c", "message", ""),
    ]


def test_reset_forgets_a_cr_at_the_end_of_the_last_connection() -> None:
    decoder = Decoder()
    decoder.receive(b"data: a\r")
    decoder.reset()
    assert seen(receive_all(decoder, [b"\n", b"data: b\n\n"])) == [("b", "message", "")]


@pytest.mark.parametrize("size", [1, 100])
def test_a_decoder_can_begin_with_the_cursor_of_its_first_request(size: int) -> None:
    decoder = Decoder(last_event_id="e-9")
    assert seen(receive_all(decoder, pieces(b"data: a\n\n", size))) == [("a", "message", "e-9")]
    assert decoder.last_event_id == "e-9"


def test_an_id_counts_only_from_its_blank_line_on() -> None:
    decoder = Decoder()
    decoder.receive(b"id: 1\n")
    assert decoder.last_event_id == ""
    decoder.receive(b"\n")
    assert decoder.last_event_id == "1"


def test_an_event_tells_the_retry_of_its_own_block_only() -> None:
    events = Decoder().receive(b"retry: 5\ndata: a\n\ndata: b\n\nretry: 6\n\ndata: c\n\n")
    assert [event.retry for event in events] == [5, None, None]


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"\xff", "\ufffd"),
        (b"\xe2\x80", "\ufffd"),
        (b"\xe2\x28\xa1", "\ufffd(\ufffd"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        (b"\xf0\x9f\x8c", "\ufffd"),
        (b"\xc0\xaf", "\ufffd\ufffd"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 100])
def test_invalid_utf8_becomes_replacement_characters(octets: bytes, text: str, size: int) -> None:
    decoder = Decoder()
    decoder.receive(b"\n")
    (event,) = receive_all(decoder, pieces(b"data: a" + octets + b"\n\n", size))
    assert event.data == f"a{text}"


# Words of the format, their near misses, and bytes that mean something only together.
WORDS = (
    *(b"data: ", b"data:", b"data", b"event: ", b"event:", b"id: ", b"id:", b"id", b"retry: ", b"retry:", b"Data: "),
    *(b"\n", b"\n", b"\n\n", b"\r", b"\r\n", b":", b" ", b"a", b"b", b"\0", b"12", b"\xc2\xb2", BOM),
    *(b"\xe2\x80\xa6", b"\xe2", b"\x80", b"\xf0\x9f", b"\xed", b"\xa0", b"\xff", b"data: x\n\n", b":hb\n"),
)
PHRASES = st.lists(st.sampled_from(WORDS), max_size=12).map(b"".join)


@st.composite
def cut_anywhere(draw: st.DrawFn) -> list[bytes]:
    wire = draw(st.lists(PHRASES, max_size=4).map(b"".join) | st.binary(max_size=60))
    inner = draw(st.lists(st.integers(0, len(wire)), max_size=8))
    return [wire[start:end] for start, end in pairwise([0, *sorted(inner), len(wire)])]


# The blank line first lets the decoder settle, so that the first phrase already may take the short way.
CHUNKS = cut_anywhere() | st.lists(PHRASES, max_size=6) | st.lists(PHRASES, max_size=6).map(lambda cut: [b"\n", *cut])


def state(decoder: Decoder, events: list[Event], *, too_large: bool = False) -> Stream:
    return Stream(seen(events), decoder.last_event_id, decoder.retry, too_large)


@settings(deadline=None, max_examples=400)
@given(chunks=CHUNKS)
def test_any_chunking_of_any_bytes_gives_what_the_standard_says(chunks: list[bytes]) -> None:
    decoder = Decoder()
    events = receive_all(decoder, chunks)
    assert state(decoder, events) == interpret(b"".join(chunks))


@settings(deadline=None, max_examples=400)
@given(chunks=CHUNKS, limit=st.integers(1, 40))
def test_any_chunking_meets_the_bound_at_the_same_event(chunks: list[bytes], limit: int) -> None:
    decoder = Decoder(max_event_bytes=limit)
    events: list[Event] = []
    too_large = False
    try:
        for chunk in (*chunks, b""):
            events += decoder.receive(chunk)
    except EventTooLarge:
        too_large = True
    assert state(decoder, events, too_large=too_large) == interpret(b"".join(chunks), limit=limit)
