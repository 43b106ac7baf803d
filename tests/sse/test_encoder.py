"""The encoder's bytes are read back as what was written, and hold nothing that real clients trip over."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.sse import HEARTBEAT, Decoder, Event, comment, encode, encode_block
from tests.sse.reference import interpret


def test_a_message_is_its_data_and_a_blank_line() -> None:
    assert encode(Event("hello")) == encode_block("hello") == b"data: hello\n\n"


@pytest.mark.parametrize(
    ("event", "wire"),
    [
        (Event("x", "tick"), b"event: tick\ndata: x\n\n"),
        (Event("x", id="e-1"), b"id: e-1\ndata: x\n\n"),
        (Event("x", "tick", "e-1"), b"id: e-1\nevent: tick\ndata: x\n\n"),
        (Event("x", "tick", "e-1", 2000), b"retry: 2000\nid: e-1\nevent: tick\ndata: x\n\n"),
        (Event("x", retry=0), b"retry: 0\ndata: x\n\n"),
        (Event("", "tick"), b"event: tick\ndata: \n\n"),
    ],
)
def test_each_field_is_a_line_and_data_comes_last(event: Event, wire: bytes) -> None:
    assert encode(event) == wire


@pytest.mark.parametrize("line_break", ["\n", "\r", "\r\n"])
def test_data_is_split_at_each_line_break_that_a_reader_knows(line_break: str) -> None:
    assert encode_block(f"a{line_break}b", "t") == b"event: t\ndata: a\ndata: b\n\n"


@pytest.mark.parametrize("injected", ["\ndata: forged", "\r\n\r\nevent: forged", "\r\rid: forged", "\nretry: 1"])
def test_data_cannot_forge_a_field(injected: str) -> None:
    (event,) = Decoder().receive(encode_block(f"a{injected}", id="1"))
    assert (event.event, event.id, event.retry) == ("message", "1", None)
    assert event.data == f"a{injected}".replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize("text", ["\u2028", "\u2029", "\u0085", "\v", "\f", "\x1c", "\x1d", "\x1e", "\0"])
def test_data_is_split_at_nothing_else(text: str) -> None:
    assert encode_block(f"a{text}b") == f"data: a{text}b\n\n".encode()


def test_data_keeps_its_empty_lines_and_its_own_leading_space() -> None:
    assert encode_block(" a\n\n b\n") == b"data:  a\ndata: \ndata:  b\ndata: \n\n"


def test_a_type_keeps_its_leading_space() -> None:
    (event,) = Decoder().receive(encode(Event("x", " tick ")))
    assert event.event == " tick "


def test_what_was_read_can_be_written_back_even_if_it_could_not_be_constructed() -> None:
    wire = b"id:  1 \nevent: a\0b\ndata: x\n\n"
    (event,) = Decoder().receive(wire)
    assert encode(event) == wire


def test_lone_surrogates_are_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        encode_block("\ud83d")


def test_a_comment_is_one_line_and_one_line_feed() -> None:
    assert comment("ping") == b":ping\n"
    assert comment("") == b":\n"
    assert comment("heartbeat") == HEARTBEAT


def test_a_comment_of_several_lines_stays_a_comment() -> None:
    assert comment("a\r\ndata: forged\rb\n") == b":a\n:data: forged\n:b\n:\n"


TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from("\n\r\0 :\u2028"), max_size=20)


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\n\r\0"), max_size=10)
EVENTS = st.builds(
    Event,
    TEXTS,
    event=NAMES,
    id=NAMES.map(lambda text: text.strip(" \t")),
    retry=st.none() | st.integers(0, 10**12),
)


@settings(deadline=None)
@given(events=st.lists(EVENTS, max_size=5), text=TEXTS)
def test_what_is_written_is_what_is_read(events: list[Event], text: str) -> None:
    """But for line breaks in data, which come back as LF, and ids, which persist. Comments between change nothing."""
    decoder = Decoder()
    received = decoder.receive(b"".join(comment(text) + encode(event) for event in events))
    last_id = ""
    for sent, got in zip(events, received, strict=True):
        last_id = sent.id or last_id
        assert got.data == sent.data.replace("\r\n", "\n").replace("\r", "\n")
        assert (got.event, got.id, got.retry) == (sent.event, last_id, sent.retry)


@settings(deadline=None)
@given(text=TEXTS)
def test_no_comment_is_ever_an_event(text: str) -> None:
    assert interpret(comment(text) + b"\n").events == []
