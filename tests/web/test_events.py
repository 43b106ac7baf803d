"""Channels over HTTP: publish, subscribe, come back, read back, drop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Any
from urllib.parse import quote

import pytest

from tailrace.sse import Event
from tests.support.backed import Backed, data_of, names_of, verdict_of
from tests.support.raw import Answer, Raw

_names = count(1)


@pytest.fixture
def channel() -> str:
    """A channel that no other test knows."""
    return f"c{next(_names)}.x_~:-"


@contextmanager
def reader(backed: Backed, channel: str, query: str = "", cursor: str | None = None) -> Iterator[Raw]:
    headers = {"last-event-id": cursor} if cursor is not None else {}
    with backed.server.open("GET", f"/events/{channel}{query}", headers) as raw:
        yield raw


def publish(backed: Backed, channel: str, body: Any, headers: dict[str, str] | None = None) -> Answer:
    return backed.server.ask("POST", f"/events/{channel}", headers, body)


def published(backed: Backed, channel: str, count: int) -> list[str]:
    return [backed.server.publish(channel, f"{number}", event="odd" if number % 2 else None) for number in range(count)]


def data(events: list[Event]) -> list[str]:
    return [event.data for event in events]


# Publishing.


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("", ""),
        ({"a": [1, 2.5, None, True], "é": "ü"}, '{"a":[1,2.5,null,true],"é":"ü"}'),
        (None, "null"),
        (0, "0"),
        ([], "[]"),
        ("a\nb\r\nc\rd", "a\nb\nc\nd"),
        ("\u2028 \u2029 \u0085 \x0b \x0c \x00", "\u2028 \u2029 \u0085 \x0b \x0c \x00"),
        (" leading and trailing ", " leading and trailing "),
        (["a\nb"], '["a\\nb"]'),
        ("data: x\n\nevent: forged", "data: x\n\nevent: forged"),
    ],
)
def test_a_string_is_sent_as_its_text_and_anything_else_as_compact_json(
    backed: Backed, channel: str, value: object, text: str
) -> None:
    with reader(backed, channel) as raw:
        raw.event()
        answer = publish(backed, channel, {"data": value})
        assert answer.status == 200
        event = raw.event()
    assert event == Event(text, "message", answer.json()["id"])
    assert answer.json() == {"channel": channel, "id": event.id}


def test_each_line_of_data_has_a_field_and_only_cr_lf_and_crlf_end_lines(backed: Backed, channel: str) -> None:
    with reader(backed, channel) as raw:
        raw.event()
        backed.server.publish(channel, "a\r\nb\u2028c\rd\x85e")
        raw.event()
        assert "data: a\ndata: b\u2028c\ndata: d\x85e\n\n".encode() in raw.body


@pytest.mark.parametrize("kind", ["text/plain", "text/plain; charset=utf-8", "TEXT/PLAIN"])
def test_a_text_body_is_the_data_as_it_is(backed: Backed, channel: str, kind: str) -> None:
    with reader(backed, channel) as raw:
        raw.event()
        assert publish(backed, channel, b' {"not": "json"}\n', {"content-type": kind}).status == 200
        assert raw.event().data == ' {"not": "json"}\n'


def test_an_event_has_the_type_that_it_was_given(backed: Backed, channel: str) -> None:
    with reader(backed, channel) as raw:
        raw.event()
        for name in ("tick", "message", "order placed", "ünï", "x" * 128):
            backed.server.publish(channel, "x", event=name)
            assert raw.event().event == name


def test_the_same_operation_again_publishes_nothing_and_answers_as_before(backed: Backed, channel: str) -> None:
    with reader(backed, channel) as raw:
        raw.event()
        answers = [publish(backed, channel, {"data": "once", "idempotency_key": "k"}).json() for _ in range(3)]
        backed.server.publish(channel, "next")
        assert data(raw.events(2)) == ["once", "next"]
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize("name", ["ready", "resume", "gap", "cursor", "snapshot", "reconnect"])
def test_the_names_of_our_own_events_are_reserved(backed: Backed, channel: str, name: str) -> None:
    answer = publish(backed, channel, {"data": 1, "event": name})
    assert (answer.status, answer.json()["code"]) == (422, "invalid_name")


@pytest.mark.parametrize(
    "name", ["", "x" * 129, "a\nb", "a\rdata: forged", "a\r\n\r\ndata: forged", "nul\0", "tick\nid: 1"]
)
def test_an_event_type_that_no_stream_can_carry_is_refused(backed: Backed, channel: str, name: str) -> None:
    answer = publish(backed, channel, {"data": 1, "event": name})
    assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json")
    assert backed.server.ask("GET", f"/events/{channel}", {"accept": "application/json"}).json()["events"] == []


# What a channel may be called.


@pytest.mark.parametrize("name", ["a", "x" * 128, "...", ".hidden", "a..b", "A-Z:a.b_c~1"])
def test_the_names_that_the_contract_allows(backed: Backed, name: str) -> None:
    assert publish(backed, name, {"data": 1}).json()["channel"] == name


@pytest.mark.parametrize(
    "name",
    [".", "..", "x" * 129, "a b", "ä", "a\nb", "\r\nx: y", "a\0", "*", "a$", "%", "a+b", "😀", "a\u2028", "\uff11"],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_other_names_are_refused(backed: Backed, name: str, method: str) -> None:
    answer = backed.server.ask(method, f"/events/{quote(name, safe='')}", {}, {"data": 1} if method == "POST" else b"")
    assert (answer.status, answer.json()["code"]) == (422, "invalid_name")


@pytest.mark.parametrize(
    "path", ["/events/..%2f..%2fetc%2fpasswd", "/events/../health/../x/y", "/events//x", "/events/a/b", "/events/%2f"]
)
def test_a_path_is_never_a_name(backed: Backed, path: str) -> None:
    answer = backed.server.ask("POST", path, {}, {"data": 1})
    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")


def test_a_byte_that_is_no_utf8_is_no_name(backed: Backed) -> None:
    assert publish(backed, "%ff%fe", {"data": 1}).status == 422


# Reading.


def test_a_reader_gets_a_position_first_and_then_what_is_published(backed: Backed, channel: str) -> None:
    published(backed, channel, 2)
    with reader(backed, channel) as raw:
        ready = raw.event()
        assert (ready.event, data_of(ready), ready.retry) == ("ready", {"channels": [channel]}, 2000)
        assert ready.id.endswith("-2")
        published(backed, channel, 3)
        events = raw.events(3)
    assert data(events) == ["0", "1", "2"]
    assert names_of(events) == ["message", "odd", "message"]


def test_the_head_of_a_channels_stream(backed: Backed, channel: str) -> None:
    with backed.server.connect() as raw:
        raw.request("GET", f"/events/{channel}")
        head = raw.head()
    assert head.status == 200
    assert head.headers["content-type"].partition(";")[0] == "text/event-stream"
    assert head.headers["cache-control"] == "no-cache, no-transform"
    assert head.headers["x-accel-buffering"] == "no"
    assert head.headers["tailrace-heartbeat"] == "15"
    assert "tailrace-run" not in head.headers


@pytest.mark.parametrize("offset", range(4))
def test_a_cursor_gets_exactly_what_came_after_it(backed: Backed, channel: str, offset: int) -> None:
    published(backed, channel, 3)
    with reader(backed, channel) as raw:
        epoch = raw.event().id.rpartition("-")[0]
    for query, header in (("", f"{epoch}-{offset}"), (f"?last_event_id={epoch}-{offset}", None)):
        with reader(backed, channel, query, header) as raw:
            resume = raw.event()
            assert (verdict_of(resume), resume.id) == ((True, "ok", 0), "")
            backed.server.publish(channel, "new")
            expected = [*["0", "1", "2"][offset:], "new"]
            assert data(raw.events(len(expected)))[: 3 - offset] == ["0", "1", "2"][offset:]


@pytest.mark.parametrize(
    ("cursor", "reason"),
    [
        ("{epoch}-99", "ahead"),
        ("Xyz-1", "unknown"),
        ("{epoch}", "malformed"),
        ("{epoch}-01", "malformed"),
        ("é", "malformed"),
    ],
)
def test_a_cursor_that_names_no_place_is_told_and_goes_on_live(
    backed: Backed, channel: str, cursor: str, reason: str
) -> None:
    published(backed, channel, 2)
    with reader(backed, channel) as raw:
        epoch = raw.event().id.rpartition("-")[0]
    with reader(backed, channel, "", cursor.format(epoch=epoch)) as raw:
        resume = raw.event()
        assert verdict_of(resume) == (False, reason, None)
        assert resume.id == f"{epoch}-2"
        backed.server.publish(channel, "new")
        assert raw.event().data == "new"


def test_a_cursor_that_was_trimmed_away_goes_on_from_the_oldest_and_says_how_many_are_gone(
    backed: Backed, channel: str
) -> None:
    big = "x" * 60_000  # a channel keeps a megabyte
    first = backed.server.publish(channel, "first")
    for _ in range(20):
        backed.server.publish(channel, big)
    with reader(backed, channel, "", first) as raw:
        resume = raw.event()
        recovered, reason, missed = verdict_of(resume)
        assert (recovered, reason) == (False, "trimmed")
        assert missed is not None
        assert 1 <= missed < 20
        rest = raw.events(20 - missed)
    assert resume.id == f"{first.rpartition('-')[0]}-{1 + missed}"
    assert [int(event.id.rpartition("-")[2]) for event in rest] == list(range(missed + 2, 22))


def test_from_earliest_is_all_that_is_retained(backed: Backed, channel: str) -> None:
    published(backed, channel, 3)
    with reader(backed, channel, "?from=earliest") as raw:
        ready, *events = raw.events(4)
    assert ready.id.endswith("-0")
    assert data(events) == ["0", "1", "2"]


def test_the_header_counts_more_than_the_query_and_that_more_than_from(backed: Backed, channel: str) -> None:
    ids = published(backed, channel, 3)
    with reader(backed, channel, f"?last_event_id={ids[0]}&from=earliest", ids[1]) as raw:
        assert data(raw.events(2)[1:]) == ["2"]
    with reader(backed, channel, f"?last_event_id={ids[0]}&from=earliest") as raw:
        assert data(raw.events(3)[1:]) == ["1", "2"]


def test_a_filter_keeps_the_types_that_it_names(backed: Backed, channel: str) -> None:
    with reader(backed, channel, "?event=a&event=message&event=b") as raw:
        raw.event()
        for event in ("a", "c", None, "b", "c", "a"):
            backed.server.publish(channel, event, event=event)
        assert names_of(raw.events(4)) == ["a", "message", "b", "a"]


def test_an_empty_filter_hides_nothing(backed: Backed, channel: str) -> None:
    with reader(backed, channel, "?event=") as raw:
        raw.event()
        for event in ("a", None):
            backed.server.publish(channel, event, event=event)
        assert names_of(raw.events(2)) == ["a", "message"]


def test_a_filter_moves_the_position_past_what_it_hides(backed: Backed, channel: str) -> None:
    with reader(backed, channel, "?event=rare") as raw:
        raw.event()
        for number in range(300):
            backed.server.publish(channel, number)
        cursor = raw.event()
        assert (cursor.event, cursor.data) == ("cursor", "{}")
        last = backed.server.publish(channel, "here", event="rare")
        assert raw.event().id == last
    with reader(backed, channel, "?event=rare", cursor.id) as raw:
        assert verdict_of(raw.event()) == (True, "ok", 0)
        assert raw.event().id == last


def test_ten_readers_read_the_same_bytes(backed: Backed, channel: str) -> None:
    with ExitStack() as stack:
        raws = [stack.enter_context(reader(backed, channel)) for _ in range(10)]
        for raw in raws:
            raw.event()
        published(backed, channel, 30)
        bodies = set()
        for raw in raws:
            raw.events(30)
            bodies.add(bytes(raw.body))
    assert len(bodies) == 1


# Reading back, and dropping.


def history(backed: Backed, channel: str, query: str = "", headers: dict[str, str] | None = None) -> Any:
    answer = backed.server.ask("GET", f"/events/{channel}{query}", {"accept": "application/json", **(headers or {})})
    assert answer.status == 200, answer
    return answer.json()


def test_the_retained_events_as_json(backed: Backed, channel: str) -> None:
    ids = published(backed, channel, 3)
    answer = history(backed, channel)
    assert [(event["id"], event["event"], event["data"]) for event in answer["events"]] == [
        (ids[0], "message", "0"),
        (ids[1], "odd", "1"),
        (ids[2], "message", "2"),
    ]
    assert (answer["channel"], answer["id"]) == (channel, ids[2])
    assert "resume" not in answer


def test_the_retained_events_can_be_read_page_by_page(backed: Backed, channel: str) -> None:
    ids = published(backed, channel, 5)
    read: list[str] = []
    cursor = ""
    while page := history(backed, channel, f"?limit=2&last_event_id={cursor}"):
        if not page["events"]:
            break
        read += [event["id"] for event in page["events"]]
        cursor = page["id"]
    assert read == ids
    assert page["resume"] == {"recovered": True, "reason": "ok", "missed": 0}


def test_a_filter_holds_in_json_too_and_the_id_is_behind_what_it_hides(backed: Backed, channel: str) -> None:
    ids = [backed.server.publish(channel, event, event=event) for event in ("a", "b", None, "c")]
    shown = history(backed, channel, "?event=a&event=message")
    assert [each["id"] for each in shown["events"]] == [ids[0], ids[2]]
    assert shown["id"] == ids[3]


def test_a_lost_cursor_is_told_in_json_too(backed: Backed, channel: str) -> None:
    published(backed, channel, 2)
    answer = history(backed, channel, "", {"last-event-id": "Other-1"})
    assert answer["resume"] == {"recovered": False, "reason": "unknown", "missed": None}
    assert len(answer["events"]) == 2


def test_a_channel_that_nobody_used_has_no_events(backed: Backed, channel: str) -> None:
    assert history(backed, channel)["events"] == []


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1.5", "", "1e3", "٣", "9" * 5000])
def test_a_limit_is_a_whole_number_from_one(backed: Backed, channel: str, limit: str) -> None:
    answer = backed.server.ask("GET", f"/events/{channel}?limit={quote(limit)}", {"accept": "application/json"})
    assert (answer.status, answer.json()["code"]) == (422, "invalid_query")


def test_dropping_begins_a_new_epoch_and_its_readers_are_told(backed: Backed, channel: str) -> None:
    ids = published(backed, channel, 3)
    with reader(backed, channel) as raw, reader(backed, channel, "?event=odd") as filtered:
        raw.event()
        filtered.event()
        answer = backed.server.ask("DELETE", f"/events/{channel}")
        assert answer.status == 200
        assert answer.json()["channel"] == channel
        fresh = backed.server.publish(channel, "after", event="odd")
        assert fresh.rpartition("-")[0] != ids[0].rpartition("-")[0]
        for one in (raw, filtered):
            gap, event = one.events(2)
            assert (gap.event, data_of(gap)) == ("gap", {"missed": None, "reason": "unknown"})
            assert gap.id == answer.json()["id"]
            assert (event.data, event.id) == ("after", fresh)
    with reader(backed, channel, "", ids[1]) as raw:
        assert verdict_of(raw.event()) == (False, "unknown", None)
    assert [event["id"] for event in history(backed, channel)["events"]] == [fresh]


def test_a_reader_who_leaves_is_forgotten(backed: Backed, channel: str) -> None:
    before = backed.server.health()["subscribers"]
    with reader(backed, channel) as raw:
        raw.event()
        assert backed.server.health()["subscribers"] == before + 1
    for _ in range(100):
        if backed.server.health()["subscribers"] == before:
            break
    assert backed.server.health()["subscribers"] == before
    assert json.loads(backed.server.ask("GET", "/health/live").body) == {"status": "live"}
