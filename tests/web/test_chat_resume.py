"""Native chat: coming back to a run, by its cursor or for a snapshot, and watching it together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tailrace.runs import Thinking
from tests.support.backed import Backed, data_of, error_of, names_of, text_of, verdict_of
from tests.support.upstream import Script

STREAM = {"accept": "text/event-stream"}


def test_every_cursor_gets_exactly_the_rest(backed: Backed) -> None:
    with backed.ask() as raw:
        whole = raw.rest()
    run = data_of(whole[0])["run"]
    for seen, event in enumerate(whole[:-1], 1):
        for query, header in (("", event.id), (f"?last_event_id={event.id}", None)):
            with backed.attach(run, header, query) as raw:
                resume, *rest = raw.rest()
            assert verdict_of(resume) == (True, "ok", 0)
            assert resume.id == ""
            assert rest == whole[seen:]
    assert len(backed.seen) == 1


def test_at_the_end_there_is_nothing_more_so_that_an_event_source_stops(backed: Backed) -> None:
    with backed.ask() as raw:
        whole = raw.rest()
    last = {"last-event-id": whole[-1].id}
    for method, path in (("GET", f"/api/chat/{data_of(whole[0])['run']}"), ("GET", "/api/chat?message=Hi")):
        answer = backed.server.ask(method, path, {**STREAM, **last})
        assert (answer.status, answer.body) == (204, b"")
    assert backed.server.ask("POST", "/api/chat", last, {"message": "Hi"}).status == 204
    assert len(backed.seen) == 1


@pytest.mark.parametrize("how", ["get", "post"])
def test_an_automatic_reconnect_goes_on_with_the_run_and_is_never_a_second_one(backed: Backed, how: str) -> None:
    backed.up.script(Script(pieces=tuple("abcdefgh"), delay=0.03))
    with backed.ask() as raw:
        whole = raw.events(3)
    while whole[-1].event != "done":
        headers = {"last-event-id": whole[-1].id}
        with backed.get(headers, message="Hi") if how == "get" else backed.ask(headers=headers) as raw:
            assert verdict_of(raw.event()) == (True, "ok", 0)
            whole += raw.events(min(3, 10 - len(whole) + 1))
    assert text_of(whole) == "abcdefgh"
    assert names_of(whole)[-2:] == ["finish", "done"]
    assert len(backed.seen) == 1


@pytest.mark.parametrize(
    ("cursor", "reason"),
    [
        ("nobodys-3", "unknown"),
        ("AAAAAAAAAAAAAAAAAAAAAA-1", "unknown"),
        ("what?", "malformed"),
        ("-", "malformed"),
        ("..%2f-1", "malformed"),
        ("x" * 3000, "malformed"),
        ("ümlaut-1", "malformed"),
        ("a-99999999999999999999999", "malformed"),
    ],
)
@pytest.mark.parametrize("how", ["get", "post"])
def test_a_cursor_of_a_run_that_is_not_here_starts_none(backed: Backed, cursor: str, reason: str, how: str) -> None:
    headers = {"last-event-id": cursor}
    with backed.get(headers, message="Hi") if how == "get" else backed.ask(headers=headers) as raw:
        events = raw.rest()
        assert raw.complete
    assert names_of(events) == ["resume", "error", "done"]
    assert verdict_of(events[0]) == (False, reason, None)
    assert error_of(events)["type"] == "caller_unknown_run"
    again = {**STREAM, "last-event-id": events[-1].id}
    assert backed.server.ask("GET", "/api/chat?message=Hi", again).status == 204
    assert not backed.seen


@pytest.mark.parametrize(("offset", "reason"), [("99", "ahead"), ("", "malformed"), ("1.5", "malformed")])
def test_a_cursor_that_names_no_place_in_a_run_begins_it_anew(backed: Backed, offset: str, reason: str) -> None:
    with backed.ask() as raw:
        whole = raw.rest()
    run = data_of(whole[0])["run"]
    for attached in (
        backed.attach(run, f"{run}-{offset}"),
        backed.get({"last-event-id": f"{run}-{offset}"}, message="x"),
    ):
        with attached as raw:
            events = raw.rest()
        assert verdict_of(events[0]) == (False, reason, None)
        assert events[0].id == f"{run}-0"
        assert events[1:] == whole
    assert len(backed.seen) == 1


def test_an_empty_cursor_is_none(backed: Backed) -> None:
    with backed.get({"last-event-id": ""}, message="Hi", last_event_id="") as raw:
        assert text_of(raw.rest()) == "Hello, world!"


def test_the_header_counts_more_than_the_query_and_the_wish_for_a_snapshot(backed: Backed) -> None:
    with backed.ask() as raw:
        whole = raw.rest()
    run = data_of(whole[0])["run"]
    with backed.attach(run, whole[4].id, f"?last_event_id={whole[0].id}&snapshot=1") as raw:
        assert raw.rest()[1:] == whole[5:]
    with backed.attach(run, None, f"?last_event_id={whole[4].id}&snapshot=1") as raw:
        assert raw.rest()[1:] == whole[5:]


def test_a_snapshot_is_the_text_so_far_and_then_the_rest_live(backed: Backed) -> None:
    backed.up.script(Script(pieces=(Thinking("hm"), "ab", "cd", "ef"), fault="stall", after=3))
    with backed.ask() as raw:
        first = raw.events(4)
        run = data_of(first[0])["run"]
        with backed.attach(run, None, "?snapshot=1") as late:
            snapshot = late.event()
            assert (snapshot.event, data_of(snapshot)) == ("snapshot", {"text": "abcd", "thinking": "hm"})
            assert (snapshot.id, snapshot.retry) == (first[-1].id, 2000)
            backed.up.resume()
            assert late.rest() == raw.rest()
    with backed.attach(run, None, "?snapshot=1") as later:
        events = later.rest()
    assert names_of(events) == ["snapshot", "finish", "done"]
    assert data_of(events[0]) == {"text": "abcdef", "thinking": "hm"}


def test_many_viewers_of_a_run_read_the_same_bytes(backed: Backed) -> None:
    backed.up.script(Script(pieces=tuple("abcdefghij"), delay=0.02))
    with backed.ask() as raw:
        run = data_of(raw.event())["run"]

        def watch(number: int) -> bytes:
            with backed.attach(run) as viewer:
                return viewer.read()

        with ThreadPoolExecutor(8) as pool:
            answers = set(pool.map(watch, range(8)))
        assert answers == {raw.read()}
