"""Two instances on one Redis: each of them serves any run and any channel, whoever has it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.backed import data_of, error_of, names_of, text_of
from tests.support.fleet import STREAM, Answers, Fleet
from tests.support.raw import Answer, Raw
from tests.support.server import Server
from tests.support.survivor import Crowd, Survivor

PIECES = 12


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet(answers=Answers(PIECES, 0.1)) as fleet:
        yield fleet


@pytest.fixture
def a(fleet: Fleet) -> Server:
    """The instance that is asked."""
    return fleet.instances[0]


@pytest.fixture
def b(fleet: Fleet) -> Server:
    """The other one."""
    return fleet.instances[1]


def test_a_run_is_watched_on_another_instance_event_for_event(fleet: Fleet, a: Server, b: Server) -> None:
    with fleet.ask(a, "watched") as (run, own, start), fleet.watch(b, run) as other:
        there = other.rest()
        assert there == [start, *own.rest()]
    assert text_of(there) == fleet.answers.to("watched")
    assert names_of(there)[-2:] == ["finish", "done"]
    assert fleet.times_asked["watched"] == 1


def test_a_run_is_resumed_on_another_instance_exactly_behind_the_cursor(fleet: Fleet, a: Server, b: Server) -> None:
    with fleet.ask(a, "resumed") as (run, own, _):
        seen = own.events(3)
        with fleet.watch(b, run, cursor=seen[-1].id) as other:
            resume, *there = other.rest()
        assert (resume.event, data_of(resume)["recovered"]) == ("resume", True)
        assert there == own.rest()
    assert b.ask("GET", f"/api/chat/{run}", STREAM | {"last-event-id": there[-1].id}).status == 204


def test_a_snapshot_of_another_instances_run_is_its_text_so_far_and_then_the_rest(
    fleet: Fleet, a: Server, b: Server
) -> None:
    with fleet.ask(a, "snapshot") as (run, own, _):
        own.events(4)
        with fleet.watch(b, run, query="?snapshot=1") as other:
            snapshot, *rest = other.rest()
        assert snapshot.event == "snapshot"
        assert data_of(snapshot)["text"].startswith("snapshot/0 snapshot/1 ")
        assert data_of(snapshot)["text"] + text_of(rest) == fleet.answers.to("snapshot")


def test_a_runs_state_is_read_as_json_on_another_instance(fleet: Fleet, a: Server, b: Server) -> None:
    with fleet.ask(a, "state") as (run, own, _):
        own.events(2)
        running = fleet.state(b, run)
        assert running["status"] == "running"
        assert fleet.answers.to("state").startswith(running["text"])
        own.rest()
    for instance in (a, b):
        ended = fleet.state(instance, run)
        assert (ended["status"], ended["text"]) == ("finished", fleet.answers.to("state"))
        assert (ended["run"], ended["provider"], ended["model"]) == (run, "up", "m")


def test_a_run_that_is_cancelled_on_another_instance_stops_the_request_to_the_model(
    fleet: Fleet, a: Server, b: Server
) -> None:
    with fleet.ask(a, "cancelled") as (run, own, _), fleet.watch(b, run) as other:
        own.events(2)
        begun = time.monotonic()
        answer = b.ask("DELETE", f"/api/chat/{run}")
        assert (answer.status, answer.json()) == (200, {"run": run, "status": "cancelled"})
        fleet.up.wait_for(lambda _: fleet.asked("cancelled").aborted_at is not None)
        assert time.monotonic() - begun < 1.5, "a letter wakes its reader; nothing is waited for"
        here, there = own.rest(), other.rest()
    assert names_of(here)[-2:] == ["error", "done"]
    assert here[-2:] == there[-2:]
    assert error_of(here)["type"] == "caller_cancelled"
    for instance in (a, b):
        again = instance.ask("DELETE", f"/api/chat/{run}")
        assert (again.status, again.json()) == (200, answer.json())


def test_a_run_that_nobody_has_is_not_found_anywhere(b: Server) -> None:
    assert b.ask("GET", "/api/chat/nothing", STREAM).status == 404
    assert b.ask("DELETE", "/api/chat/nothing").status == 404


def test_one_key_on_both_instances_at_once_is_one_run_and_one_request_to_the_model(fleet: Fleet) -> None:
    with Crowd() as crowd:
        for number in range(10):
            crowd.add(Survivor.asking([fleet.addresses[number % 2]], "once", key="the same"))
        crowd.wait()
        assert len({member.run for member in crowd.members}) == 1
        assert {member.text for member in crowd.members} == {fleet.answers.to("once")}
        assert [member.troubles for member in crowd.members] == [[]] * 10
    assert fleet.times_asked["once"] == 1


def test_a_key_with_another_body_is_refused_on_another_instance(fleet: Fleet, a: Server, b: Server) -> None:
    key = STREAM | {"idempotency-key": "taken"}
    with a.open("POST", "/api/chat", key, {"message": "first"}) as raw:
        raw.event()
        answer = b.ask("POST", "/api/chat", key, {"message": "second"})
    assert (answer.status, answer.json()["code"]) == (422, "key_reused")
    assert fleet.times_asked["second"] == 0


def test_a_hundred_viewers_of_another_instances_run_cost_redis_one_read(fleet: Fleet, a: Server, b: Server) -> None:
    with fleet.ask(a, "crowded") as (run, own, _), ExitStack() as stack:
        own.events(4)
        fleet.redis.command("CONFIG", "RESETSTAT")
        viewers = [stack.enter_context(fleet.watch(b, run)) for _ in range(100)]
        texts = [text_of(viewer.rest()) for viewer in viewers]
        read = reads(fleet)
        own.rest()
    assert texts == [fleet.answers.to("crowded")] * 100
    # A page is one range, and each look at the log (when it is opened, around the page, when heads are compared) is
    # another, for its oldest record.
    assert read <= 6, f"{read} reads of the history"


def reads(fleet: Fleet) -> int:
    """How many ranges of streams Redis was asked for since RESETSTAT, by whatever way."""
    info = fleet.redis.command("INFO", "commandstats")
    stats = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    calls = [stats.get(f"cmdstat_{name}", "calls=0,") for name in ("xrange", "xread")]
    return sum([int(stat.partition("calls=")[2].partition(",")[0]) for stat in calls])


def test_a_viewer_elsewhere_keeps_a_run_going_and_the_last_one_leaving_ends_it(
    fleet: Fleet, a: Server, b: Server
) -> None:
    with fleet.ask(a, "kept", grace=0.3) as (run, own, _):
        other = viewer(b, run)
        own.close()
        watched = text_of(other.events(9))  # three times the grace
        assert watched.startswith("kept/0 kept/1 ")
        assert fleet.asked("kept").aborted_at is None
        other.close()
        fleet.up.wait_for(lambda _: fleet.asked("kept").aborted_at is not None)
    with fleet.watch(b, run) as late:
        end = late.rest()
    assert error_of(end)["type"] == "caller_gone"


def viewer(instance: Server, run: str) -> Raw:
    """Somebody who reads a run, behind its first event."""
    raw = instance.connect()
    raw.request("GET", f"/api/chat/{run}", STREAM)
    assert raw.head().status == 200
    assert raw.event().event == "start"
    return raw


def test_what_is_published_on_one_instance_is_delivered_on_all(fleet: Fleet, a: Server, b: Server) -> None:
    with a.open("GET", "/events/both") as here, b.open("GET", "/events/both") as there:
        assert here.event() == there.event()  # `ready`, at the same position
        ids = [(a, b)[number % 2].publish("both", f"event {number}") for number in range(20)]
        told = here.events(20)
        assert [event.id for event in told] == ids
        assert told == there.events(20)
    with b.open("GET", "/events/both", {"last-event-id": ids[4]}) as raw:
        resume, *missed = raw.events(16)
        assert data_of(resume)["recovered"]
        assert missed == told[5:]


def test_publishing_again_on_another_instance_answers_with_the_first_id(a: Server, b: Server) -> None:
    def published(instance: Server) -> Any:
        body = {"data": "x", "idempotency_key": "k"}
        return instance.ask("POST", "/events/repeated", body=body).json()

    assert published(a) == published(b) == published(a)
    retained = b.ask("GET", "/events/repeated", {"accept": "application/json"}).json()
    assert len(retained["events"]) == 1


def test_publishers_on_both_instances_at_once_make_one_history(a: Server, b: Server) -> None:
    answers: list[Answer] = []

    def publish(instance: Server, name: str) -> None:
        bodies = [{"data": f"{name}{number}"} for number in range(30)]
        answers.extend([instance.ask("POST", "/events/race", body=body) for body in bodies])

    with a.open("GET", "/events/race") as here, b.open("GET", "/events/race") as there:
        here.event(), there.event()
        threads = [threading.Thread(target=publish, args=each) for each in ((a, "a"), (b, "b"))]
        for thread in threads:
            thread.start()
        told = here.events(60)
        assert told == there.events(60)
        for thread in threads:
            thread.join()
    assert {answer.status for answer in answers} == {200}
    assert {event.id for event in told} == {answer.json()["id"] for answer in answers}
    for name in "ab":  # each publisher's own order is kept
        assert [event.data for event in told if event.data[0] == name] == [f"{name}{number}" for number in range(30)]


def test_a_history_that_is_dropped_on_one_instance_is_a_gap_on_all(a: Server, b: Server) -> None:
    with a.open("GET", "/events/dropped") as here, b.open("GET", "/events/dropped") as there:
        here.event(), there.event()
        lost = a.publish("dropped", "before")
        assert [here.event().data, there.event().data] == ["before", "before"]
        assert b.ask("DELETE", "/events/dropped").status == 200
        gaps = [here.event(), there.event()]
        assert [gap.event for gap in gaps] == ["gap", "gap"]
        assert gaps[0] == gaps[1]
        after = b.publish("dropped", "after")
        assert [here.event().id, there.event().id] == [after, after]
    with a.open("GET", "/events/dropped", {"last-event-id": lost}) as raw:
        assert data_of(raw.event()) == {"recovered": False, "reason": "unknown", "missed": None}


def test_health_names_the_store(fleet: Fleet) -> None:
    for instance in fleet.instances:
        health = instance.health()
        assert (health["status"], health["store"]) == ("healthy", "redis")
