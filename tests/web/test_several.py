"""Several channels over HTTP: published to in one call, followed on one connection, with one cursor for all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest

from tailrace.sse import Event
from tests.support.backed import Backed, data_of, names_of
from tests.support.raw import Raw

_names = count(1)


@pytest.fixture
def names() -> tuple[str, str]:
    """Two channels that no other test knows."""
    number = next(_names)
    return f"several{number}.a", f"several{number}.b"


@contextmanager
def reader(backed: Backed, *channels: str, query: str = "", cursor: str | None = None) -> Iterator[Raw]:
    headers = {"last-event-id": cursor} if cursor is not None else {}
    named = "&".join([f"channel={channel}" for channel in channels])
    with backed.server.open("GET", f"/events?{named}{query}", headers) as raw:
        yield raw


def said(events: list[Event]) -> list[Any]:
    """What events say, each with its channel's last letter."""
    return [(data_of(event)["channel"][-1], data_of(event)["data"]) for event in events]


def fields(verdict: tuple[bool, str, int | None]) -> dict[str, Any]:
    return dict(zip(("recovered", "reason", "missed"), verdict, strict=True))


OK = fields((True, "ok", 0))


# Following.


def test_events_of_all_channels_come_on_one_connection_with_one_cursor(backed: Backed, names: tuple[str, str]) -> None:
    a, b = names
    with reader(backed, b, a) as raw:
        ready = raw.event()
        assert (ready.event, data_of(ready), ready.retry) == ("ready", {"channels": [b, a]}, 2000)
        backed.server.publish(a, {"n": 1}, event="tick")
        backed.server.publish(b, "text")
        for data in (5, "5", None, '{"x":1}', "a\nb"):
            backed.server.publish(a, data)
        events = raw.events(7)
    assert said(events) == [
        ("a", {"n": 1}),
        ("b", "text"),
        *[("a", each) for each in (5, "5", None, '{"x":1}', "a\nb")],
    ]
    assert names_of(events)[:2] == ["tick", "message"]
    ids = [event.id for event in (ready, *events)]
    assert len(set(ids)) == len(ids)
    assert max(map(len, ids)) <= 32


@pytest.mark.parametrize("seen", range(5))
def test_a_cursor_gets_exactly_what_came_after_it_in_each(backed: Backed, names: tuple[str, str], seen: int) -> None:
    a, b = names
    with reader(backed, a, b) as raw:
        ids = [raw.event().id]
        for number in range(4):
            backed.server.publish((a, b)[number % 2], number)
        events = raw.events(4)
        ids += [event.id for event in events]
    with reader(backed, a, b, cursor=ids[seen]) as raw:
        resume = raw.event()
        assert (resume.event, resume.id) == ("resume", "")
        assert data_of(resume) == {"recovered": True, "channels": {a: OK, b: OK}}
        backed.server.publish(a, "new")
        rest = raw.events(5 - seen)
    for name in "ab":
        expected = [each for each in said(events)[seen:] if each[0] == name] + [("a", "new")] * (name == "a")
        assert [each for each in said(rest) if each[0] == name] == expected


def test_a_set_of_channels_that_changes_goes_on_in_those_that_it_had(backed: Backed, names: tuple[str, str]) -> None:
    a, b = names
    c = f"{a}.c"
    with reader(backed, a, b) as raw:
        raw.event()
        backed.server.publish(a, 1)
        cursor = raw.event().id
    backed.server.publish(a, 2)
    backed.server.publish(c, "before")
    with reader(backed, c, a, cursor=cursor) as raw:
        resume = raw.event()
        lost = fields((False, "unknown", None))
        assert data_of(resume) == {"recovered": False, "channels": {a: OK, c: lost}}
        assert resume.id
        assert said([raw.event()]) == [("a", 2)]
        backed.server.publish(c, "after")
        assert said([raw.event()]) == [("c", "after")]
    # A cursor of several serves for one of them, and one's for several.
    with backed.server.open("GET", f"/events/{a}", {"last-event-id": cursor}) as raw:
        assert data_of(raw.event()) == OK
        single = raw.event()
        assert single.data == "2"
    with reader(backed, a, b, cursor=single.id) as raw:
        assert data_of(raw.event())["channels"][a] == OK


