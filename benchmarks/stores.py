"""Stores: publishing with acknowledgement, appending runs, replaying, through the library and in one process."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop
from redis.asyncio import Redis
from rig.redis import redis_server
from rig.rounds import play
from rig.row import Row, at_least, at_most

from tailrace import Tailrace
from tailrace.facade import Options
from tailrace.log import Batch, Record, Retention

__all__ = ["run"]

_MEMORY, _SQLITE, _REDIS = "memory", "SQLite", "Redis"
_BARE, _BARE_REDIS = "sqlite3, a commit each", "redis-py, a transaction each"
_CONCURRENCY = 50
_DATA = "x" * 160
_HISTORY = 1000
_RUNS, _TOKENS = 200, 5


@dataclass(frozen=True, slots=True)
class Measured:
    """Publishes and records in a second, and seconds for a replay."""

    published: float
    appended: float = 0.0
    replayed: float = 0.0


def run(*, quick: bool) -> list[Row]:
    publishes, rounds = (2_000, 1) if quick else (20_000, 5)
    results = play(
        {
            _MEMORY: lambda: _on_a_loop(_measure("memory://", publishes)),
            _SQLITE: lambda: _in_a_file(publishes),
            _REDIS: lambda: _in_redis(publishes),
            _BARE: lambda: _bare(publishes // 10),
            _BARE_REDIS: lambda: _bare_redis(publishes // 10),
        },
        rounds,
    )

    def figure(name: str, of: Callable[[Measured], float]) -> float:
        return results.median(name, of)

    published = f"publishes acknowledged, {_CONCURRENCY} at once: "
    appended = f"records appended, {_RUNS} runs in each call: "
    replayed = f"{_HISTORY:,} records replayed: "
    rows = [
        Row("stores", published + _MEMORY, figure(_MEMORY, _published), "/s", target=at_least(50_000)),
        Row("stores", published + _SQLITE, figure(_SQLITE, _published), "/s", target=at_least(10_000)),
        Row("stores", published + _REDIS, figure(_REDIS, _published), "/s", target=at_least(5_000)),
    ]
    for name, against in ((_BARE, _SQLITE), (_BARE_REDIS, _REDIS)):
        ratio = results.ratio(name, against, _published)
        rows.append(Row("stores", published + name, figure(name, _published), "/s", ratio, against))
    for name in (_MEMORY, _SQLITE, _REDIS):
        least = at_least(20_000) if name == _REDIS else None
        rows.append(
            Row("stores", appended + name, figure(name, lambda measured: measured.appended), "/s", target=least)
        )
        seconds = figure(name, lambda measured: measured.replayed)
        rows.append(Row("stores", replayed + name, seconds * 1e3, "ms", target=at_most(5)))
    return rows


def _published(measured: Measured) -> float:
    return measured.published


def _on_a_loop(work: Coroutine[None, None, Measured]) -> Measured:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


@contextmanager
def _file() -> Iterator[Path]:
    # Not in /tmp, which often is memory: then nothing would wait for a disk.
    with TemporaryDirectory(dir=Path(__file__).parent) as directory:
        yield Path(directory) / "events.db"


def _in_a_file(publishes: int) -> Measured:
    with _file() as path:
        return _on_a_loop(_measure(f"sqlite:///{path}", publishes))


def _in_redis(publishes: int) -> Measured:
    with redis_server() as server:
        return _on_a_loop(_measure(f"redis://127.0.0.1:{server.port}", publishes))


async def _measure(url: str, publishes: int) -> Measured:
    async with _started(url) as tailrace:
        published = await _rate(publishes, partial(_publish_all, tailrace, publishes))
        replayed = min([await _seconds(partial(tailrace.hub.store.read, "channel:a", 0, _HISTORY)) for _ in range(5)])
        appended = await _append_all(tailrace, publishes // (_RUNS * _TOKENS) * 5)
    return Measured(published, appended, replayed)


@asynccontextmanager
async def _started(url: str) -> AsyncIterator[Tailrace]:
    tailrace = Tailrace(url, Options(history=Retention(_HISTORY, None, 3600)))
    await tailrace.start()
    try:
        yield tailrace
    finally:
        await tailrace.close()


async def _publish_all(tailrace: Tailrace, publishes: int) -> None:
    async def publisher() -> None:
        for _ in range(publishes // _CONCURRENCY):
            await tailrace.publish("a", _DATA)

    await asyncio.gather(*[publisher() for _ in range(_CONCURRENCY)])


async def _append_all(tailrace: Tailrace, calls: int) -> float:
    store, names = tailrace.hub.store, [f"run:{number}" for number in range(_RUNS)]
    for name in names:
        await store.create(name, name, "{}")

    async def append() -> None:
        for call in range(calls):
            first = call * _TOKENS + 1
            said = [Record(offset, "", '{"text":"hello "}', 0.0) for offset in range(first, first + _TOKENS)]
            await store.append([Batch(name, name, said) for name in names])

    return await _rate(calls * _RUNS * _TOKENS, append)


async def _rate(count: int, work: Callable[[], Awaitable[object]]) -> float:
    return count / await _seconds(work)


async def _seconds(work: Callable[[], Awaitable[object]]) -> float:
    begun = time.perf_counter()
    await work()
    return time.perf_counter() - begun


def _bare(publishes: int) -> Measured:
    """Do what is done without a thread that gathers: each event its own commit, as safe as the store's."""
    with _file() as path:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, data TEXT)")
        begun = time.perf_counter()
        for _ in range(publishes):
            connection.execute("INSERT INTO events (data) VALUES (?)", (_DATA,))
        seconds = time.perf_counter() - begun
        connection.close()
    return Measured(publishes / seconds)


def _bare_redis(publishes: int) -> Measured:
    """Do what is done without a library of ours: each event stored and told in a transaction, as many at once."""
    with redis_server() as server:
        return _on_a_loop(_publish_bare(server.port, publishes))


async def _publish_bare(port: int, publishes: int) -> Measured:
    async with Redis(port=port) as client:

        async def publisher() -> None:
            for _ in range(publishes // _CONCURRENCY):
                async with client.pipeline() as pipeline:
                    pipeline.xadd("a", {"data": _DATA}, maxlen=_HISTORY)
                    pipeline.publish("a", _DATA)
                    await pipeline.execute()

        async def publish() -> None:
            await asyncio.gather(*[publisher() for _ in range(_CONCURRENCY)])

        return Measured(await _rate(publishes, publish))
