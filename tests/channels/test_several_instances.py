"""Several channels and their states on instances that share a Redis."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

import pytest

from tailrace import Tailrace
from tailrace.hub import Framing, Reading
from tailrace.sse import Decoder, Event
from tests.hub.rig import ListSink, received
from tests.support.redis import RedisServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


def begun(reading: Reading) -> tuple[list[Event], ListSink]:
    """A reading's first events, and where the others go."""
    sink = ListSink()
    reading.begin(Framing.PLAIN).bind(sink)
    return list(Decoder().receive(reading.prelude)), sink


def said(events: list[Event]) -> list[Any]:
    return [(data["channel"], data["data"]) for data in [json.loads(event.data) for event in events]]


async def test_what_one_instance_publishes_another_shows_and_a_third_resumes(
    instances: tuple[Tailrace, Tailrace], redis: RedisServer
) -> None:
    one, two = instances
    _, sink = begun(await one.channels.read_several(["a", "b"]))
    for number in range(40):
        await (one, two)[number % 2].publish("ab"[number // 2 % 2], number)
    await eventually(lambda: len(received(sink)) == 40)
    events = received(sink)
    for name in "ab":
        assert [data for channel, data in said(events) if channel == name] == [
            number for number in range(40) if "ab"[number // 2 % 2] == name
        ]
    # On another, the newest of which this process may not have been told yet.
    for seen in (0, 20, 38):
        await one.publish("a", "after")
        (resume,), rest = begun(await two.channels.read_several(["b", "a"], events[seen].id))
        assert json.loads(resume.data)["recovered"] is True
        missed = said(events)[seen + 1 :]
        await eventually(partial(has_all, rest, [*missed, ("a", "after")]))
        for name in "ab":
            assert [each for each in numbers(rest) if each[0] == name] == [each for each in missed if each[0] == name]


def has_all(sink: ListSink, expected: list[Any]) -> bool:
    return all(each in said(received(sink)) for each in expected)


def numbers(sink: ListSink) -> list[Any]:
    return [each for each in said(received(sink)) if isinstance(each[1], int)]


async def test_patches_from_all_instances_are_in_the_state_and_in_what_follows_it(
    instances: tuple[Tailrace, Tailrace],
) -> None:
    async def patch(number: int) -> None:
        await instances[number % 2].publish("board", {f"k{number}": [number, {}, []]}, state="merge")

    async def watch(on: Tailrace, after: int) -> dict[str, Any]:
        await asyncio.sleep(after / 1000)
        (_, snapshot), sink = begun(await on.channels.read("board", snapshot=True))
        state = json.loads(snapshot.data)["state"] or {}
        await eventually(lambda: len(state) + len(received(sink)) >= 60)
        for event in received(sink):
            added = json.loads(event.data)
            assert not state.keys() & added.keys(), "what is in the snapshot does not follow it"
            state |= added
        return dict(state)

    watching = [asyncio.ensure_future(watch(instances[number % 2], number * 3)) for number in range(8)]
    await asyncio.gather(*map(patch, range(60)))
    whole = {f"k{number}": [number, {}, []] for number in range(60)}
    assert await asyncio.gather(*watching) == [whole] * 8
