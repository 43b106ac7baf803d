"""A run as the clients of each dialect read it, out of its records."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.chat.dialects import DIALECTS, Head
from tailrace.chat.dialects.anthropic.writer import PING
from tailrace.chat.dialects.rendering import DialectRenderer, Whole, pack, unpack
from tailrace.chat.gateway import KINDS
from tailrace.chat.providers.streamed import StreamedProvider
from tailrace.errors import ErrorType, ProviderError
from tailrace.log import Record
from tailrace.runs import Frame, Item, NativeRenderer, RunMeta, RunOptions, Summary, follow
from tailrace.runs.deltas import Delta, Finish, Refusal, Restart, Text, Thinking, ToolCall, Usage
from tailrace.sse import Decoder
from tests.support.instances import Instances
from tests.support.producers import Held, says
from tests.support.viewers import House, Viewer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tailrace.hub import Tail

HEAD = Head(run="r1", model="smart", created=1_790_000_000, include_usage=True, echo={"temperature": 0.5})
UPSTREAM = Head(run="up", model="real", created=1, include_usage=True)
SAID: list[Delta] = [
    Thinking("Hm."),
    Text("Grüße, "),
    Text("\x1f you"),
    Refusal("no"),
    ToolCall(0, "a", "f", '{"x":1}'),
    ToolCall(1, "b", "g", "{}"),
    Usage(20, 9, 5, 3, 4),
    Finish("tool_calls"),
]

every_dialect = pytest.mark.parametrize("name", DIALECTS)


def _cut() -> ProviderError:
    return ProviderError(ErrorType.PROVIDER_CUT, "the line broke")


async def _records(*items: Item | Exception) -> list[Record]:
    async with House() as house:
        run = await house.runs.start(says(*items), RunOptions(model="m", provider="p", framed=True))
        reading = await house.runs.read(run.id, None)
        assert reading is not None
        records = [record async for some in follow(reading.tail) for record in some]
        reading.close()
    return records


def _run(*items: Item | Exception) -> list[Record]:
    return asyncio.run(_records(*items))


def _frames(name: str, deltas: Sequence[Delta]) -> list[Frame]:
    """What an upstream of the dialect's own kind sends, with what it says."""
    provider = KINDS[DIALECTS[name].kind]
    assert isinstance(provider, type)
    assert issubclass(provider, StreamedProvider)
    events = Decoder().receive(_stream(name, deltas))
    return [Frame(event.event, event.data, said) for event, said in provider.parser().pair(events) if event]


def _stream(name: str, deltas: Sequence[Delta], head: Head = UPSTREAM) -> bytes:
    return DIALECTS[name].writer(head).write(deltas)


def _shown(name: str, records: Sequence[Record], **options: Any) -> bytes:
    return b"".join(DialectRenderer(DIALECTS[name], HEAD, **options).render("r1", records))


def _whole(name: str, records: Sequence[Record]) -> Whole:
    whole = Whole(DIALECTS[name], HEAD)
    whole.add(records)
    return whole


@every_dialect
def test_what_an_upstream_of_another_kind_said_is_written_as_the_dialect_has_it(name: str) -> None:
    assert _shown(name, _run(*SAID)) == _stream(name, SAID, HEAD)
    whole = _whole(name, _run(*SAID))
    assert (whole.complete, whole.error) == (True, None)
    assert whole.whole() == DIALECTS[name].whole(HEAD, SAID)


@every_dialect
def test_the_frames_of_an_upstream_of_the_own_kind_are_handed_on_byte_for_byte(name: str) -> None:
    frames = _frames(name, SAID)
    records = _run(*[[frame] for frame in frames])
    assert _shown(name, records) == _stream(name, SAID)
    accumulator = DIALECTS[name].accumulator()
    for event in Decoder().receive(_stream(name, SAID)):
        accumulator.add(event)
    whole = _whole(name, records)
    assert (whole.complete, whole.whole()) == (True, accumulator.whole())


@every_dialect
def test_frames_change_nothing_of_what_native_clients_read(name: str) -> None:
    summary = Summary()
    summary.add(_RUNS[name])
    assert (summary.thinking, summary.text, summary.finish_reason) == ("Hm.", "Grüße, \x1f youno", "tool_calls")
    assert [(call["id"], call["name"], call["arguments"]) for call in summary.tools] == [
        ("a", "f", '{"x":1}'),
        ("b", "g", "{}"),
    ]
    shown = Decoder().receive(b"".join(NativeRenderer(framed=True).render("r1", _RUNS[name])))
    assert shown[-1].data == "[DONE]"
    parts = [json.loads(event.data) for event in shown[:-1]]
    assert "".join(part["text"] for part in parts if "text" in part) == "Hm.Grüße, \x1f youno"


@every_dialect
@given(data=st.data())
@settings(deadline=None, max_examples=30)
def test_it_is_the_same_however_the_records_come_and_whichever_come_again(name: str, data: st.DataObject) -> None:
    records = _RUNS[name]
    renderer, at, shown = DialectRenderer(DIALECTS[name], HEAD), 0, b""
    while at < len(records):
        some = renderer.render("r1", records[at : at + data.draw(st.integers(1, 5))])
        taken = data.draw(st.integers(1, len(some)))  # the others were not written, and are asked for again
        shown += b"".join(some[:taken])
        at += taken
    assert shown == _stream(name, SAID)


_RUNS = {name: _run(*_frames(name, SAID)) for name in DIALECTS}


