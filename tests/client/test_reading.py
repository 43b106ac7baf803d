"""Reading events out of bytes that came from anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.client import Gap, Message, Start, Text, answer_from, events_from
from tailrace.errors import RunError, Unreachable

ANSWER = (
    b'id: r-0\nevent: start\ndata: {"run":"r","model":"m"}\n\n'
    b'id: r-1\ndata: {"text":"a\xe2\x80\xa6"}\n\n:heartbeat\n'
    b"id: r-2\nevent: done\ndata: [DONE]\n\n"
)
FAILED = b'event: error\ndata: {"error":{"type":"provider_cut","message":"it broke","retryable":true}}\n\n'


def blocking(read: Callable[[Any], Any], chunks: Iterable[bytes]) -> list[Any]:
    return list(read(chunks))


def awaited(read: Callable[[Any], Any], chunks: Iterable[bytes]) -> list[Any]:
    async def bytes_of() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def scenario() -> list[Any]:
        return [event async for event in read(bytes_of())]

    return asyncio.run(scenario())


Take = Callable[[Callable[[Any], Any], Iterable[bytes]], list[Any]]


@pytest.fixture(params=[blocking, awaited])
def take(request: pytest.FixtureRequest) -> Take:
    return request.param  # type: ignore[no-any-return]


def test_events_are_read_as_published_and_an_unfinished_one_is_discarded(take: Take) -> None:
    body = b'event: ready\ndata: {}\n\nid: 1\nevent: tick\ndata: 7\n\nevent: gap\ndata: {"missed":2}\n\ndata: half'
    got = take(events_from, [body])
    assert got == [Message("7", "tick", "1"), Gap('{"missed":2}', "gap", "1", missed=2)]


def test_of_several_channels_each_event_names_its_own(take: Take) -> None:
    body = b'data: {"channel":"a","data":{"x": 1}}\n\n'
    assert take(lambda chunks: events_from(chunks, several=True), [body]) == [Message('{"x":1}', channel="a")]


def test_nothing_is_read_after_reconnect(take: Take) -> None:
    assert take(events_from, [b"event: reconnect\ndata: {}\n\n", b"data: x\n\n"]) == []


@given(size=st.integers(1, len(ANSWER)))
def test_an_answer_is_the_same_however_its_bytes_are_cut(size: int) -> None:
    chunks = [ANSWER[at : at + size] for at in range(0, len(ANSWER), size)]
    assert list(answer_from(chunks)) == [Start("r", "m"), Text("a\u2026")]


def test_a_part_of_an_answer_never_looks_like_the_whole(take: Take) -> None:
    with pytest.raises(Unreachable, match="before the answer did"):
        take(answer_from, [ANSWER[:-4]])


def test_a_run_that_failed_is_an_error(take: Take) -> None:
    with pytest.raises(RunError, match="it broke"):
        take(answer_from, [FAILED])
