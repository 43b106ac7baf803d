"""A channel's state: merge patches as RFC 7396 has them, and that a snapshot and what follows it are the whole."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.channels import Channels
from tailrace.channels.state import STATE_BYTES, merged, new_state
from tailrace.errors import InvalidEvent
from tailrace.hub import Framing, Hub, Reading
from tailrace.log import Entry, MemoryStore, Retention, Store
from tailrace.log.sqlite import SqliteStore
from tailrace.sse import Decoder, Event
from tailrace.testing import FakeClock
from tests.hub.rig import ListSink, SlowStore, received, settle

pytestmark = pytest.mark.anyio

KEPT = Retention(events=3, bytes=None, age=None)

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("merge"), VALUES),
        st.tuples(st.just("merge"), st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)),
        st.tuples(st.just("merge"), st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)),
        st.tuples(st.just("replace"), VALUES),
        st.tuples(st.none(), VALUES),
    ),
    max_size=12,
)


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [  # RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        (None, {"a": {}}, {"a": {}}),
        (None, {"a": []}, {"a": []}),
    ],
)
def test_a_patch_is_merged_as_the_rfc_has_it(target: Any, patch: Any, result: Any) -> None:
    assert merged(target, patch) == result


@given(VALUES, VALUES)
def test_a_patch_that_is_merged_twice_changes_nothing_more(target: Any, patch: Any) -> None:
    once = merged(target, patch)
    copy = json.loads(json.dumps(once))
    assert merged(once, patch) == copy


@pytest.mark.parametrize("change", ["replace", "merge"])
def test_a_state_that_is_too_large_is_refused_with_its_size(change: Any) -> None:
    large = {"a": "é" * (STATE_BYTES // 2)}
    with pytest.raises(InvalidEvent, match=f"{STATE_BYTES + 8} bytes; it may have {STATE_BYTES}"):
        _made(None, change, large)
    assert len(_made(None, change, {"a": "x" * (STATE_BYTES - 8)})) == STATE_BYTES


def test_a_patch_that_nests_too_deeply_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(InvalidEvent):
        _made("{}", "merge", deep)


def _made(before: str | None, change: Any, data: object) -> str:
    state = new_state(change, data)
    return state if isinstance(state, str) else state(before)


def first_events(reading: Reading) -> list[Event]:
    """What a reading begins with; it is let go."""
    reading.close()
    return list(Decoder().receive(reading.prelude))


def folded(state: Any, events: Sequence[Event], changes: dict[str, str | None]) -> Any:
    """What a client makes of a snapshot and the events after it; `changes` says what each id's event did."""
    for event in events:
        change = changes[event.id]
        if change is not None:
            value = json.loads(event.data)
            state = merged(state, value) if change == "merge" else value
    return state


@settings(max_examples=60)
@given(CHANGES, st.integers(0, 12), st.sampled_from(["memory", "sqlite"]))
def test_a_snapshot_and_what_follows_it_come_to_the_state_of_all_that_was_published(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[Any, Any]], begins: int, kind: str
) -> None:
    path = tmp_path_factory.mktemp("state") / "events.db" if kind == "sqlite" else None
    asyncio.run(follow(path, changes, begins))


async def follow(path: Path | None, changes: list[tuple[Any, Any]], begins: int) -> None:
    """Publish, with a reader who begins with a snapshot after so many events: few of those before are retained."""
    clock = FakeClock()
    store: Store = MemoryStore(KEPT, clock) if path is None else SqliteStore(path, KEPT, clock)
    await store.open()
    channels, truth, given = Channels(Hub(store, clock=clock)), None, False
    sink, did, snapshot = ListSink(), dict[str, str | None](), Event("")
    for number, (change, value) in enumerate([*changes, ("merge", {"end": 1})]):
        if number == min(begins, len(changes)):
            reading = await channels.read("a", snapshot=True)
            ready, snapshot = Decoder().receive(reading.prelude)
            assert (ready.event, ready.id, snapshot.event) == ("ready", "", "snapshot")
            assert json.loads(snapshot.data) == {"state": truth if given else None}
            reading.begin(Framing.PLAIN).bind(sink)
        # As JSON, which a string is not by itself.
        position = await channels.publish("a", value if not isinstance(value, str) else [value], state=change)
        if change is not None:
            given, truth = True, _after(truth, change, value if not isinstance(value, str) else [value])
        did[str(position)] = change
    await settle(50)
    assert folded(json.loads(snapshot.data)["state"], received(sink), did) == truth
    assert json.loads((await store.snapshot("channel:a")).state or "") == truth
    await store.close()


