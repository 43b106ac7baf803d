"""Folding for whoever is late: fewer events, the same answer, and every id means what it meant."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import ErrorType, RunError
from tailrace.log import Record
from tailrace.runs import Item, NativeRenderer, Summary, Text, Thinking, ToolCall
from tailrace.runs.account import Account
from tailrace.runs.deltas import Frame, Refusal, Restart
from tailrace.runs.folding import fold
from tailrace.runs.frames import Said, carrying, hidden
from tailrace.runs.native import DONE, entry, error_entry, finish_entry, restart_entry, start_entry
from tailrace.sse import Decoder, Event
from tests.support.viewers import House

pytestmark = pytest.mark.anyio

ACCOUNT = Account({"input_tokens": 1, "output_tokens": 2, "estimated": True}, "m", "p", 0.25, 1.5, [])
WORDS = st.text(st.characters(), max_size=6) | st.sampled_from(['","', '"}', "\\", '{"text":"', "é\n"])
FRAME = Frame("e", '{"x":1}')
SAID = st.one_of(
    st.builds(Text, WORDS).map(entry),
    st.builds(Text, WORDS).map(entry),
    st.builds(Text, WORDS).map(lambda text: carrying(entry(text), FRAME)),
    st.builds(Refusal, WORDS).map(entry),
    st.builds(Thinking, WORDS).map(entry),
    st.builds(ToolCall, st.integers(0, 1), st.just(""), st.just(""), WORDS).map(entry),
    st.builds(ToolCall, st.integers(0, 1), st.just(""), st.just(""), WORDS).map(entry),
    st.builds(ToolCall, st.integers(0, 1), WORDS, WORDS, WORDS).map(entry),
    st.just(hidden(FRAME)),
    st.just(restart_entry(Restart("p", "m", "cut"))),
)
ENDS = st.sampled_from(
    [(), (finish_entry("stop", ACCOUNT), DONE), (error_entry(RunError(ErrorType.CALLER_GONE, "x"), None), DONE)]
)
RUNS = st.builds(
    lambda said, end: [
        Record(offset, event, data, float(offset))
        for offset, (event, data) in enumerate([start_entry("r", "m"), *said, *end], 1)
    ],
    st.lists(SAID, max_size=30),
    ENDS,
)


def come_to(records: Sequence[Record]) -> Summary:
    """What records come to."""
    summary = Summary()
    summary.add(records)
    summary._text, summary._thinking = [summary.text], [summary.thinking]
    for call in summary._tools.values():
        call.arguments = ["".join(call.arguments)]
    return summary


def folded(records: Sequence[Record]) -> Sequence[Record]:
    """What the native view makes of them."""
    return NativeRenderer(framed=True).fold(records)


@given(RUNS)
def test_what_is_folded_comes_to_the_same_wherever_a_reader_was_cut(records: list[Record]) -> None:
    less = folded(records)
    assert [record.offset for record in less] == [record.offset for record in records]
    for place, record in enumerate(less, 1):
        if record.data is not None:
            # A reader whose last id is this one, and who comes back for the rest.
            assert come_to([*less[:place], *records[place:]]) == come_to(records)
            assert come_to(less[:place]) == come_to(records[:place])


@given(RUNS, st.integers(1, 7))
def test_it_may_be_folded_page_by_page(records: list[Record], length: int) -> None:
    pages = [folded(records[i : i + length]) for i in range(0, len(records), length)]
    assert come_to([record for page in pages for record in page]) == come_to(records)


def shown(said: Sequence[Said]) -> list[Event]:
    """The events of what was said, folded."""
    records = [Record(offset, event, data, 1.0) for offset, (event, data) in enumerate(said, 1)]
    return list(Decoder().receive(b"".join(NativeRenderer().render("r", fold(records)))))


def test_neighbours_of_a_kind_are_one_event_with_the_last_ones_id() -> None:
    said: list[Text | Thinking] = [Text("a"), Text('"'), Text("\n"), Thinking("h"), Thinking("m"), Text("b")]
    events = shown([entry(each) for each in said])
    assert [(event.event, event.data, event.id) for event in events] == [
        ("message", '{"text":"a\\"\\n"}', "r-3"),
        ("thinking", '{"text":"hm"}', "r-5"),
        ("message", '{"text":"b"}', "r-6"),
    ]


def test_fragments_of_one_call_are_folded_into_its_first_and_no_others() -> None:
    said = [
        ToolCall(0, "c0", "f", "{"),
        ToolCall(0, arguments='"a":'),
        ToolCall(0, arguments="1}"),
        ToolCall(1, "c1", "g", "{"),
        ToolCall(0, arguments=" "),
        ToolCall(0, arguments=" "),
        ToolCall(0, "c2", "f", ""),
    ]
    assert [(json.loads(event.data), event.id) for event in shown([entry(each) for each in said])] == [
        ({"index": 0, "id": "c0", "name": "f", "arguments": '{"a":1}'}, "r-3"),
        ({"index": 1, "id": "c1", "name": "g", "arguments": "{"}, "r-4"),
        ({"index": 0, "id": "", "name": "", "arguments": "  "}, "r-6"),
        ({"index": 0, "id": "c2", "name": "f", "arguments": ""}, "r-7"),
    ]


@pytest.mark.parametrize("letter", ["x", "é", "🧀", '"', "\n"])
def test_a_folded_event_stays_below_64_kib(letter: str) -> None:
    records = [
        Record(offset, event, data, 1.0)
        for offset, (event, data) in enumerate([entry(Text(letter * 100))] * 2000, 1_000_000_000)
    ]
    blocks = NativeRenderer().render("r" * 22, fold(records))
    assert max(map(len, blocks)) < 65_536
    assert len([block for block in blocks if block]) < 40
    said = "".join([json.loads(event.data)["text"] for event in Decoder().receive(b"".join(blocks))])
    assert said == letter * 200_000


def test_what_says_more_than_a_piece_of_text_is_left_alone() -> None:
    said = [entry(Text("a")), ("", '{"text":"b","mood":"calm"}'), entry(Text("c")), entry(Text("d"))]
    assert [event.data for event in shown(said)] == ['{"text":"a"}', '{"text":"b","mood":"calm"}', '{"text":"cd"}']


def test_what_alone_is_larger_is_told_alone() -> None:
    events = shown([entry(Text(text)) for text in ("a", "x" * 70_000, "b", "c")])
    assert [len(json.loads(event.data)["text"]) for event in events] == [1, 70_000, 2]


async def test_a_viewer_who_comes_late_gets_the_answer_in_few_events_and_can_leave_at_each() -> None:
    async with House() as house:

        async def produce() -> AsyncIterator[Item]:
            for number in range(3000):
                yield f"{number} "

        whole = "".join([f"{number} " for number in range(3000)])
        run = await house.start(produce)
        await (await house.view(run.id)).ended()
        late = await house.view(run.id)
        await late.ended()
        assert late.text == whole
        # All but the last 256 or so in pages of as many.
        assert len(late.events) < 300
        for seen in range(0, len(late.events) - 1, 40):
            before = "".join([late.said(e)["text"] for e in late.events[: seen + 1] if e.event == "message"])
            rest = await house.view(run.id, late.events[seen].id)
            await rest.ended()
            assert before + rest.text == whole


async def test_a_viewer_who_keeps_up_gets_each_piece_as_it_was_said() -> None:
    async with House() as house:

        async def produce() -> AsyncIterator[Item]:
            for number in range(600):
                yield f"{number} "

        run = await house.start(produce)
        viewer = await house.view(run.id)
        await viewer.ended()
        assert viewer.names.count("message") == 600