@every_dialect
@pytest.mark.parametrize("relayed", [False, True])
def test_a_run_that_breaks_ends_with_the_dialects_own_error(name: str, relayed: bool) -> None:
    items: list[Item] = [*_frames(name, SAID)[:4]] if relayed else [*SAID[:2]]
    said = _stream(name, SAID) if relayed else _stream(name, SAID[:2], HEAD)
    shown = _shown(name, _run(*items, _cut()))
    assert shown.startswith(said[: len(shown) // 3])
    last = Decoder().receive(shown)[-1]
    assert "the line broke" in last.data
    whole = _whole(name, _run(*items, _cut()))
    assert whole.error is not None
    assert (whole.complete, whole.error.type) == (False, ErrorType.PROVIDER_CUT)


@every_dialect
def test_an_answer_that_begins_anew_is_an_error_where_nobody_can_be_told_to_discard(name: str) -> None:
    records = _run(Text("Hel"), [Restart("q", "n", "provider_cut")], Text("Hello"), Finish("stop"))
    events = Decoder().receive(_shown(name, records))
    assert "began anew" in events[-1].data
    assert _whole(name, records).error is not None


@every_dialect
def test_a_relayed_answer_without_its_end_is_an_error(name: str) -> None:
    events = Decoder().receive(_shown(name, _run(*_frames(name, SAID)[:-1])))
    assert "without its end" in events[-1].data


@every_dialect
def test_a_reader_that_missed_something_is_ended_by_an_error_and_one_that_has_its_end_is_not(name: str) -> None:
    renderer = DialectRenderer(DIALECTS[name], HEAD)
    renderer.render("r1", _RUNS[name][:4])
    assert b"no longer kept" in renderer.broken()
    assert b"".join(renderer.render("r1", _RUNS[name][4:])) == b"", "nothing follows it"
    renderer = DialectRenderer(DIALECTS[name], HEAD)
    renderer.render("r1", _RUNS[name])
    assert renderer.broken() == b""


@pytest.mark.parametrize("skip", [0, 1, 2, 7, 500])
def test_a_reader_may_have_the_first_events_already(skip: int) -> None:
    every = Decoder().receive(_stream("openai-responses", SAID, HEAD))
    records = _run(*SAID)
    assert Decoder().receive(_shown("openai-responses", records, skip=skip)) == every[skip:]


def test_what_is_known_of_a_callers_view_is_kept_with_the_run_but_for_its_id() -> None:
    dialect, head = unpack("r1", pack("openai-responses", HEAD))
    assert (dialect, head) == (DIALECTS["openai-responses"], HEAD)
    assert "r1" not in pack("anthropic", HEAD)


@pytest.mark.parametrize("view", ["", "{}", '{"dialect":"of-the-future","head":{"run":"","model":"","created":1}}'])
def test_a_run_that_was_asked_for_in_no_dialect_has_no_such_view(view: str) -> None:
    with pytest.raises(ValueError, match="was not asked for in a dialect"):
        unpack("r1", view)


@every_dialect
def test_nothing_of_the_hub_is_shown_and_the_heartbeat_is_the_dialects_own(name: str) -> None:
    renderer = DialectRenderer(DIALECTS[name], HEAD)
    assert renderer.control("reconnect", {}, None, 500) is None  # type: ignore[func-returns-value]  # that is the point
    assert renderer.heartbeat == b":\n"
    renderer.render("r1", _RUNS[name][:6])
    assert renderer.heartbeat == (PING if name == "anthropic" else b":\n")
    assert len({renderer, DialectRenderer(DIALECTS[name], HEAD)}) == 2, "it belongs to one reader"


# Elsewhere: what an instance needs to know is in the store.


def _as_asked(tail: Tail) -> DialectRenderer:
    return DialectRenderer(*unpack(tail.epoch, RunMeta.parse(tail.meta).view))


async def _view(member: House, run: str) -> Viewer:
    return Viewer(await member.runs.read_as(run, None, _as_asked))


@every_dialect
@pytest.mark.parametrize("relayed", [False, True])
@pytest.mark.anyio
async def test_every_instance_shows_the_same_bytes_while_it_goes_on_and_when_it_is_over(
    name: str, relayed: bool
) -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        items: list[Item] = [*_frames(name, SAID)] if relayed else [[delta] for delta in SAID]
        run = await a.start(says(*items), framed=relayed, view=pack(name, HEAD))
        live = [await _view(member, run.id) for member in (a, b)]
        for viewer in live:
            await viewer.ended()
        late = [await _view(member, run.id) for member in (a, b)]
        for viewer in late:
            await viewer.ended()
        expected = _stream(name, SAID, UPSTREAM if relayed else replace(HEAD, run=run.id))
        assert {bytes(viewer.data).removeprefix(b":\n") for viewer in (*live, *late)} == {expected}


@every_dialect
@pytest.mark.anyio
async def test_readers_elsewhere_of_a_run_whose_producer_dies_get_the_dialects_error(name: str) -> None:
    async with Instances("a", "b") as fleet:
        a, b = fleet.members
        run = await a.start(Held("one "), view=pack(name, HEAD))
        viewer = await _view(b, run.id)
        await b.settled(lambda: b"one " in viewer.data)
        a.frozen = True
        await fleet.pass_time(20)
        await viewer.ended()
        assert "died" in viewer.events[-1].data
        assert not viewer.aborted
