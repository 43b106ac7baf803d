"""A process that writes to an SQLite store without end, and says what was acknowledged; made to be killed.

    python tests/support/talker.py FILE

Each line on standard output is one acknowledgement: the log and the position, `news-2 Zx81-17`. Written in
one call, so that a killed process leaves whole lines.
"""

from __future__ import annotations

import asyncio
import os
import sys
from itertools import count

from tailrace.log import FOREVER, Batch, Entry, Record, new_run_id
from tailrace.log.sqlite import SqliteStore

__all__: list[str] = []


def _say(log: str, epoch: str, offset: int) -> None:
    os.write(1, f"{log} {epoch}-{offset}\n".encode())


async def _publish(store: SqliteStore, channel: str) -> None:
    while True:
        position = await store.publish(channel, [Entry("", channel)])
        _say(channel, *position)


async def _produce(store: SqliteStore) -> None:
    run = new_run_id()
    await store.create(run, run, "")
    for number in count():
        records = [Record(3 * number + i, "", run, 0.0) for i in (1, 2, 3)]
        await store.append([Batch(run, run, records)])
        _say(run, run, records[-1].offset)


async def _talk(path: str) -> None:
    store = SqliteStore(path, FOREVER)
    await store.open()
    await asyncio.gather(*[_publish(store, f"news-{i % 3}") for i in range(12)], *[_produce(store) for _ in range(3)])


if __name__ == "__main__":
    asyncio.run(_talk(sys.argv[1]))