def test_each_channel_has_a_verdict_of_its_own(backed: Backed, names: tuple[str, str]) -> None:
    a, b = names
    with reader(backed, a, b) as raw:
        cursor = raw.event().id
    for _ in range(20):  # of a megabyte that is kept
        backed.server.publish(a, "x" * 60_000)
    backed.server.ask("DELETE", f"/events/{b}")
    with reader(backed, a, b, cursor=cursor) as raw:
        resume = raw.event()
        told = data_of(resume)
        assert told["recovered"] is False
        assert told["channels"][b] == fields((False, "unknown", None))
        assert (told["channels"][a]["recovered"], told["channels"][a]["reason"]) == (False, "trimmed")
        assert 1 <= told["channels"][a]["missed"] <= 5
        assert resume.id
        left = 20 - told["channels"][a]["missed"]
        assert len(raw.events(left)) == left
    with reader(backed, a, b, cursor="no cursor") as raw:
        told = data_of(raw.event())
        assert {each["reason"] for each in told["channels"].values()} == {"malformed"}


def test_a_history_that_is_dropped_is_a_gap_of_its_channel(backed: Backed, names: tuple[str, str]) -> None:
    a, b = names
    with reader(backed, a, b) as raw:
        raw.event()
        backed.server.ask("DELETE", f"/events/{b}")
        gap = raw.event()
        assert (gap.event, data_of(gap)) == ("gap", {"channel": b, "missed": None, "reason": "unknown"})
        backed.server.publish(b, "on")
        assert said([raw.event()]) == [("b", "on")]


def test_a_filter_hides_events_and_moves_the_cursor(backed: Backed, names: tuple[str, str]) -> None:
    a, b = names
    with reader(backed, a, b, query="&event=tick") as raw:
        raw.event()
        for number in range(300):
            backed.server.publish(a, number)
        cursor = raw.event()
        assert (cursor.event, cursor.data) == ("cursor", "{}")
        backed.server.publish(b, 1, event="tick")
        tick = raw.event()
        assert (tick.event, said([tick])) == ("tick", [("b", 1)])
    with reader(backed, a, b, query="&event=tick", cursor=tick.id) as raw:
        assert data_of(raw.event())["recovered"] is True


def test_all_that_is_retained_comes_first_where_that_is_asked_for(backed: Backed, names: tuple[str, str]) -> None:
    a, b = names
    for number in range(6):
        backed.server.publish((a, b)[number % 2], number)
    with reader(backed, a, b, query="&from=earliest") as raw:
        assert raw.event().event == "ready"
        events = said(raw.events(6))
    assert sorted(events) == [("a", 0), ("a", 2), ("a", 4), ("b", 1), ("b", 3), ("b", 5)]
    assert [each for each in events if each[0] == "b"] == [("b", 1), ("b", 3), ("b", 5)]


def test_a_snapshot_tells_the_state_of_each_and_then_what_changes_it(backed: Backed, names: tuple[str, str]) -> None:
    a, b = names
    backed.server.ask("POST", f"/events/{a}", {}, {"data": {"x": 1, "y": 2}, "state": "replace"})
    backed.server.ask("POST", f"/events/{a}", {}, {"data": {"x": None, "z": [3]}, "state": "merge"})
    with reader(backed, a, b, query="&snapshot=1") as raw:
        ready, snapshot = raw.events(2)
        assert (ready.event, ready.id, snapshot.event) == ("ready", "", "snapshot")
        assert data_of(snapshot) == {"channels": {a: {"state": {"y": 2, "z": [3]}}, b: {"state": None}}}
        backed.server.publish(b, 1)
        assert said([raw.event()]) == [("b", 1)]
    with backed.server.open("GET", f"/events/{a}?snapshot=1") as raw:
        _, snapshot = raw.events(2)
        assert data_of(snapshot) == {"state": {"y": 2, "z": [3]}}
        backed.server.publish(a, "on")
        assert raw.event().data == "on"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "invalid_query"),
        ("channel=", "invalid_name"),
        ("channel=a&channel=b/c", "invalid_name"),
        ("channel=a&from=now", "invalid_query"),
        ("&".join([f"channel=c{number}" for number in range(101)]), "invalid_name"),
    ],
)
def test_what_cannot_be_followed_is_refused(backed: Backed, query: str, code: str) -> None:
    answer = backed.server.ask("GET", f"/events?{query}")
    assert (answer.status, answer.json()["code"]) == (422, code)


def test_a_hundred_channels_can_be_followed_and_resumed(backed: Backed, names: tuple[str, str]) -> None:
    channels = [f"{names[0]}.{number}" for number in range(100)]
    with reader(backed, *channels) as raw:
        raw.event()
        backed.server.publish(channels[50], "x")
        cursor = raw.event().id
        assert len(cursor) < 2048
    backed.server.publish(channels[99], "y")
    with reader(backed, *channels, cursor=cursor) as raw:
        assert data_of(raw.event())["recovered"] is True
        assert data_of(raw.event())["data"] == "y"


