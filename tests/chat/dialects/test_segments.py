"""Deltas in any order, told segment by segment."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.chat.dialects.segments import Segments, said
from tailrace.runs.deltas import Finish, Refusal, Text, Thinking, ToolCall, Usage


def _told(*deltas: Text | Thinking | ToolCall, finish: bool = False) -> list[str]:
    """Say what was told, as short words: `(text`, `+a`, `)`."""
    segments = Segments()
    steps = [step for delta in deltas for step in segments.take(delta)]
    if finish:
        steps += segments.finish()
    words = {"begin": "({0.kind}", "piece": "+{1}", "end": ")"}
    return [words[step.what].format(step.segment, step.piece) for step in steps]


def _fragment(index: int, arguments: str) -> ToolCall:
    return ToolCall(index, arguments=arguments)


FIRST, SECOND = ToolCall(0, "a", "f"), ToolCall(1, "b", "g")


def test_neighbours_of_one_kind_are_one_segment() -> None:
    assert _told(Thinking("a"), Thinking("b"), Text("c"), Text("d"), Refusal("no")) == [
        *("(thinking", "+a", "+b", ")", "(text", "+c", "+d", ")", "(refusal", "+no"),
    ]


def test_a_call_that_comes_alone_is_told_as_it_comes() -> None:
    assert _told(FIRST, _fragment(0, '{"x":')) == ["(call", '+{"x":']


def test_the_next_call_begins_at_once_where_the_one_before_is_complete() -> None:
    assert _told(FIRST, _fragment(0, '{"x":1}'), SECOND, _fragment(1, "{")) == [
        *("(call", '+{"x":1}', ")", "(call", "+{"),
    ]


def test_fragments_of_another_call_wait_until_the_first_is_complete() -> None:
    interleaved = (FIRST, SECOND, _fragment(0, "{"), _fragment(1, '{"y":'))
    assert _told(*interleaved) == ["(call", "+{"]
    assert _told(*interleaved, _fragment(0, "}")) == ["(call", "+{", "+}", ")", "(call", '+{"y":']


def test_text_after_calls_waits_as_well() -> None:
    assert _told(FIRST, Text("a"), _fragment(0, "{}")) == ["(call", "+{}", ")", "(text", "+a"]


def test_what_never_becomes_complete_is_told_at_the_end_each_call_in_one() -> None:
    deltas = (FIRST, SECOND, _fragment(0, "x"), _fragment(1, "y"), Text("t"), _fragment(1, "z"))
    assert _told(*deltas, finish=True) == ["(call", "+x", ")", "(call", "+y", "+z", ")", "(text", "+t", ")"]


def test_blanks_after_a_complete_call_are_nothing() -> None:
    assert _told(FIRST, _fragment(0, "{}"), SECOND, _fragment(0, "\n"), _fragment(1, "{}"), finish=True) == [
        *("(call", "+{}", ")", "(call", "+{}", ")"),
    ]


def test_an_answer_is_folded_with_its_usage_and_its_end() -> None:
    answer = said([Usage(5), Text("a"), Thinking("b"), Text("c"), FIRST, Usage(None, 3), Finish("stop")])
    assert (answer.text("text"), answer.text("thinking")) == ("ac", "b")
    assert [call.name for call in answer.calls] == ["f"]
    assert (answer.usage, answer.reason) == (Usage(5, 3), "stop")
    assert said([Text("a")]).reason is None


_objects = st.dictionaries(st.text(max_size=3), st.integers(0, 9) | st.just({"}": "}"}), max_size=3)


@settings(deadline=None)
@given(st.data())
def test_any_interleaving_of_calls_is_told_with_all_arguments_and_one_segment_at_a_time(data: st.DataObject) -> None:
    queues: list[list[ToolCall]] = []
    texts = [str(value).replace("'", '"') for value in data.draw(st.lists(_objects, min_size=1, max_size=4))]
    for index, text in enumerate(texts):
        cut = data.draw(st.integers(0, len(text)))
        fragments = [ToolCall(index, f"id{index}", "f"), _fragment(index, text[:cut]), _fragment(index, text[cut:])]
        queues.append(fragments)
    segments, open_now, arguments = Segments(), -1, dict.fromkeys(range(len(texts)), "")
    steps = []
    while any(queues):
        queue = data.draw(st.sampled_from([queue for queue in queues if queue]))
        steps += segments.take(queue.pop(0))
    for step in [*steps, *segments.finish()]:
        if step.what == "begin":
            assert open_now == -1
            open_now = step.segment.index
        assert step.segment.index == open_now
        if step.what == "end":
            open_now = -1
        arguments[step.segment.call] += step.piece
    assert list(arguments.values()) == texts
    assert sorted(segment.id for segment in segments.told) == [f"id{index}" for index in range(len(texts))]
