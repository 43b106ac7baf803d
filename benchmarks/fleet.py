"""Fleet: two instances on one Redis. How late a token is where another instance shows it, and what each part pays.

The instance that produces has a core for itself; the other one, Redis, the model and the readers share the second.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import TypeVar

import uvloop
from contestants import tailrace_serve
from rig.listeners import Ages, Listener, listen_to
from rig.rounds import play
from rig.row import Row, at_most
from rig.server import PEERS, RIG_CORE, BenchmarkFailed, Server, free_port, serving

__all__ = ["run"]

_RATE = 20
"""Tokens a second of each run."""
_FEW, _MANY = 20, 200
_PUBLISHERS = 50
_PUBLISHED = json.dumps({"data": "x" * 160}).encode()
_POST = (
    b"POST /events/bench HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
    % (
        len(_PUBLISHED),
        _PUBLISHED,
    )
)
_SETTINGS = """
[store]
url = "redis://127.0.0.1:{redis}"
[providers.mock]
kind = "openai"
base_url = "http://127.0.0.1:{model}/v1"
"""


@dataclass(frozen=True, slots=True)
class Fleet:
    """Who takes part: the instance that is asked, the one where others watch, and their Redis."""

    producing: Server
    watching: Server
    redis: Server

    def cpu(self) -> tuple[float, float, float]:
        """The CPU seconds that each has used."""
        return self.producing.cpu_seconds(), self.watching.cpu_seconds(), self.redis.cpu_seconds()


@dataclass(frozen=True, slots=True)
class Said:
    """What readers here and elsewhere saw of the tokens, and the CPU (us) that each token cost each part."""

    here: Ages
    elsewhere: Ages
    cpu: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Published:
    """Publishes acknowledged a second, and the CPU (us) that each one cost each part."""

    rate: float
    cpu: tuple[float, float, float]


Measured = TypeVar("Measured")


def run(*, quick: bool) -> list[Row]:
    seconds, rounds = (3, 1) if quick else (10, 3)
    publishes = 2_000 if quick else 20_000
    few = play({"few": lambda: _on_a_fleet(lambda fleet: _said(fleet, _FEW, seconds))}, rounds)
    many = play({"many": lambda: _on_a_fleet(lambda fleet: _said(fleet, _MANY, seconds))}, rounds)
    published = play({"published": lambda: _on_a_fleet(lambda fleet: _published(fleet, publishes))}, rounds)

    rate = published.median("published", lambda each: each.rate)

    def late(what: str, figure: Callable[[Said], float], most: float | None = None) -> Row:
        return Row(
            "fleet",
            f"{what}, {_FEW} runs",
            few.median("few", figure),
            "ms",
            target=None if most is None else at_most(most),
        )

    def cost(what: str, part: int) -> Row:
        return Row("fleet", what, many.median("many", lambda said: said.cpu[part]), "us")

    def publish_cost(what: str, part: int) -> Row:
        return Row("fleet", what, published.median("published", lambda each: each.cpu[part]), "us")

    return [
        late("model to viewer here, p50", lambda said: said.here.p50),
        late("model to viewer on another instance, p50", lambda said: said.elsewhere.p50, 3),
        late("model to viewer on another instance, p99", lambda said: said.elsewhere.p99),
        cost(f"CPU for a token, {_MANY} runs: the producing instance, one viewer", 0),
        cost(f"CPU for a token, {_MANY} runs: an instance with one viewer", 1),
        cost(f"CPU for a token, {_MANY} runs: Redis", 2),
        Row("fleet", f"publishes over HTTP, {_PUBLISHERS} at once", rate, "/s"),
        publish_cost("CPU for a publish: the instance that takes it", 0),
        publish_cost("CPU for a publish: an instance with one subscriber", 1),
        publish_cost("CPU for a publish: Redis", 2),
    ]


def _on_a_fleet(measure: Callable[[Fleet], Awaitable[Measured]]) -> Measured:
    with _fleet() as fleet, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_awaited(measure(fleet)))


async def _awaited(measured: Awaitable[Measured]) -> Measured:
    return await measured


@contextmanager
def _fleet() -> Iterator[Fleet]:
    with _redis() as redis, _model() as model:
        settings = _SETTINGS.format(redis=redis.port, model=model.port)
        with tailrace_serve(settings) as producing, tailrace_serve(settings, core=RIG_CORE) as watching:
            yield Fleet(producing, watching, redis)


@contextmanager
def _redis() -> Iterator[Server]:
    port = free_port()
    with TemporaryDirectory() as directory:
        argv = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", directory]
        with serving(argv, port, core=RIG_CORE) as server:
            yield server


@contextmanager
def _model() -> Iterator[Server]:
    port = free_port()
    argv = [sys.executable, str(PEERS / "stamping_model.py"), str(port), str(_RATE)]
    with serving(argv, port, core=RIG_CORE) as server:
        yield server


async def _said(fleet: Fleet, runs: int, seconds: int) -> Said:
    """Have runs said and watched on both instances for some seconds."""
    question = {"message": "What time is it?", "model": "mock/clock"}
    here = [await listen_to(fleet.producing.port, "POST", "/api/chat", question) for _ in range(runs)]
    names = [await listener.run() for listener in here]
    elsewhere = [await listen_to(fleet.watching.port, "GET", f"/api/chat/{name}") for name in names]
    for listener in elsewhere:
        await listener.run()
    await asyncio.sleep(1)  # what was said before they came is read back, and is no live delay
    _forget([*here, *elsewhere])
    before = fleet.cpu()
    await asyncio.sleep(seconds)
    used = _used(before, fleet.cpu())
    said = Said(Ages.of(here), Ages.of(elsewhere), used)
    for listener in (*here, *elsewhere):
        listener.close()
    _check(said, runs * seconds * _RATE)
    return Said(said.here, said.elsewhere, _each(used, said.here.count))


def _forget(listeners: list[Listener]) -> None:
    for listener in listeners:
        listener.ages.clear()


def _check(said: Said, expected: int) -> None:
    if not 0.9 < said.elsewhere.count / said.here.count < 1.1 or said.here.count < expected / 2:
        counts = f"{said.here.count} here, {said.elsewhere.count} elsewhere"
        raise BenchmarkFailed(f"of some {expected} tokens, {counts} arrived")


async def _published(fleet: Fleet, publishes: int) -> Published:
    """Publish to one channel from many connections at once; one subscriber listens elsewhere."""
    subscriber = await listen_to(fleet.watching.port, "GET", "/events/bench")
    await subscriber.head
    before, begun = fleet.cpu(), time.perf_counter()
    await asyncio.gather(*[_publish(fleet.producing.port, publishes // _PUBLISHERS) for _ in range(_PUBLISHERS)])
    seconds = time.perf_counter() - begun
    await asyncio.sleep(0.2)
    used = _used(before, fleet.cpu())
    subscriber.close()
    return Published(publishes / seconds, _each(used, publishes))


async def _publish(port: int, count: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(count):
        writer.write(_POST)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise BenchmarkFailed(head.decode(errors="replace"))
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
    writer.close()


def _used(before: tuple[float, float, float], after: tuple[float, float, float]) -> tuple[float, float, float]:
    return after[0] - before[0], after[1] - before[1], after[2] - before[2]


def _each(seconds: tuple[float, float, float], count: int) -> tuple[float, float, float]:
    """Microseconds for each of `count`."""
    return seconds[0] / count * 1e6, seconds[1] / count * 1e6, seconds[2] / count * 1e6
