"""From records to events."""

from __future__ import annotations

from tailrace.hub import EventRenderer, control, resume
from tailrace.log import Position, Record, Verdict

RECORDS = [Record(1, "", "x", 0.0), Record(2, "tick", "a\nb", 0.0), Record(3, "tick", None, 0.0)]


def test_a_record_becomes_an_event_with_its_position() -> None:
    assert EventRenderer().render("e", RECORDS) == [
        b"id: e-1\ndata: x\n\n",
        b"id: e-2\nevent: tick\ndata: a\ndata: b\n\n",
        b"",
    ]
    assert not EventRenderer().hides


def test_a_filter_shows_its_types_and_hides_the_others() -> None:
    ticks = EventRenderer(frozenset({"tick"}))
    assert [bool(block) for block in ticks.render("e", RECORDS)] == [False, True, False]
    assert ticks.hides


def test_an_event_without_a_type_is_a_message_to_a_filter() -> None:
    messages = EventRenderer(frozenset({"message"}))
    assert [bool(block) for block in messages.render("e", RECORDS)] == [True, False, False]


def test_equal_filters_are_one_view() -> None:
    assert len({EventRenderer(frozenset({"a", "b"})), EventRenderer(frozenset({"b", "a"})), EventRenderer()}) == 2


def test_an_event_of_ours_carries_a_position_only_where_it_moves_the_reader() -> None:
    assert control("cursor", {}, position=Position("e", 3)) == b"id: e-3\nevent: cursor\ndata: {}\n\n"
    reconnect = control("reconnect", {"reason": "ü"}, retry=1500)
    assert reconnect == 'retry: 1500\nevent: reconnect\ndata: {"reason":"ü"}\n\n'.encode()


def test_a_recovered_cursor_is_told_so_without_an_id() -> None:
    told = resume(Verdict("ok", 3, 0), Position("e", 3))
    assert told == b'event: resume\ndata: {"recovered":true,"reason":"ok","missed":0}\n\n'


def test_a_lost_cursor_is_told_where_reading_goes_on() -> None:
    told = resume(Verdict("unknown", None, None), Position("e", 3))
    assert told == b'id: e-3\nevent: resume\ndata: {"recovered":false,"reason":"unknown","missed":null}\n\n'
