"""Redis goes away under a running fleet: what goes on, what is refused, and what comes back with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tailrace.sse import Event
from tests.support.backed import data_of, error_of, names_of, text_of
from tests.support.fleet import CHAOS, STREAM, Answers, Fleet
from tests.support.hosted import until
from tests.support.ports import free_port
from tests.support.raw import Answer, Raw
from tests.support.redis import Sentinels, redis_sentinel
from tests.support.server import Server

STOPPED = 5.0
FROZEN = 60.0 if CHAOS else 6.0
SAYS = Answers(int((FROZEN + 4) / 0.1), 0.1)
"""Answers that go on for longer than Redis is away."""


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with Fleet(answers=SAYS) as fleet:
        yield fleet


@contextmanager
def running(fleet: Fleet, question: str) -> Iterator[tuple[str, Raw, Raw, list[Event]]]:
    """A run of the first instance: its name, its viewers here and elsewhere, and what each of them has heard."""
    a, b = fleet.instances
    with fleet.ask(a, question) as (run, own, start), fleet.watch(b, run) as other:
        for raw in (own, other):
            raw.timeout = FROZEN + 30
            raw.socket.settimeout(raw.timeout)
        heard = [start, *own.events(4)]
        assert other.events(5) == heard
        yield run, own, other, heard


def refused(instance: Server) -> Answer:
    """What a publisher is told while nobody takes its event."""
    begun = time.monotonic()
    answer = instance.ask("POST", "/events/news", body={"data": "lost"})
    assert time.monotonic() - begun < 4, "a publisher is not kept waiting"
    return answer


def assert_degraded(fleet: Fleet) -> None:
    """Each instance says that it has lost its store, and takes requests all the same."""
    fleet.wait_status("degraded", timeout=5)
    for instance in fleet.instances:
        assert instance.ask("GET", "/health/ready").status == 200
        assert 0 <= time.time() - instance.health()["degraded_since"] < 10
    with ThreadPoolExecutor() as at_once:
        answers = [*at_once.map(refused, fleet.instances)]
    for answer in answers:
        assert (answer.status, answer.json()["code"]) == (503, "store_unavailable")
        assert int(answer.headers["retry-after"]) >= 1


def test_while_redis_is_stopped_answers_go_on_here_and_elsewhere_they_are_caught_up_with(fleet: Fleet) -> None:
    a, b = fleet.instances
    with running(fleet, "stopped") as (run, own, other, heard), ExitStack() as stack:
        channel = stack.enter_context(b.open("GET", "/events/news"))
        channel.event()
        first = a.publish("news", "before")
        assert channel.event().id == first
        fleet.redis.stop(save=True)
        stopped = time.monotonic()
        assert_degraded(fleet)
        live = own.events(15)  # its own viewers do not wait for Redis
        until(lambda: time.monotonic() - stopped > STOPPED)
        fleet.redis.start()
        fleet.wait_status("healthy", timeout=5)
        second = a.publish("news", "after")
        assert second.rpartition("-")[0] == first.rpartition("-")[0], "its history was kept"
        assert channel.event().id == second
        here = [*heard, *live, *own.rest()]
        assert text_of(here) == fleet.answers.to("stopped")
        assert here[5:] == other.rest()
    assert fleet.state(b, run)["status"] == "finished"


def test_who_comes_while_redis_is_stopped_is_told_when_to_come_again() -> None:
    with Fleet(answers=Answers(600, 0.1)) as fleet:
        a, b = fleet.instances
        begun = time.monotonic()
        with fleet.ask(a, "asked") as (run, own, start):
            heard = [start, *own.events(4)]
            before = a.publish("news", "before")
            fleet.redis.stop(save=True)
            fleet.wait_status("degraded", timeout=5)
            # Without a cursor: an error that says when. With one: a stream, since EventSource gives up on any error.
            with ThreadPoolExecutor() as at_once:
                paths = "/events/news", f"/api/chat/{run}"
                for answer in at_once.map(lambda path: b.ask("GET", path, STREAM), paths):
                    assert (answer.status, "retry-after" in answer.headers) == (503, True), answer
                for told in at_once.map(lambda path, cursor: resumed(b, path, cursor), paths, (before, heard[-1].id)):
                    assert [(event.event, data_of(event)) for event in told] == [
                        ("reconnect", {"reason": "unavailable"})
                    ]
                    assert told[0].retry is not None
            # What Redis has, and only Redis, comes when it is back. What was said since is here: by its number it is.
            heard += own.events(int((time.monotonic() - begun) / 0.1) + 2 - len(heard))
            # Whoever asks for a run that is produced here gets it, Redis or not.
            with fleet.watch(a, run, cursor=heard[-1].id) as raw:
                assert data_of(raw.event())["recovered"]
                assert raw.event() == own.event()
            fleet.redis.start()
            fleet.wait_status("healthy", timeout=5)
            with fleet.watch(b, run, cursor=heard[-1].id) as raw:
                assert data_of(raw.event())["recovered"]


def resumed(instance: Server, path: str, cursor: str) -> list[Event]:
    """What a stream says that is asked for with a cursor, to its end."""
    with instance.open("GET", path, STREAM | {"last-event-id": cursor}) as raw:
        return raw.rest()


def test_a_redis_that_comes_back_empty_begins_histories_anew_and_ends_what_it_has_lost(fleet: Fleet) -> None:
    a, b = fleet.instances
    with running(fleet, "emptied") as (run, own, other, heard), b.open("GET", "/events/news") as channel:
        channel.event()
        before = a.publish("news", "before")
        assert channel.event().id == before
        fleet.redis.kill()
        time.sleep(0.5)  # some of the answer is said meanwhile
        fleet.redis.start()
        here, there = [*heard, *own.rest()], [*heard, *other.rest()]
        for told in (here, there):
            assert names_of(told)[-2:] == ["error", "done"]
            assert error_of(told)["type"] == "tailrace_interrupted"
            assert fleet.answers.to("emptied").startswith(text_of(told))
        assert here[-2:] == there[-2:]
        fleet.up.wait_for(lambda _: fleet.asked("emptied").aborted_at is not None)
        fleet.wait_status("healthy", timeout=5)
        assert told_gap(channel)["reason"] == "unknown"
        after = b.publish("news", "after")
        assert after.rpartition("-")[0] != before.rpartition("-")[0], "another history has another epoch"
        assert channel.event().id == after
    with a.open("GET", "/events/news", {"last-event-id": before}) as raw:
        assert data_of(raw.event()) == {"recovered": False, "reason": "unknown", "missed": None}
    # Who comes to the run now learns how it ended, wherever, and under the same ids.
    for instance in fleet.instances:
        with fleet.watch(instance, run, cursor=heard[-1].id) as raw:
            resume, *end = raw.rest()
        assert not data_of(resume)["recovered"]
        assert end == here[-2:]


def told_gap(raw: Raw) -> dict[str, Any]:
    """What the channel's next event says, which is a gap."""
    gap = raw.event()
    assert gap.event == "gap", gap
    return data_of(gap)


