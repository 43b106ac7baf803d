"""An upstream's own events, riding along in a run's records."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.runs import Finish, Frame, Restart, Status, Text, Thinking, ToolCall, Usage
from tailrace.runs.frames import HIDDEN, carrying, frame_of, hidden, native_part
from tailrace.runs.intake import End, take
from tailrace.runs.native import entry
from tailrace.runs.tally import Tally
from tests.support.producers import says
from tests.support.viewers import House

PING = Frame("ping", "{}")


@given(st.text(), st.text(), st.text())
def test_whatever_a_frame_holds_it_comes_back_beside_what_was_said(text: str, event: str, data: str) -> None:
    said = carrying(entry(Text(text)), Frame(event, data))
    assert said[0] == ""
    assert native_part(said[1]) == entry(Text(text))[1]
    assert frame_of(said[1]) == (event if event.isprintable() else "", data)


def test_a_frame_that_says_nothing_is_a_record_that_nobody_else_is_shown() -> None:
    event, data = hidden(PING)
    assert (event, native_part(data), frame_of(data)) == (HIDDEN, "", ("ping", "{}"))


def test_a_record_without_a_frame_has_none() -> None:
    assert frame_of(entry(Text("\x1f\x1f"))[1]) is None


def test_a_frame_rides_on_the_first_that_it_says() -> None:
    frame = Frame("message", "raw", [Usage(1), Thinking("a"), Text("b"), ToolCall(0, "c")])
    entries, end = take([PING, frame], Tally(0))
    assert end is None
    assert [(event, frame_of(data)) for event, data in entries] == [
        (HIDDEN, ("ping", "{}")),
        ("thinking", ("message", "raw")),
        ("", None),
        ("tool", None),
    ]


def test_a_frame_that_brings_the_end_rides_on_the_end() -> None:
    last = Frame("message", "raw", [Text("a"), Usage(3, 4), Finish("stop")])
    tally = Tally(0)
    assert take([last, Frame("late", "x")], tally) == ([entry(Text("a"))], End(Finish("stop"), last))
    assert tally.usage() == {"input_tokens": 3, "output_tokens": 4, "estimated": False}


def test_a_single_frame_is_an_item() -> None:
    assert take(PING, Tally(0)) == ([hidden(PING)], None)


@pytest.mark.anyio
async def test_native_viewers_see_what_frames_say_and_not_the_frames() -> None:
    async with House() as house:
        frames = [PING, Frame("a", "1", [Text("Hel")]), Frame("b", "2", [Text("lo")]), PING]
        run = await house.start(says(frames, Frame("c", "3", [Finish("stop")])), framed=True)
        viewer = await house.whole(run.id)
        assert viewer.names == ["start", "message", "message", "finish", "done"]
        assert viewer.text == "Hello"
        offsets = [int(event.id.rpartition("-")[2]) for event in viewer.events]
        assert offsets == [1, 3, 4, 6, 7]
        resumed = await house.view(run.id, viewer.events[1].id)
        await resumed.ended()
        assert resumed.text == "lo"
        assert (await house.runs.summary(run.id, None)).text == "Hello"


@pytest.mark.anyio
async def test_frames_may_say_a_text_many_times_but_not_without_end() -> None:
    async with House() as house:
        repeats = [Frame("a", "x" * 100, [Text("x" * 100)])] + [Frame("again", "x" * 100)] * 7
        run = await house.start(says(repeats, [Finish("stop")]), framed=True, max_bytes=100)
        assert (await house.whole(run.id)).events[-2].event == "finish"
        for endless in ([Frame("a", "x" * 500_000)] * 9, [Frame("a", "x" * 4_500_000, [Finish("stop")])]):
            run = await house.start(says(endless), framed=True, max_bytes=100)
            assert (await house.whole(run.id)).error["type"] == "policy_run_too_large"
            assert run.status is Status.FAILED


@pytest.mark.anyio
async def test_what_a_broken_upstream_said_is_void_with_what_it_cost() -> None:
    async with House() as house:
        again = Restart("spare", "s", "provider_cut")
        items = says([Text("Hello, wor"), Usage(5, 90)], [again], [Text("Hi!"), Finish("stop")])
        viewer = await house.whole((await house.start(items)).id)
        assert viewer.names == ["start", "message", "restart", "message", "finish", "done"]
        assert viewer.said(viewer.events[2]) == {"provider": "spare", "model": "s", "reason": "provider_cut"}
        assert viewer.said(viewer.events[4])["usage"] == {"input_tokens": 0, "output_tokens": 1, "estimated": True}
        snapshot = await house.view(viewer.events[0].id.rpartition("-")[0], snapshot=True)
        await snapshot.ended()
        assert snapshot.text == "Hi!"
