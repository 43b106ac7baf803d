"""The Redis store against the memory store: whatever is done to both, other instances and lost connections included."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.errors import LogEnded
from tailrace.log import Batch, Entry, MemoryStore, Retention
from tailrace.log.redis import RedisStore
from tests.log.redis.place import Place
from tests.log.state_contract import counting
from tests.log.store_contract import records
from tests.support.redis import RedisServer

KEPT = Retention(events=8, bytes=None, age=None)
NUMBERS = count()
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from("ab"), st.integers(1, 10)),
        st.tuples(st.just("operate"), st.sampled_from("ab"), st.integers(1, 3)),
        st.tuples(st.just("fold"), st.sampled_from("ab"), st.integers(1, 3)),
        st.tuples(st.just("drop"), st.sampled_from("ab"), st.just(0)),
        st.tuples(st.just("produce"), st.sampled_from("rs"), st.integers(1, 5)),
        st.tuples(st.just("end"), st.sampled_from("rs"), st.just(0)),
        st.tuples(st.just("cut"), st.just(""), st.just(0)),
        st.tuples(st.just("forget scripts"), st.just(""), st.just(0)),
    ),
    max_size=25,
)


@settings(max_examples=30)
@given(STEPS)
def test_whatever_is_done_reads_as_from_memory_on_each_instance(
    server: RedisServer, steps: list[tuple[str, str, int]]
) -> None:
    asyncio.run(compare(Place(server.url, (server,), f"model{next(NUMBERS)}"), steps))


async def compare(place: Place, steps: Sequence[tuple[str, str, int]]) -> None:
    """Do the same to memory and to one instance or the other; epochs are random, all else is equal."""
    memory = MemoryStore(KEPT)
    async with place.opened(KEPT) as one, place.opened(KEPT) as other:
        for number, (step, log, amount) in enumerate(steps):
            redis = (one, other)[number % 2]
            match step:
                case "publish" | "operate":
                    entries = [Entry("", f"{number}.{i}") for i in range(amount)]
                    for _ in range(1 if step == "publish" else 2):
                        told = [await store.publish(log, entries, f"op{number}") for store in (memory, redis)]
                        assert told[0].offset == told[1].offset
                case "fold":
                    for store in (memory, redis):
                        await store.publish(log, [Entry("", str(amount))] * amount, f"op{amount}", counting)
                case "drop":
                    await memory.drop(log)
                    await redis.drop(log)
                case "cut":
                    place.server.command("CLIENT", "KILL", "TYPE", "normal")
                case "forget scripts":
                    place.server.command("SCRIPT", "FLUSH")
                case _:
                    await say(memory, redis, log, amount, ends=step == "end")
            for each in "abrs":
                await same(memory, (one, other)[number % 2 - 1], each)


async def say(memory: MemoryStore, redis: RedisStore, log: str, amount: int, *, ends: bool) -> None:
    """Append to a run in both stores, beginning it if need be; the redis one repeats some of what it said."""
    head = await memory.head(log)
    if head is None:
        for store in (memory, redis):
            await store.create(log, log, "meta", records(1, 1))
        head = await memory.head(log)
        assert head is not None
    batch = Batch(log, log, records(head.last + 1, head.last + 1 + amount), ends)
    again = Batch(log, log, records(max(1, head.last - 2), batch.records[-1].offset), ends)
    refused = []
    for store, said in ((memory, batch), (redis, again)):
        try:
            await store.append([said])
        except LogEnded:
            refused.append(store)
    assert len(refused) in {0, 2}


async def same(memory: MemoryStore, redis: RedisStore, log: str) -> None:
    """Compare what is read."""
    ours, theirs = await memory.read(log, 0, 100), await redis.read(log, 0, 100)
    assert (ours is None) == (theirs is None)
    if ours is None or theirs is None:
        return
    heads = [(head.first, head.last, head.ended, head.meta) for head in (ours.head, theirs.head)]
    assert heads[0] == heads[1]
    if not ours.head.meta:  # a channel
        assert (await memory.snapshot(log)).state == (await redis.snapshot(log)).state
    shown = [[(offset, event, data) for offset, event, data, _ in page.records] for page in (ours, theirs)]
    assert shown[0] == shown[1]