@pytest.mark.timeout(240)
def test_a_redis_that_was_frozen_ends_no_answer_and_nobody_misses_anything(fleet: Fleet) -> None:
    a, b = fleet.instances
    with running(fleet, "frozen") as (run, own, other, heard):
        fleet.redis.freeze()
        frozen = time.monotonic()
        assert_degraded(fleet)
        live = own.events(5)
        until(lambda: time.monotonic() - frozen > FROZEN, timeout=FROZEN + 5)
        fleet.redis.thaw()
        fleet.wait_status("healthy", timeout=5)
        assert a.publish("news", "after")
        here = [*heard, *live, *own.rest()]
        assert text_of(here) == fleet.answers.to("frozen")
        assert here[5:] == other.rest()
    for instance in (a, b):
        assert fleet.state(instance, run)["status"] == "finished"


def kill(sentinels: Sentinels) -> None:
    """Have the master die."""
    old = sentinels.master
    old.kill()
    sentinels.wait_promoted(old)


def make_way(sentinels: Sentinels) -> None:
    """Have the master take no writes any more, and then its replica become the master."""
    sentinels.master.command("CLIENT", "PAUSE", 10_000, "WRITE")
    sentinels.failover()


@pytest.mark.parametrize("fail_over", [kill, make_way, *([Sentinels.failover] if CHAOS else [])])
def test_after_a_failover_all_go_on_and_nothing_that_was_told_is_contradicted(
    fail_over: Callable[[Sentinels], None],
) -> None:
    with redis_sentinel() as sentinels, Fleet(answers=Answers(60, 0.1), url=sentinels.url) as fleet:
        a, b = fleet.instances
        with running(fleet, "failover") as (run, own, other, heard), b.open("GET", "/events/news") as channel:
            channel.event()
            before = [a.publish("news", f"before {n}") for n in range(5)]
            assert [event.id for event in channel.events(5)] == before
            fail_over(sentinels)
            after = published(a, "after")
            fleet.wait_status("healthy", timeout=5)
            told = [channel.event()]
            while told[-1].id != after:
                told.append(channel.event())
            assert not {event.id for event in told} & set(before)
            here, there = [*heard, *own.rest()], [*heard, *other.rest()]
        assert here[-2:] == there[-2:]
        assert text_of(here).startswith(text_of(there))
        assert text_of(there).startswith(fleet.state(b, run)["text"])
        # A master that is told to go takes words for some moments more, of which its successor never hears.
        if fail_over is not Sentinels.failover or "error" not in names_of(here):
            assert text_of(here) == fleet.state(b, run)["text"] == fleet.answers.to("failover")
        else:
            assert error_of(here)["type"] == "tailrace_interrupted"


def published(instance: Server, data: str) -> str:
    """Publish as soon as somebody takes it; the event's id."""
    answers = []

    def taken() -> bool:
        answers.append(instance.ask("POST", "/events/news", body={"data": data, "idempotency_key": data}))
        return answers[-1].status == 200

    until(taken)
    return str(answers[-1].json()["id"])


def test_an_instance_that_starts_without_redis_says_what_it_needs_and_exits() -> None:
    port = free_port()
    instance = Server(arguments=["--store", f"redis://127.0.0.1:{port}"])
    with pytest.raises(AssertionError, match=r"exit code [12]"):
        instance.__enter__()
    assert f"127.0.0.1:{port}" in instance.said
    assert "Traceback" not in instance.said