def test_what_several_channels_retain_is_shown_with_an_id_to_go_on_from(backed: Backed, names: tuple[str, str]) -> None:
    a, b = names
    ids = [backed.server.publish(channel, "x") for channel in (a, b, b)]
    shown = backed.server.ask("GET", f"/events?channel={b}&channel={a}", {"accept": "application/json"}).json()
    assert shown["id"] == f"{ids[0]}.{ids[2]}"
    assert [event["id"] for event in shown["channels"][b]["events"]] == ids[1:]
    backed.server.publish(a, "new")
    with reader(backed, a, b, cursor=shown["id"]) as raw:
        assert data_of(raw.event())["recovered"] is True
        assert said([raw.event()]) == [("a", "new")]


# Publishing.


def test_events_for_several_channels_are_published_in_one_call(backed: Backed, names: tuple[str, str]) -> None:
    a, b = names
    events = [
        {"channel": a, "data": {"n": 1}, "event": "tick"},
        {"channel": b, "data": "text"},
        {"channel": a, "data": 2, "state": "replace"},
    ]
    with reader(backed, a, b) as raw:
        raw.event()
        body = {"events": events, "idempotency_key": "k"}
        answers = [backed.server.ask("POST", "/events", {}, body) for _ in range(2)]
        backed.server.publish(a, "next")
        got = raw.events(4)
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    told = answers[0].json()["events"]
    assert [each["channel"] for each in told] == [a, b, a]
    assert [each["id"].rpartition("-")[2] for each in told] == ["1", "1", "2"]
    assert sorted(said(got), key=json.dumps) == [("a", "next"), ("a", 2), ("a", {"n": 1}), ("b", "text")]
    assert [each for each in said(got) if each[0] == "a"] == [("a", {"n": 1}), ("a", 2), ("a", "next")]


def test_a_key_that_came_with_fewer_events_never_yields_an_id_that_nothing_has(
    backed: Backed, names: tuple[str, str]
) -> None:
    a, _ = names
    backed.server.ask("POST", f"/events/{a}", {}, {"data": 0, "idempotency_key": "k"})
    body = {"events": [{"channel": a, "data": n} for n in (1, 2, 3)], "idempotency_key": "k"}
    answers = [backed.server.ask("POST", "/events", {}, body).json()["events"] for _ in range(2)]
    assert answers[0] == answers[1]
    assert [each["id"].partition("-")[2] for each in answers[0]] == ["2", "3", "4"]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ({"channel": "a b", "data": 1}, "invalid_name"),
        ({"channel": "a", "data": 1, "event": "ready"}, "invalid_name"),
        ({"channel": "a", "data": 1, "event": "x\n"}, "invalid_event"),
        ({"channel": "a"}, "invalid_body"),
        ({"channel": "a", "data": 1, "state": "new"}, "invalid_body"),
        ({"channel": "a", "data": 1, "idempotency_key": "k"}, "invalid_body"),
    ],
)
def test_one_bad_event_is_named_and_nothing_is_published(
    backed: Backed, names: tuple[str, str], bad: dict[str, Any], code: str
) -> None:
    answer = backed.server.ask("POST", "/events", {}, {"events": [{"channel": names[0], "data": 1}, bad]})
    assert (answer.status, answer.json()["code"]) == (422, code)
    assert "events[1]" in answer.json()["detail"] or "events[...]" in answer.json()["detail"]
    shown = backed.server.ask("GET", f"/events/{names[0]}", {"accept": "application/json"}).json()
    assert shown["events"] == []


@pytest.mark.parametrize("body", [{"events": []}, {}, {"events": [{"channel": "a", "data": 1}] * 1001}])
def test_none_and_too_many_are_refused(backed: Backed, body: dict[str, Any]) -> None:
    assert backed.server.ask("POST", "/events", {}, body).status == 422


def test_which_event_was_not_published_is_told(backed: Backed, names: tuple[str, str]) -> None:
    a, b = names
    large = {"x": "x" * 50_000}
    for number in range(5):
        data = {f"x{number}": large["x"]}
        assert backed.server.ask("POST", f"/events/{a}", {}, {"data": data, "state": "merge"}).status == 200
    events = [{"channel": a, "data": large, "state": "merge"}, {"channel": b, "data": 1}]
    answer = backed.server.ask("POST", "/events", {}, {"events": events})
    assert (answer.status, answer.json()["code"]) == (422, "invalid_event")
    told = answer.json()["events"]
    assert told[0]["error"]["code"] == "invalid_event"
    assert told[1]["id"].endswith("-1")
