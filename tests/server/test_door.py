"""How many connections there may be, in all and from one address, with real ones."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tailrace.observe import Counters
from tailrace.server.door import Door, Stay
from tests.support.raw import Raw
from tests.support.server import Server

PROXY, CALLER, OTHER = "10.1.2.3", "192.0.2.1", "192.0.2.2"


@pytest.fixture
def meter() -> Counters:
    return Counters()


def test_one_address_has_so_many_and_another_its_own(meter: Counters) -> None:
    door = Door(0, 2, (), meter)
    stays = [door.enter(CALLER, 1) for _ in range(3)]
    assert [stay.welcome for stay in stays] == [True, True, False]
    assert door.enter(OTHER, 4).welcome
    stays[0].end()
    stays[0].end()
    assert door.enter(CALLER, 4).welcome
    assert not door.enter(CALLER, 5).welcome
    assert meter.sum("limits.hit", "connections_per_address") == 2


def test_a_network_of_ipv6_is_one_address(meter: Counters) -> None:
    door = Door(0, 1, (), meter)
    assert door.enter("2001:db8::1", 1).welcome
    assert not door.enter("2001:db8::2", 2).welcome
    assert door.enter("2001:db8:0:1::1", 3).welcome


@pytest.mark.parametrize("trusted", ["10.0.0.0/8", PROXY, "*"])
def test_a_proxy_stands_for_many(meter: Counters, trusted: str) -> None:
    door = Door(0, 1, (trusted,), meter)
    assert all(door.enter(PROXY, 1).welcome for _ in range(9))


def test_whoever_has_no_address_counts_in_all_only(meter: Counters) -> None:
    door = Door(2, 1, (), meter)
    assert door.enter("", 1).welcome
    assert door.enter("", 2).welcome
    assert not door.enter("", 3).welcome


def test_those_who_are_being_turned_away_keep_nobody_out(meter: Counters) -> None:
    door = Door(1, 0, (), meter)
    refused = [door.enter(CALLER, present) for present in (2, 3, 4)]
    assert [stay.welcome for stay in refused] == [False, False, False]
    # The one that was inside has gone; the three are still being told.
    assert door.enter(CALLER, 4).welcome
    for stay in refused:
        stay.end()
    assert door.turned_away == 0


def test_nothing_is_remembered_of_those_who_have_left(meter: Counters) -> None:
    door = Door(0, 2, (), meter)
    stays: list[Stay] = [door.enter(address, 1) for address in (CALLER, CALLER, OTHER)]
    for stay in stays:
        stay.end()
    assert door._from == {}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server("[limits]\nmax_connections = 6\nconnections_per_address = 4\n") as server:
        yield server


def refused(raw: Raw) -> bool:
    """Whether a connection is told that there are too many, before it has asked for anything."""
    head = raw.head()
    assert (head.status, head.headers["retry-after"]) == (503, "5")
    assert json.loads(raw.read())["code"] == "too_many_connections"
    raw.finish()
    return raw.closed()


def free(server: Server, count: int) -> None:
    """Wait until exactly so many connections are let in."""
    end = time.monotonic() + 10
    while True:
        with ExitStack() as stack:
            raws = [stack.enter_context(server.connect()) for _ in range(count)]
            for raw in raws:
                raw.request("GET", "/health/live")
            if [raw.head().status for raw in raws] == [200] * count:
                assert refused(stack.enter_context(server.connect()))
                return
        assert time.monotonic() < end
        time.sleep(0.01)


def test_one_connection_too_many_is_told_so_and_closed(server: Server) -> None:
    free(server, 4)
    free(server, 4)


def test_streams_on_the_direct_lane_count_until_they_are_over(server: Server) -> None:
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(server.open("GET", "/events/a")).event()
        free(server, 1)
    free(server, 4)


def test_an_answer_that_ends_leaves_its_connection_counted_once(server: Server) -> None:
    with server.connect() as raw:
        for _ in range(3):
            raw.request("POST", "/api/chat", {}, {"message": "Hi", "max_tokens": 1})
            raw.head()
            raw.rest()
        free(server, 3)
    free(server, 4)
