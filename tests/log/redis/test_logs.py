"""A page and its head are of one moment, though they are looked at one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tailrace.errors import StoreUnavailable
from tailrace.log import Page
from tailrace.log.redis import RedisStore
from tailrace.log.redis.logs import _page
from tailrace.log.redis.messages import pack
from tailrace.log.redis.states import State, state_of
from tailrace.log.store import RESERVED
from tests.log.store_contract import records

pytestmark = pytest.mark.anyio


def state(first: int, last: int, *, produced: bool = False) -> State:
    """What a log was when it was looked at."""
    found = state_of([b"e", b"%d" % last, None, None, b"1" if produced else None, None, b"%d-0" % first, 0])
    assert found is not None
    return found


def test_what_was_published_after_the_look_is_left_for_the_next_page() -> None:
    page = _page(state(1, 3), records(1, 5), 0)
    assert page == Page(state(1, 3).head, records(1, 3))


def test_what_was_trimmed_after_the_look_is_not_said_to_be_there() -> None:
    page = _page(state(1, 10), records(5, 8), 0)
    assert page is not None
    assert (page.head.first, list(page.records)) == (5, records(5, 8))


def test_a_page_of_which_all_was_trimmed_is_read_again() -> None:
    assert _page(state(1, 10), [], 0) is None
    assert _page(state(1, 10), records(11, 12), 0) is None


def test_nothing_past_the_head_and_nothing_retained_are_pages_without_records() -> None:
    assert _page(state(1, 10), [], 10) == Page(state(1, 10).head, [])
    assert _page(state(11, 10), [], 0) == Page(state(11, 10).head, [])


def test_the_hole_before_the_end_of_a_sealed_run_is_no_trimming() -> None:
    end = records(RESERVED + 1, RESERVED + 2)
    page = _page(state(1, RESERVED + 2, produced=True), end, 4)
    assert page == Page(state(1, RESERVED + 2, produced=True).head, end)


def answers(epoch_then: str, offset: int) -> list[Any]:
    """What Redis says of a log in epoch `e` with one record, that is in `epoch_then` a moment later."""
    entry = [b"%d-0" % offset, [b"r", pack("", f"t{offset}", 1_700_000_000.0)]]
    return [[b"e", b"%d" % offset, None, None, None, None, entry[0], 0], [entry], epoch_then.encode()]


async def test_a_page_over_which_the_epoch_changed_is_read_again(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [answers("f", 1), answers("e", 2)]

    async def run(calls: Sequence[object], *more: object) -> list[Any]:
        return said.pop(0)

    monkeypatch.setattr(store.calls, "run", run)
    page = await store.read("a", 0, 1)
    assert page is not None
    assert list(page.records) == records(2, 2)


async def test_a_log_that_never_holds_still_is_unavailable(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(calls: Sequence[object], *more: object) -> list[Any]:
        return answers("f", 1)

    monkeypatch.setattr(store.calls, "run", run)
    with pytest.raises(StoreUnavailable, match="changes faster"):
        await store.read("a", 0, 1)