def _after(state: Any, change: str, value: Any) -> Any:
    copy = json.loads(json.dumps(value))
    return merged(state, copy) if change == "merge" else copy


async def test_a_channel_without_a_state_has_none_to_show() -> None:
    channels = Channels(Hub(MemoryStore(KEPT), clock=FakeClock()))
    at = await channels.publish("a", {"plain": 1})
    ready, snapshot = first_events(await channels.read("a", snapshot=True))
    assert (ready.event, ready.retry) == ("ready", 2000)
    assert (snapshot.event, snapshot.data, snapshot.id) == ("snapshot", '{"state":null}', str(at))


async def test_a_snapshot_is_of_the_history_that_its_reader_goes_on_in() -> None:
    store = SlowStore(Random(1))
    hub = Hub(store, clock=FakeClock())
    channels = Channels(hub)
    await channels.publish("a", {"old": 1}, state="replace")
    begun = await channels.read("a")
    store.holes = 1.0  # nobody here is told of what happens elsewhere
    await store.drop("channel:a")
    await store.publish("channel:a", [Entry("", "x")], None, '{"new":1}')
    for reading in (await channels.read("a", snapshot=True), await channels.read_several(["a"], snapshot=True)):
        _, snapshot = Decoder().receive(reading.prelude)
        assert "new" in snapshot.data
        assert snapshot.id == f"{store.epochs[-1]}-1"
        sink = ListSink()
        reading.begin(Framing.PLAIN).bind(sink)
        store.holes = 0.0
        await channels.publish("a", "next")
        await settle(100)
        (event, *_) = received(sink)
        assert event.id.startswith(store.epochs[-1]), "there is no gap"
        assert event.event == "message"
        store.holes = 1.0
    begun.close()


async def test_a_cursor_wins_over_a_snapshot() -> None:
    channels = Channels(Hub(MemoryStore(KEPT), clock=FakeClock()))
    at = await channels.publish("a", {"x": 1}, state="replace")
    (resume,) = first_events(await channels.read("a", str(at), snapshot=True))
    assert resume.event == "resume"
    (resume,) = first_events(await channels.read_several(["a", "b"], str(at), snapshot=True))
    assert resume.event == "resume"


async def test_several_channels_tell_their_states_in_one_event() -> None:
    channels = Channels(Hub(MemoryStore(KEPT), clock=FakeClock()))
    a = await channels.publish("a", {"x": 1}, state="replace")
    await channels.publish("c", {"y": 2, "z": None}, state="merge")
    b = await channels.publish("b", "plain")
    ready, snapshot = first_events(await channels.read_several(["b", "a"], snapshot=True))
    assert (ready.event, ready.id, json.loads(ready.data)) == ("ready", "", {"channels": ["b", "a"]})
    assert (snapshot.event, snapshot.id) == ("snapshot", f"{a}.{b}")
    assert json.loads(snapshot.data) == {"channels": {"a": {"state": {"x": 1}}, "b": {"state": None}}}


async def test_a_history_that_is_dropped_takes_its_state_along() -> None:
    channels = Channels(Hub(MemoryStore(KEPT), clock=FakeClock()))
    await channels.publish("a", {"x": 1}, state="replace")
    dropped = await channels.drop("a")
    _, snapshot = first_events(await channels.read("a", snapshot=True))
    assert (snapshot.data, snapshot.id) == ('{"state":null}', str(dropped))
