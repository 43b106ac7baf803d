"""Who views a channel: counted, told to the other instances, and followed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from tailrace import Tailrace
from tailrace.channels import Viewers
from tailrace.errors import InvalidName
from tailrace.hub import Framing, Subscription

pytestmark = pytest.mark.anyio


@pytest.fixture
async def tail() -> AsyncIterator[Tailrace]:
    tail = Tailrace()
    async with tail.lifespan():
        yield tail


async def view(tail: Tailrace, *channels: str, name: str = "") -> Subscription:
    reading = await (tail.channels.read(*channels) if len(channels) == 1 else tail.channels.read_several(channels))
    subscription = reading.begin(Framing.PLAIN)
    subscription.reader = name
    return subscription


async def test_each_open_stream_of_a_channel_is_a_viewer(tail: Tailrace) -> None:
    assert await tail.presence.viewers("a") == Viewers()
    first, second = await view(tail, "a", name="key:web"), await view(tail, "a")
    both = await view(tail, "a", "b", name="key:web")
    assert await tail.presence.viewers("a") == Viewers(3, {"key:web": 2})
    assert await tail.presence.viewers("b") == Viewers(1, {"key:web": 1})
    for each in (first, second, both):
        each.abort("gone")
    assert await tail.presence.viewers("a") == Viewers()


async def test_a_reader_of_what_was_published_is_none(tail: Tailrace) -> None:
    await tail.publish("a", 1)
    await tail.channels.history("a")
    assert (await tail.presence.viewers("a")).count == 0


async def test_counts_are_told_now_and_when_they_change(tail: Tailrace) -> None:
    async with aclosing(tail.presence.counts("a")) as counts:
        assert await anext(counts) == 0
        viewer = await view(tail, "a")
        assert await anext(counts) == 1
        await view(tail, "a")
        viewer.abort("gone")
        viewer = await view(tail, "a")
        assert await anext(counts) == 2


async def test_a_thousand_who_come_at_once_are_few_figures(tail: Tailrace) -> None:
    async with aclosing(tail.presence.counts("a")) as counts:
        assert await anext(counts) == 0
        for _ in range(1000):
            await view(tail, "a")
        seen = [await anext(counts)]
        while seen[-1] != 1000:
            seen.append(await anext(counts))
        assert len(seen) < 20


async def test_a_producer_hears_of_the_first_viewer_and_of_the_last_one_after_its_grace(tail: Tailrace) -> None:
    async with aclosing(tail.presence.watched("a", grace=0.4)) as watched:
        assert await anext(watched) is False
        viewer = await view(tail, "a")
        assert await anext(watched) is True
        viewer.abort("gone")
        again = await view(tail, "a")  # between two connections it is nobody's last viewer
        waiting = asyncio.ensure_future(anext(watched))
        again.abort("gone")
        assert await waiting is False


async def test_who_stops_following_leaves_nothing_behind(tail: Tailrace) -> None:
    before = len(asyncio.all_tasks())
    for follow in (tail.presence.counts("a"), tail.presence.watched("a")):
        await anext(follow)
        await follow.aclose()
    assert len(asyncio.all_tasks()) == before
    assert tail.presence._crowds == {}


async def test_what_is_no_channel_has_no_viewers(tail: Tailrace) -> None:
    with pytest.raises(InvalidName):
        await tail.presence.viewers("a b")
    with pytest.raises(InvalidName):
        tail.presence.counts("a b")
    with pytest.raises(InvalidName):
        tail.presence.watched("")


# Two instances.


async def test_viewers_are_counted_everywhere(instances: tuple[Tailrace, Tailrace]) -> None:
    one, other = instances
    await view(one, "a", name="key:web")
    await view(other, "a", name="key:web")
    leaving = await view(other, "a", "b")

    for each in instances:
        await until(each, Viewers(3, {"key:web": 2}))
    leaving.abort("gone")
    for each in instances:
        await until(each, Viewers(2, {"key:web": 2}))


async def test_a_producer_hears_of_viewers_elsewhere(instances: tuple[Tailrace, Tailrace]) -> None:
    one, other = instances
    async with aclosing(one.presence.watched("a", grace=0)) as watched:
        assert await anext(watched) is False
        viewer = await view(other, "a")
        assert await anext(watched) is True
        viewer.abort("gone")
        assert await anext(watched) is False


async def test_who_leaves_in_order_takes_its_viewers_along(instances: tuple[Tailrace, Tailrace]) -> None:
    one, other = instances
    await view(other, "a")
    await until(one, Viewers(1))
    await other.close()
    await until(one, Viewers())


async def test_what_an_instance_says_in_other_words_does_not_count(instances: tuple[Tailrace, Tailrace]) -> None:
    one, other = instances
    fleet = other.presence._fleet
    assert fleet is not None
    for words in ("?", "[1]", "[1,2]", "{}", '["x",{}]'):
        await fleet.tell_viewers({"channel:a": words})
        assert await one.presence.viewers("a") == Viewers()


async def until(tail: Tailrace, viewers: Viewers) -> None:
    for _ in range(500):
        if await tail.presence.viewers("a") == viewers:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(await tail.presence.viewers("a"))
