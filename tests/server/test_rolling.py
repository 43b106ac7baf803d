"""A new version is rolled out behind a real proxy while answers are running, and no client notices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial

import pytest

from tests.support.fleet import CHAOS, Answers, Fleet
from tests.support.haproxy import haproxy
from tests.support.hosted import until
from tests.support.nginx import nginx
from tests.support.proxy import Address
from tests.support.raw import ask
from tests.support.survivor import Crowd, Survivor

STREAMS = 200 if CHAOS else 40
ANSWERS = Answers(100, 0.2) if CHAOS else Answers(15, 0.1)
DRAIN_TIMEOUT = 40 if CHAOS else 6
READERS = 3
"""Subscribers of a channel, beside them."""

Proxy = Callable[[Sequence[Address]], AbstractContextManager[Address]]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("proxy", [nginx, haproxy])
def test_a_rolling_restart_changes_no_answer_starts_none_twice_and_fails_for_nobody(proxy: Proxy) -> None:
    with (
        Fleet(answers=ANSWERS, drain_delay=0.5, drain_timeout=DRAIN_TIMEOUT) as fleet,
        proxy(fleet.addresses) as front,
        Crowd() as crowd,
    ):
        readers = [crowd.add(Survivor.subscribing([front], "news")) for _ in range(READERS)]
        until(lambda: all(each.events for each in readers))
        crowd.keep_asking(lambda n: Survivor.asking([front], f"q{n}", key=f"k{n}"), STREAMS, rest=2)
        until(lambda: sum([bool(each.events) for each in crowd.members]) >= STREAMS)
        published = []
        for number in range(2):
            published.append(publish(front, f"before {number}"))
            assert fleet.restart(number) < DRAIN_TIMEOUT
            # A rollout goes on when the balancer sends requests to the new one, not when that one listens.
            fresh = fleet.instances[number].pid
            until(partial(answers, front, fresh))
            published.append(publish(front, f"after {number}"))
        crowd.enough()
        asked = crowd.members[READERS:]
        crowd.wait(asked, timeout=60)
        assert len(asked) > STREAMS, "questions were asked all the while"
        assert [each.text for each in asked] == [fleet.answers.to(each.question) for each in asked]
        assert [(each.troubles, each.cuts) for each in asked] == [([], [])] * len(asked)
        assert sum([len(each.reconnects) for each in asked]) > 0
        assert set(fleet.times_asked.values()) == {1}
        until(lambda: all(each.ids[-1] == published[-1] for each in readers))
        for each in readers:
            assert (each.ids[1:], each.troubles, each.cuts) == (published, [], [])


def answers(front: Address, pid: int) -> bool:
    """Whether it was this process that answered through the proxy."""
    return bool(ask(front, "GET", "/health").json()["pid"] == pid)


def publish(front: Address, data: str) -> str:
    """Publish through the proxy; the event's id."""
    answer = ask(front, "POST", "/events/news", body={"data": data, "idempotency_key": data})
    assert answer.status == 200, answer
    return str(answer.json()["id"])
