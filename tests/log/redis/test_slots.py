"""Which node has which slot."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.exceptions import MovedError

from tailrace.log.redis.connection import Endpoint
from tailrace.log.redis.slots import NOBODY, Slots, slot_of
from tests.support.redis import RedisServer, cluster_node

A, B, C = Endpoint("a", 1), Endpoint("b", 2), Endpoint("c", 3)


@pytest.fixture(scope="module")
def node() -> Iterator[RedisServer]:
    with cluster_node() as node:
        yield node


@settings(max_examples=100)
@given(key=st.text("ab{}é", max_size=12))
def test_the_slot_of_a_key_is_the_servers_own(node: RedisServer, key: str) -> None:
    assert slot_of(key) == node.command("CLUSTER", "KEYSLOT", key)


def test_a_map_that_was_read_names_the_master_of_each_range_and_nobody_elsewhere() -> None:
    slots = Slots()
    slots.read([[0, 99, [b"a", 1, b"id"], [b"replica", 9, b"id"]], [200, 16383, [b"b", 2, b"id"]]], A)
    assert [slots[slot] for slot in (0, 99, 100, 199, 200, 16383)] == [A, A, NOBODY, NOBODY, B, B]
    assert slots.masters == {A, B}


@pytest.mark.parametrize("host", [b"", None])
def test_a_node_without_a_name_is_the_one_that_was_asked(host: bytes | None) -> None:
    slots = Slots()
    slots.read([[0, 16383, [host, 7000, b"id"]]], A)
    assert slots[5] == Endpoint("a", 7000)
    slots.move(MovedError("5 :7001"), B)
    assert slots[5] == Endpoint("b", 7001)


def test_a_slot_that_moved_is_known_at_once_and_alone() -> None:
    slots = Slots()
    slots.read([[0, 16383, [b"a", 1, b"id"]]], A)
    slots.move(MovedError("7 c:3"), A)
    assert [slots[slot] for slot in (6, 7, 8)] == [A, C, A]


def test_changes_are_counted_only_where_the_map_became_another() -> None:
    slots = Slots()
    said = [[0, 16383, [b"a", 1, b"id"]]]
    slots.read(said, A)
    slots.read(said, A)
    slots.move(MovedError("7 a:1"), A)
    assert slots.changes == 1
    slots.move(MovedError("7 b:2"), A)
    slots.read(said, A)
    assert slots.changes == 3
