"""Channels and answers over a WebSocket: what is said, what is answered, and that nothing said wrong ends it."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.backed import Backed
from tests.support.hosted import until
from tests.support.raw import Ended
from tests.support.upstream import Script
from tests.support.websocket import HANDSHAKE, Talk, Wire, frame


@pytest.fixture
def talk(backed: Backed) -> Any:
    with Talk(backed.server.address) as talk:
        yield talk


def text_of(events: list[dict[str, Any]]) -> str:
    return "".join([event["data"]["text"] for event in events if event["event"] == "message"])


# What everything has in common.


@pytest.mark.parametrize("id_", [7, -1.5, "a", "", "ü\n", True, None, 123456789012345678901234567890, 1e300])
def test_an_id_of_any_kind_comes_back_with_the_reply(talk: Talk, id_: object) -> None:
    talk.say("ping", [1, {"a": None}], id=id_)
    assert talk.hear() == {"type": "pong", "id": id_, "payload": [1, {"a": None}]}


def test_a_ping_without_anything_is_answered_without_anything(talk: Talk) -> None:
    talk.say("ping")
    assert talk.hear() == {"type": "pong"}


@pytest.mark.parametrize(
    ("message", "code", "id_"),
    [
        ("", "malformed", None),
        ("{", "malformed", None),
        ("ping", "malformed", None),
        ('{"type":"ping","payload":NaN}', "malformed", None),
        ('{"type":"ping","payload":' + "[" * 20_000 + "]" * 20_000 + "}", "malformed", None),
        (b'{"type":"ping"}', "binary_message", None),
        ("[]", "invalid_message", None),
        ('"ping"', "invalid_message", None),
        ('{"id":4}', "invalid_message", 4),
        ('{"id":4,"type":5}', "invalid_message", 4),
        ('{"id":[4],"type":"ping"}', "invalid_message", None),
        ('{"id":4,"type":"ping","playload":1}', "invalid_message", 4),
        ('{"id":4,"type":"nope"}', "unknown_type", 4),
        ('{"id":4,"type":"subscribe"}', "invalid_payload", 4),
        ('{"id":4,"type":"subscribe","payload":[]}', "invalid_payload", 4),
        ('{"id":4,"type":"subscribe","payload":{"channel":5}}', "invalid_payload", 4),
        ('{"id":4,"type":"subscribe","payload":{"channel":"a","from":"then"}}', "invalid_payload", 4),
        ('{"id":4,"type":"subscribe","payload":{"channel":"a b"}}', "invalid_name", 4),
        ('{"id":4,"type":"subscribe","payload":{"channel":"' + "a" * 129 + '"}}', "invalid_name", 4),
        ('{"id":4,"type":"unsubscribe","payload":{"channel":"not-mine"}}', "not_subscribed", 4),
        ('{"id":4,"type":"unsubscribe","payload":{}}', "invalid_payload", 4),
        ('{"id":4,"type":"publish","payload":{"channel":"news"}}', "invalid_payload", 4),
        ('{"id":4,"type":"publish","payload":{"channel":"news","data":1,"event":"ready"}}', "invalid_name", 4),
        ('{"id":4,"type":"publish","payload":{"channel":"news","data":1,"event":"a\\nb"}}', "invalid_event", 4),
        ('{"id":4,"type":"chat","payload":{}}', "invalid_payload", 4),
        ('{"id":4,"type":"chat","payload":{"message":"Hi","model":"nobody"}}', "unknown_model", 4),
        ('{"id":4,"type":"attach","payload":{"run":"nobody"}}', "not_found", 4),
        ('{"id":4,"type":"cancel","payload":{"run":"nobody"}}', "not_found", 4),
    ],
)
def test_what_is_wrong_is_an_answer_and_the_connection_stays(
    talk: Talk, message: str | bytes, code: str, id_: object
) -> None:
    talk.send(message)
    said = talk.hear()
    assert (said["type"], said["code"], said.get("id")) == ("error", code, id_)
    assert said["message"]
    assert talk.ask("ping")["type"] == "pong"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["channel", "run", "data", "event", "last_event_id", "message", "messages", "from", "snapshot", "tools"]
PAYLOAD = st.dictionaries(st.sampled_from(FIELDS), JSON | st.sampled_from(["news", "a-1", "earliest"]), max_size=4)
TYPES = st.sampled_from(["ping", "subscribe", "unsubscribe", "publish", "attach", "cancel", "event"])
OURS = st.fixed_dictionaries({}, optional={"type": TYPES | JSON, "id": JSON, "payload": PAYLOAD | JSON})
ANYTHING = st.one_of(OURS.map(json.dumps), JSON.map(json.dumps), st.text(max_size=40), st.binary(max_size=40))


@given(st.lists(ANYTHING, max_size=6))
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_said_each_message_is_answered_and_the_connection_stays(
    talk: Talk, messages: list[str | bytes]
) -> None:
    for message in messages:
        talk.send(message)
    talk.say("ping", id="last")
    replies = 0
    while True:
        said = talk.hear()
        replies += said["type"] != "event"
        if said.get("id") == "last" and said["type"] == "pong":
            break
    assert replies == len(messages) + 1


# Frames that are none, and handshakes.


def closes_with(wire: Wire) -> object:
    try:
        while True:
            wire.hear()
    except Ended as ended:
        return ended.args[0]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(b"\xff\xfe"), 1007),
        (frame(b"{" + b" " * 70_000 + b"}"), 1009),
        (frame(b"{" + b" " * 40_000, 0x01) + frame(b" " * 40_000, 0x00), 1009),
        (b"\x81\x02{}", 1002),
        (frame(b"", 0x83), 1002),
        (frame(b"", 0x80), 1002),
        (frame(b"x" * 126, 0x89), 1002),
    ],
    ids=[
        "no UTF-8",
        "too large",
        "too large in pieces",
        "not masked",
        "an unknown kind",
        "a continuation of nothing",
        "a large ping",
    ],
)
def test_what_is_no_websocket_ends_the_connection_as_its_rfc_has_it(backed: Backed, data: bytes, code: int) -> None:
    with Wire(backed.server.address) as wire:
        wire.send(data)
        assert closes_with(wire) == code


FRAMES = st.builds(frame, st.binary(max_size=200), st.integers(0, 255))


@given(st.lists(FRAMES | st.binary(max_size=200), max_size=8).map(b"".join))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_comes_instead_of_frames_ends_that_connection_at_most(backed: Backed, data: bytes) -> None:
    with Wire(backed.server.address) as wire:
        with suppress(OSError):  # it may have been closed by then
            wire.send(data)
            wire.finish()
        assert [each["type"] for each in wire.to_end() if each["type"] != "error"] == []


def test_a_message_may_come_in_pieces(backed: Backed) -> None:
    with Wire(backed.server.address) as wire:
        for index, piece in enumerate([b'{"ty', b'pe":"', b'ping"}']):
            wire.send(frame(piece, (0x01 if index == 0 else 0x00) | (0x80 if index == 2 else 0)))
        assert wire.hear() == {"type": "pong"}


def test_who_asks_for_it_as_for_a_page_is_told(backed: Backed) -> None:
    answer = backed.server.ask("GET", "/ws")
    assert (answer.status, answer.json()["code"]) == (426, "upgrade_required")
    assert answer.headers["upgrade"] == "websocket"


def test_a_handshake_that_is_none_is_a_bad_request(backed: Backed) -> None:
    assert backed.server.ask("POST", "/ws", HANDSHAKE).status == 405
    assert backed.server.ask("GET", "/ws", {**HANDSHAKE, "sec-websocket-version": "1"}).status == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://test", "sec-fetch-site": "cross-site"}, 403),
        ({"origin": "https://app.example"}, 101),
        ({"origin": "http://test"}, 101),
        ({}, 101),
    ],
)
def test_pages_of_other_sites_open_none_unless_cors_allows_them(
    backed: Backed, headers: dict[str, str], status: int
) -> None:
    with backed.server.connect() as raw:
        raw.request("GET", "/ws", {**HANDSHAKE, **headers})
        head = raw.head()
        assert head.status == status
        if status == 403:
            assert json.loads(raw.read())["code"] == "cross_site"
            assert head.headers["content-type"] == "application/problem+json"


# Channels.


def test_a_channel_is_followed_from_now_on(backed: Backed, talk: Talk) -> None:
    backed.server.publish("ws-now", "before")
    said = talk.ask("subscribe", {"channel": "ws-now"})
    assert said == {"type": "subscribed", "id": 1, "channel": "ws-now", "payload": {"channel": "ws-now"}}
    ready = talk.event()
    assert (ready["event"], ready["data"]) == ("ready", {"channels": ["ws-now"]})
    id_ = backed.server.publish("ws-now", {"eur": 1.07}, "tick")
    assert talk.event() == {"type": "event", "channel": "ws-now", "event": "tick", "data": {"eur": 1.07}, "id": id_}


@pytest.mark.parametrize(
    "data", ["text", "5", '{"a":1}', "zwei\nZeilen\r\n", 'a "quote" \\', 5, 1.5, None, [1], {"ü": "…"}]
)
def test_data_arrives_as_what_it_was_published_as(backed: Backed, talk: Talk, data: object) -> None:
    talk.ask("subscribe", {"channel": "ws-data"})
    assert talk.event()["event"] == "ready"
    talk.ask("publish", {"channel": "ws-data", "data": data})
    event = talk.event()
    assert (event["event"], event["data"]) == ("message", data)


def test_a_publish_is_acknowledged_and_the_same_key_publishes_once(backed: Backed, talk: Talk) -> None:
    event = {"channel": "ws-publish", "data": {"n": 1}, "event": "tick", "idempotency_key": "k"}
    said = talk.ask("publish", event)
    assert (said["type"], said["channel"]) == ("published", "ws-publish")
    assert talk.ask("publish", event)["payload"] == said["payload"]
    listed = backed.server.ask("GET", "/events/ws-publish", {"accept": "application/json"}).json()["events"]
    assert [(each["id"], each["event"], each["data"]) for each in listed] == [
        (said["payload"]["id"], "tick", '{"n":1}')
    ]


def test_a_cursor_of_an_event_stream_goes_on_over_a_websocket(backed: Backed, talk: Talk) -> None:
    ids = [backed.server.publish("ws-resume", str(n)) for n in range(4)]
    talk.ask("subscribe", {"channel": "ws-resume", "last_event_id": ids[1]})
    verdict = talk.event()
    assert (verdict["event"], verdict["data"]) == ("resume", {"recovered": True, "reason": "ok", "missed": 0})
    assert [(each["data"], each["id"]) for each in (talk.event(), talk.event())] == [("2", ids[2]), ("3", ids[3])]
    with backed.server.open("GET", "/events/ws-resume", {"last-event-id": ids[2]}) as raw:
        assert [raw.event().event, raw.event().data] == ["resume", "3"]


def test_a_cursor_of_nothing_is_told_so_and_an_empty_one_is_none(talk: Talk) -> None:
    talk.ask("subscribe", {"channel": "ws-cursor", "last_event_id": "nonsense"})
    verdict = talk.event()
    assert (verdict["data"]["reason"], "id" in verdict) == ("malformed", True)
    talk.ask("subscribe", {"channel": "ws-cursor-2", "last_event_id": ""})
    assert talk.event()["event"] == "ready"


def test_a_reader_may_begin_at_the_earliest_event_and_filter(backed: Backed, talk: Talk) -> None:
    for number in range(3):
        backed.server.publish("ws-filter", number, "tick" if number != 1 else "tock")
    talk.ask("subscribe", {"channel": "ws-filter", "from": "earliest", "event": "tick"})
    assert [talk.event()["data"] for _ in range(3)] == [{"channels": ["ws-filter"]}, 0, 2]
    talk.ask("unsubscribe", {"channel": "ws-filter"})
    talk.ask("subscribe", {"channel": "ws-filter", "from": "earliest", "event": ""})  # no type, so no filter
    assert [talk.event()["data"] for _ in range(4)] == [{"channels": ["ws-filter"]}, 0, 1, 2]


def test_the_state_of_a_channel_comes_as_a_snapshot(talk: Talk) -> None:
    talk.ask("publish", {"channel": "ws-state", "data": {"a": 1}, "state": "replace"})
    talk.ask("publish", {"channel": "ws-state", "data": {"b": 2}, "state": "merge"})
    talk.ask("subscribe", {"channel": "ws-state", "snapshot": True})
    snapshot = talk.events("snapshot")[-1]
    assert snapshot["data"] == {"state": {"a": 1, "b": 2}}
    assert snapshot["id"].endswith("-2")


def test_several_channels_share_a_connection_until_each_is_left(backed: Backed, talk: Talk) -> None:
    for channel in ("ws-a", "ws-b"):
        talk.ask("subscribe", {"channel": channel})
        assert talk.event()["channel"] == channel
    assert talk.ask("subscribe", {"channel": "ws-a"})["code"] == "already_subscribed"
    assert talk.ask("unsubscribe", {"channel": "ws-a"})["type"] == "unsubscribed"
    backed.server.publish("ws-a", 1)
    backed.server.publish("ws-b", 2)
    event = talk.event()
    assert (event["channel"], event["data"]) == ("ws-b", 2)
    talk.ask("subscribe", {"channel": "ws-a", "from": "earliest"})
    assert [talk.event()["event"], talk.event()["data"]] == ["ready", 1]


def test_a_connection_follows_a_bounded_number_of_streams(backed: Backed, talk: Talk) -> None:
    for number in range(256):
        talk.say("subscribe", {"channel": f"ws-many-{number}"})
    assert talk.ask("subscribe", {"channel": "ws-one-more"})["code"] == "too_many_subscriptions"
    assert talk.ask("chat", {"message": "Hi"})["code"] == "too_many_subscriptions"
    assert not backed.seen
    assert backed.server.health()["subscribers"] >= 256
    talk.ask("unsubscribe", {"channel": "ws-many-0"})
    assert talk.ask("subscribe", {"channel": "ws-one-more"})["type"] == "subscribed"


def test_a_dropped_history_is_told_as_a_gap(backed: Backed, talk: Talk) -> None:
    talk.ask("subscribe", {"channel": "ws-gap"})
    talk.event()
    assert backed.server.ask("DELETE", "/events/ws-gap").status == 200
    gap = talk.event()
    assert (gap["event"], gap["data"]) == ("gap", {"missed": None, "reason": "unknown"})


def test_who_leaves_is_followed_by_nothing(backed: Backed) -> None:
    before = backed.server.health()["active_streams"]
    with Talk(backed.server.address) as talk:
        talk.ask("subscribe", {"channel": "ws-leave"})
        assert backed.server.health()["active_streams"] == before + 1
    until(lambda: backed.server.health()["active_streams"] == before)


# Answers.


def test_an_answer_is_the_same_as_over_an_event_stream(backed: Backed, talk: Talk) -> None:
    started = talk.ask("chat", {"message": "Hi"})
    run = started["run"]
    assert started == {"type": "started", "id": 1, "run": run, "payload": {"run": run, "complete": False}}
    events = talk.events("done")
    with backed.attach(run) as raw:
        shown = raw.rest()
    assert [(each["event"], each["id"]) for each in events] == [(each.event, each.id) for each in shown]
    assert [each["data"] for each in events[:-1]] == [json.loads(each.data) for each in shown[:-1]]
    assert events[-1]["data"] == "[DONE]"
    assert {each["run"] for each in events} == {run}
    assert text_of(events) == "Hello, world!"


def test_a_key_names_one_run_over_http_and_over_websockets(backed: Backed, talk: Talk) -> None:
    with backed.ask("Hi", {"idempotency-key": "ws-key"}) as raw:
        events = raw.rest()
    said = talk.ask("chat", {"message": "Hi", "idempotency_key": "ws-key"})
    assert said["run"] == json.loads(events[0].data)["run"]
    assert text_of(talk.events("done")) == "Hello, world!"
    assert talk.ask("chat", {"message": "Another", "idempotency_key": "ws-key"})["code"] == "key_reused"
    assert len(backed.seen) == 1


def test_the_same_key_again_while_its_answer_streams_follows_it_once(backed: Backed, talk: Talk) -> None:
    backed.up.script(Script(fault="stall", after=1))
    first = talk.ask("chat", {"message": "Hi", "idempotency_key": "ws-twice"})
    assert talk.ask("chat", {"message": "Hi", "idempotency_key": "ws-twice"})["run"] == first["run"]
    assert talk.ask("attach", {"run": first["run"]})["code"] == "already_subscribed"
    talk.ask("cancel", {"run": first["run"]})
    names = [each["event"] for each in talk.events("done")]
    assert [name for name in names if name != "message"] == ["start", "error", "done"]


def test_an_answer_is_cancelled_in_the_middle(backed: Backed, talk: Talk) -> None:
    backed.up.script(Script(fault="stall", after=2))
    run = talk.ask("chat", {"message": "Hi"})["run"]
    assert [talk.event()["event"] for _ in range(3)] == ["start", "message", "message"]
    said = talk.ask("cancel", {"run": run})
    assert (said["type"], said["payload"]) == ("cancelled", {"run": run, "status": "cancelled"})
    error, _ = talk.events("done")
    assert error["data"]["error"]["type"] == "caller_cancelled"
    backed.up.wait_for(lambda seen: seen[-1].aborted_at is not None)
    assert talk.ask("cancel", {"run": run})["payload"]["status"] == "cancelled"


def test_a_run_is_watched_by_others_and_read_on_from_a_cursor(backed: Backed, talk: Talk) -> None:
    run = talk.ask("chat", {"message": "Hi"})["run"]
    events = talk.events("done")
    with Talk(backed.server.address) as other:
        other.ask("attach", {"run": run, "last_event_id": events[2]["id"]})
        verdict, *rest = other.events("done")
        assert verdict["data"]["recovered"]
        assert rest == events[3:]
        said = other.ask("attach", {"run": run, "last_event_id": events[-1]["id"]})
        assert said["payload"] == {"run": run, "complete": True}
        other.ask("attach", {"run": run, "snapshot": True})
        assert other.event()["data"] == {"text": "Hello, world!", "thinking": ""}


def test_an_answer_goes_on_without_its_connection_for_the_time_of_grace(backed: Backed) -> None:
    backed.up.script(Script(fault="stall", after=1))
    with Talk(backed.server.address) as talk:
        run = talk.ask("chat", {"message": "Hi"})["run"]
        assert talk.events("message")
    backed.up.resume()
    until(lambda: backed.state(run)["status"] == "finished")


def test_an_answer_without_grace_ends_with_its_connection(backed: Backed) -> None:
    backed.up.script(Script(fault="stall", after=1))
    with Talk(backed.server.address) as talk:
        run = talk.ask("chat", {"message": "Hi", "grace": 0})["run"]
        assert talk.events("message")
    until(lambda: backed.state(run)["error"])
    assert backed.state(run)["error"]["type"] == "caller_gone"


def test_several_answers_share_a_connection(talk: Talk) -> None:
    runs = [talk.ask("chat", {"message": str(number)})["run"] for number in range(5)]
    texts: dict[str, str] = dict.fromkeys(runs, "")
    ended = 0
    while ended < len(runs):
        event = talk.event()
        ended += event["event"] == "done"
        if event["event"] == "message":
            texts[event["run"]] += event["data"]["text"]
    assert texts == dict.fromkeys(runs, "Hello, world!")
