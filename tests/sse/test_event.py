"""An event that was constructed can be written; it is a frozen value that equals only events."""

from __future__ import annotations

import copy
import pickle

import pytest

from tailrace.errors import InvalidEvent
from tailrace.sse import Decoder, Event


@pytest.mark.parametrize("field", ["event", "id"])
@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\0b", "\n", "a\r\ndata: forged"])
def test_line_breaks_and_nul_are_refused_in_event_and_id(field: str, text: str) -> None:
    with pytest.raises(InvalidEvent, match=field):
        Event("x", **{field: text})  # type: ignore[arg-type]


@pytest.mark.parametrize("text", [" 1", "1 ", "\t1", "1\t", " "])
def test_an_id_that_a_header_would_trim_is_refused(text: str) -> None:
    with pytest.raises(InvalidEvent, match="Last-Event-ID"):
        Event("x", id=text)


def test_a_negative_retry_is_refused() -> None:
    with pytest.raises(InvalidEvent, match="retry"):
        Event("x", retry=-1)
    assert Event("x", retry=0).retry == 0


@pytest.mark.parametrize("event", [("\ud800",), ("x", "\udc00"), ("x", "t", "\udfff")])
def test_text_that_has_no_utf8_is_refused(event: tuple[str, ...]) -> None:
    with pytest.raises(InvalidEvent, match="surrogate"):
        Event(*event)  # type: ignore[arg-type]


def test_data_may_hold_anything_else() -> None:
    text = "a\nb\r\n\0\u2028\U0001f30a "
    assert Event(text).data == text


def test_an_empty_type_is_message_as_it_is_to_a_reader() -> None:
    assert Event("x", event="") == Event("x") == Event("x", "message", "", None)


def test_events_are_equal_and_hash_by_value() -> None:
    assert Event("x", id="1") == Event("x", id="1")
    assert Event("x", id="1") != Event("x", id="2")
    assert len({Event("x"), Event("x")}) == 1


def test_an_event_equals_no_plain_tuple() -> None:
    plain = ("x", "message", "", None)
    assert tuple(Event("x")) == plain
    assert Event("x") != plain
    assert plain != Event("x")
    assert not Event("x") == plain  # noqa: SIM201  # `==` and `!=` are two methods of a tuple
    assert not plain == Event("x")  # noqa: SIM201


def test_a_decoded_event_equals_a_constructed_one() -> None:
    assert Decoder().receive(b"id: 1\nevent: t\nretry: 5\ndata: x\n\n") == [Event("x", "t", "1", 5)]


@pytest.mark.parametrize("field", ["data", "event", "id", "retry", "other"])
def test_an_event_is_frozen(field: str) -> None:
    with pytest.raises(AttributeError):
        setattr(Event("x"), field, "y")


def test_a_changed_copy_is_validated_like_any_other() -> None:
    assert Event("x")._replace(id="1") == Event("x", id="1")
    with pytest.raises(InvalidEvent):
        Event("x")._replace(id="1\n")


def test_an_event_is_copied_and_pickled_as_itself() -> None:
    event = Event("x", "t", "1", 5)
    assert copy.deepcopy(event) == event
    assert pickle.loads(pickle.dumps(event)) == event


def test_its_repr_names_every_field() -> None:
    assert repr(Event("x", id="1")) == "Event(data='x', event='message', id='1', retry=None)"
