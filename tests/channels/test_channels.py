"""Channels without HTTP: names, data, and where a reader begins."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.channels import RESERVED, Channels
from tailrace.channels.names import entry_of
from tailrace.errors import InvalidEvent, InvalidName, StoreUnavailable
from tailrace.hub import Hub, Reading
from tailrace.log import Head, MemoryStore, Position, Retention
from tailrace.sse import Decoder, Event
from tailrace.testing import FakeClock

pytestmark = pytest.mark.anyio


def channels(store: MemoryStore | None = None) -> tuple[Channels, Hub]:
    clock = FakeClock()
    hub = Hub(store or MemoryStore(Retention(events=5), clock), clock=clock)
    return Channels(hub), hub


def begun(reading: Reading) -> tuple[Event, int]:
    """A reading's first event, and the offset past which it goes on; the reading is let go."""
    (event,) = Decoder().receive(reading.prelude)
    reading.close()
    return event, reading.after


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(JSON)
@settings(deadline=None)
def test_what_is_no_string_is_sent_as_json_without_blanks(value: Any) -> None:
    sent = entry_of(value, None).data
    if isinstance(value, str):
        assert sent == value
    else:
        assert sent is not None
        assert json.loads(sent) == value
        assert sent == json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (loop, deep, b"bytes", {1: {2}}):
        with pytest.raises(InvalidEvent):
            entry_of(value, None)


@given(st.text(max_size=130))
@settings(deadline=None)
async def test_a_channels_name_is_of_the_contracts_alphabet(name: str) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~:-"
    allowed = 1 <= len(name) <= 128 and set(name) <= set(alphabet) and name not in {".", ".."}
    subject, hub = channels()
    for attempt in (lambda: subject.publish(name, 1), lambda: subject.read(name), lambda: subject.history(name)):
        if allowed:
            result = await attempt()
            if isinstance(result, Reading):
                result.close()
        else:
            with pytest.raises(InvalidName):
                await attempt()
    assert not hub._tails


@pytest.mark.parametrize("name", sorted(RESERVED))
async def test_the_names_of_our_own_events_cannot_be_published(name: str) -> None:
    with pytest.raises(InvalidName, match=name):
        await channels()[0].publish("a", 1, name)


async def test_message_is_the_type_of_an_event_that_names_none() -> None:
    subject, _ = channels()
    await subject.publish("a", 1, "message")
    await subject.publish("a", 2)
    assert [record.event for record in (await subject.history("a")).records] == ["", ""]


@pytest.mark.parametrize(
    ("cursor", "earliest", "said", "after"),
    [
        (None, False, "ready", 8),
        (None, True, "ready", 3),
        ("{epoch}-8", False, (True, "ok", 0), 8),
        ("{epoch}-5", True, (True, "ok", 0), 5),
        ("{epoch}-3", False, (True, "ok", 0), 3),
        ("{epoch}-1", False, (False, "trimmed", 2), 3),
        ("{epoch}-9", False, (False, "ahead", None), 8),
        ("other-5", True, (False, "unknown", None), 8),
        ("5", False, (False, "malformed", None), 8),
    ],
)
async def test_where_a_reader_begins(cursor: str | None, earliest: bool, said: Any, after: int) -> None:
    subject, _ = channels()
    for number in range(8):  # of which five are retained
        position = await subject.publish("a", number)
    begins = None if cursor is None else cursor.format(epoch=position.epoch)
    event, offset = begun(await subject.read("a", begins, earliest=earliest))
    assert offset == after
    if said == "ready":
        assert (event.event, json.loads(event.data)) == ("ready", {"channels": ["a"]})
        assert event.id == str(Position(position.epoch, after))
    else:
        recovered, reason, missed = said
        assert event.event == "resume"
        assert json.loads(event.data) == {"recovered": recovered, "reason": reason, "missed": missed}
        assert event.id == ("" if recovered else str(Position(position.epoch, after)))


async def test_a_cursor_from_an_instance_that_is_ahead_of_this_one_is_not_lost() -> None:
    class Ahead(MemoryStore):
        async def ensure(self, log: str) -> Head:
            head = await super().ensure(log)
            return Head(head.epoch, head.first, head.last + 2)  # as a shared store whose news is still on its way

    subject, _ = channels(Ahead())
    position = await subject.publish("a", 1)
    event, after = begun(await subject.read("a", f"{position.epoch}-3"))
    assert (json.loads(event.data)["reason"], after) == ("ok", 3)


async def test_a_store_that_fails_leaves_no_tail_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    subject, hub = channels()
    kept = await subject.read("a")

    async def away(log: str) -> Head:
        raise StoreUnavailable("away")

    monkeypatch.setattr(hub.store, "ensure", away)
    with pytest.raises(StoreUnavailable):
        await subject.read("a")
    kept.close()
    assert not hub._tails


async def test_the_history_after_a_drop_is_empty_and_an_old_cursor_unknown() -> None:
    subject, _ = channels()
    old = await subject.publish("a", 1)
    fresh = await subject.drop("a")
    history = await subject.history("a", str(old))
    assert (history.records, history.position) == ([], fresh)
    assert history.verdict is not None
    assert history.verdict.reason == "unknown"
