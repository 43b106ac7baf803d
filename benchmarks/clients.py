"""The Python client: what an event costs in it, beside the decoders of others; and its memory over a long stream.

The same bytes as a busy stream arrives (a segment on the wire at a time); nothing of it is the network's.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpx2
import sseclient
from rig.row import Row, at_most

from tailrace.client import Client, answer_from, events_from
from tailrace.sse import Decoder

__all__ = ["run"]

_SEGMENT = 1460
_ROUNDS = 7
_BARE = "tailrace.sse.Decoder by hand"
_STREAM = {"content-type": "text/event-stream", "tailrace-run": "r"}
_HOUR = 3600 * 20
"""Events of an hour at the rate at which a model speaks."""

Contestant = Callable[[list[bytes]], int]


def run(*, quick: bool) -> list[Row]:
    chunks = _cut(_answer(2000 if quick else 10_000))
    taken = dict.fromkeys(_CONTESTANTS, float("inf"))
    for _ in range(_ROUNDS):  # of all in turn: what else the machine does is everybody's
        for name, read in _CONTESTANTS.items():
            taken[name] = min(taken[name], _once(read, chunks))
    bare = taken.pop(_BARE)
    rows = [Row("clients", _BARE, bare, "us an event")]
    rows += [Row("clients", name, figure, "us an event", figure / bare, _BARE) for name, figure in taken.items()]
    grown = _growth(_HOUR // 10 if quick else _HOUR)
    return [*rows, Row("clients", "memory over an hour's stream", grown, "kB", target=at_most(64))]


def _answer(count: int) -> bytes:
    start = b'id: r-1\nevent: start\ndata: {"run":"r","model":"m"}\n\n'
    said = b"".join([b'id: r-%d\ndata: {"text":" token%d"}\n\n' % (at + 2, at) for at in range(count)])
    return start + said + b"event: done\ndata: [DONE]\n\n"


def _cut(body: bytes) -> list[bytes]:
    return [body[at : at + _SEGMENT] for at in range(0, len(body), _SEGMENT)]


def _once(read: Contestant, chunks: list[bytes]) -> float:
    """Microseconds an event."""
    begun = time.perf_counter()
    count = read(chunks)
    return (time.perf_counter() - begun) / count * 1e6


def _count(events: Iterable[Any]) -> int:
    return sum(1 for _ in events)


def _by_hand(chunks: list[bytes]) -> int:
    decoder = Decoder()
    return sum(len(decoder.receive(chunk)) for chunk in chunks)


def _served(chunks: Iterable[bytes]) -> Client:
    """A client whose server is a function."""

    class Body(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield from chunks

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers=_STREAM, stream=Body())

    return Client("http://x", http=httpx2.Client(transport=httpx2.MockTransport(answer)))


def _subscribe(chunks: list[bytes]) -> int:
    count = 0
    with _served(chunks).subscribe("a") as events:
        for event in events:
            count += 1
            if event.event == "done":
                break
    return count


def _chat(chunks: list[bytes]) -> int:
    return _count(_served(chunks).chat("hi").events())


def _httpx2(chunks: list[bytes]) -> int:
    response = httpx2.Response(200, headers=_STREAM, content=iter(chunks), request=httpx2.Request("GET", "http://x"))
    return _count(httpx2.EventSource(response))


_CONTESTANTS: dict[str, Contestant] = {
    _BARE: _by_hand,
    "events_from": lambda chunks: _count(events_from(chunks)),
    "answer_from (with JSON)": lambda chunks: _count(answer_from(chunks)),
    "subscribe": _subscribe,
    "chat (with JSON)": _chat,
    "httpx2.EventSource": _httpx2,
    "sseclient-py": lambda chunks: _count(sseclient.SSEClient(iter(chunks)).events()),
}


def _growth(count: int) -> float:
    """Kilobytes by which a subscription grows from its first tenth to its last."""

    def said() -> Iterator[bytes]:
        for at in range(count):
            yield b'id: r-%d\ndata: {"text":" token%d"}\n\n' % (at, at)

    tracemalloc.start()
    early = late = 0
    with _served(said()).subscribe("a") as events:
        for number, _ in enumerate(events, start=1):
            if number == count // 10:
                early = tracemalloc.get_traced_memory()[0]
            if number == count:
                late = tracemalloc.get_traced_memory()[0]
                break
    tracemalloc.stop()
    return (late - early) / 1000


if __name__ == "__main__":
    for row in run(quick=False):
        print(row)
