"""An instance leaves while others stay: its viewers read on elsewhere, and what it produces it finishes."""

from __future__ import annotations

import time

from tests.support.backed import error_of, names_of, text_of
from tests.support.fleet import CHAOS, Answers, Fleet
from tests.support.hosted import until
from tests.support.raw import Raw
from tests.support.survivor import Crowd, Survivor

STREAMS = 200 if CHAOS else 30


def test_leaving_under_load_loses_nothing_of_what_ends_in_time() -> None:
    with Fleet(answers=Answers(40, 0.1), drain_timeout=10) as fleet, Crowd() as crowd:
        a, at_a, at_b = fleet.instances[0], *fleet.addresses
        for n in range(STREAMS):
            crowd.add(Survivor.asking([at_a, at_b], f"q{n}", key=f"k{n}"))
        channel = [crowd.add(Survivor.subscribing([at_a, at_b], "news")) for _ in range(5)]
        until(lambda: all(len(member.events) > 2 for member in crowd.members[:STREAMS]))
        until(lambda: all(member.events for member in channel))
        begun = time.monotonic()
        a.terminate()
        assert a.wait(15) == 0
        took = time.monotonic() - begun
        crowd.wait(crowd.members[:STREAMS])
        asked = crowd.members[:STREAMS]
        assert [each.text for each in asked] == [fleet.answers.to(f"q{n}") for n in range(STREAMS)]
        assert [(each.troubles, each.cuts) for each in asked] == [([], [])] * STREAMS
        assert set(fleet.times_asked.values()) == {1}
        # It left when its last answer was through, not at its deadline.
        assert took < 8
        sent_away = sorted(at for each in asked for at in each.dismissed_at)
        # Each draws its moment from 5 seconds, of which its answer lasts for 3.5: two thirds, but by chance.
        assert len(sent_away) > STREAMS / 8
        assert sent_away[-1] - sent_away[0] > 1, "all were sent away at once"
        # A channel's readers went on too, without a hole.
        until(lambda: all(each.served_by == at_b for each in channel))
        last = fleet.instances[1].publish("news", "after")
        until(lambda: all(each.ids[-1] == last for each in channel))
        assert [(each.troubles, each.cuts, each.names) for each in channel] == [([], [], ["ready", "message"])] * 5


def test_an_answer_that_is_longer_than_the_window_ends_as_interrupted_and_says_so() -> None:
    with Fleet(answers=Answers(600, 0.1), drain_timeout=3) as fleet:
        a, b = fleet.instances
        with fleet.ask(a, "long") as (run, own, _), fleet.watch(b, run) as other:
            own.events(3)
            begun = time.monotonic()
            a.terminate()
            there = other.rest()
            assert a.wait(10) == 0
            assert 2.5 < time.monotonic() - begun < 5.5
            here = own.rest()
        assert "reconnect" in names_of(here)
        assert names_of(there)[-2:] == ["error", "done"]
        assert error_of(there)["type"] == "tailrace_interrupted"
        # It went on until its time was up, and all of that is kept.
        assert 25 <= names_of(there).count("message") <= 45
        assert fleet.state(b, run)["text"] == text_of(there)
        assert fleet.state(b, run)["status"] == "interrupted"


def test_when_all_leave_at_once_viewers_are_kept_to_the_end_of_their_answers() -> None:
    with Fleet(answers=Answers(25, 0.1), drain_timeout=8) as fleet, Crowd() as crowd:
        for n in range(10):
            crowd.add(Survivor.asking([fleet.addresses[n % 2]], f"q{n}", key=f"k{n}"))
        until(lambda: all(len(member.events) > 2 for member in crowd.members))
        for instance in fleet.instances:
            instance.terminate()
        crowd.wait()
        assert [each.wait() for each in fleet.instances] == [0, 0]
        assert [each.text for each in crowd.members] == [fleet.answers.to(f"q{n}") for n in range(10)]
        assert [(each.troubles, each.cuts) for each in crowd.members] == [([], [])] * 10


def test_a_connection_that_a_proxy_keeps_is_taken_from_it_with_an_answer() -> None:
    """It is not closed at once: a request that is on its way there would be reset."""
    with Fleet(1, answers=Answers(20, 0.1), url="memory://") as fleet:
        (a,) = fleet.instances
        with fleet.ask(a, "going on") as (_, own, _), a.connect() as kept:
            assert not says_it_closes(kept)
            a.terminate()
            until(lambda: says_it_closes(kept))
            assert kept.closed()
            assert not fleet.asked("going on").finished_at, "it did not wait for the answer"
            assert text_of(own.rest()) == fleet.answers.to("going on")
        assert a.wait() == 0


def says_it_closes(kept: Raw) -> bool:
    """Whether the answer to another request says that it is the connection's last."""
    kept.request("GET", "/health/live")
    head = kept.head()
    kept.read()
    return head.headers.get("connection") == "close"
