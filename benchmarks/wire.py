"""Time for one event, written and read, beside the libraries that others use for it.

    python benchmarks/wire.py [--quick]

An event is the size of a token's, about 160 bytes on the wire. Read are streams in chunks of one
event and of 31 (an answer that arrives at once). Contestants take many short turns: the best one is
the figure, and what they are compared by is the median of the ratios within a turn, since a machine
that others use too changes its pace between turns. The clock is the process's CPU time, the garbage
collector rests. Peers that are not installed are left out. Those that read httpx responses are given
one, as they cannot be had without; that is part of what their users pay.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import truediv
from typing import Any, Final, TypeVar

from tailrace.sse import Decoder, Event, encode, encode_block

__all__ = ["OURS", "Timing", "measure"]

OURS: Final = "tailrace"
_EVENTS: Final = 31 * 8

Read = Callable[[list[bytes]], int]  # chunks in, the number of events out
Write = Callable[[str, str, str], bytes]
Contestant = TypeVar("Contestant")


@dataclass(frozen=True, slots=True)
class Timing:
    """What one contestant took for one event of a workload.

    `nanoseconds` is its best turn, `ratio` the median over the turns of its time to ours.
    """

    workload: str
    contestant: str
    nanoseconds: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Shape:
    """A kind of event, as some API sends it."""

    name: str
    data: str
    event: str = ""
    id: str = ""

    @property
    def wire(self) -> bytes:
        return encode_block(self.data, self.event, self.id)


_TEXT: Final = '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" tailrace"}}'
_SHAPES: Final = (
    Shape("data", _TEXT.ljust(152)),
    Shape("event, data", _TEXT.ljust(125), event="content_block_delta"),
    Shape("id, data", _TEXT.ljust(122), id="5n3k0qv8c2mzt7wd1xhy-123"),
    Shape("id, event, data", _TEXT.ljust(107), event="thinking", id="5n3k0qv8c2mzt7wd1xhy-123"),
)


def measure(*, quick: bool = False) -> list[Timing]:
    """Run every workload on every contestant that is installed; ours comes first in each workload."""
    passes = {(workload, name): once for workload, contestants in _workloads() for name, once in contestants.items()}
    turns: dict[tuple[str, str], list[float]] = {key: [] for key in passes}
    gc.disable()
    try:
        for _ in range(5 if quick else 150):
            for key, once in passes.items():
                begun = time.process_time_ns()
                once()
                turns[key].append((time.process_time_ns() - begun) / _EVENTS)
    finally:
        gc.enable()
    return [
        Timing(workload, name, min(taken), statistics.median(map(truediv, taken, turns[workload, OURS])))
        for (workload, name), taken in turns.items()
    ]


def _workloads() -> Iterator[tuple[str, dict[str, Callable[[], object]]]]:
    readers, writers = _installed(_READERS), _installed(_WRITERS)
    for shape in _SHAPES:
        for size in (1, 31):
            chunks = [shape.wire * size] * (_EVENTS // size)
            yield f"read {shape.name}; {size} a chunk", {name: _reading(read, chunks) for name, read in readers.items()}
    for shape in _SHAPES:
        yield f"write {shape.name}", {name: _writing(write, shape) for name, write in writers.items()}


def _reading(read: Read, chunks: list[bytes]) -> Callable[[], object]:
    if (events := read(chunks)) != _EVENTS:
        raise ValueError(f"{events} events read of {_EVENTS}: a contestant would be timed for less than its work")
    return lambda: read(chunks)


def _writing(write: Write, shape: Shape) -> Callable[[], object]:
    data, event, event_id = shape.data, shape.event, shape.id

    def once() -> None:
        for _ in range(_EVENTS):
            write(data, event, event_id)

    return once


def _tailrace_reader() -> Read:
    def read(chunks: list[bytes]) -> int:
        receive = Decoder().receive
        events = 0
        for chunk in chunks:
            events += len(receive(chunk))
        return events

    return read


def _httpx2_reader() -> Read:
    httpx2 = importlib.import_module("httpx2")
    return lambda chunks: _counted(httpx2.EventSource(_response(httpx2, chunks)))


def _httpx_sse_reader() -> Read:
    httpx_sse, httpx = importlib.import_module("httpx_sse"), importlib.import_module("httpx")
    return lambda chunks: _counted(httpx_sse.EventSource(_response(httpx, chunks)).iter_sse())


def _openai_reader() -> Read:
    streaming = importlib.import_module("openai._streaming")
    return lambda chunks: _counted(streaming.SSEDecoder().iter_bytes(iter(chunks)))


def _response(httpx: Any, chunks: list[bytes]) -> Any:
    return httpx.Response(
        200,
        headers={"content-type": "text/event-stream"},
        content=iter(chunks),
        request=httpx.Request("GET", "http://127.0.0.1/"),
    )


def _counted(events: Iterable[object]) -> int:
    count = 0
    for _ in events:
        count += 1
    return count


def _tailrace_block_writer() -> Write:
    return encode_block


def _tailrace_event_writer() -> Write:
    return lambda data, event, event_id: encode(Event(data, event, event_id))


def _sse_starlette_writer() -> Write:
    sse_event = importlib.import_module("sse_starlette").ServerSentEvent

    def write(data: str, event: str, event_id: str) -> bytes:
        wire: bytes = sse_event(data, event=event or None, id=event_id or None).encode()
        return wire

    return write


_READERS: Final[Mapping[str, Callable[[], Read]]] = {
    OURS: _tailrace_reader,
    "httpx2": _httpx2_reader,
    "httpx-sse": _httpx_sse_reader,
    "openai": _openai_reader,
}
_WRITERS: Final[Mapping[str, Callable[[], Write]]] = {
    OURS: _tailrace_block_writer,
    "tailrace, validated Event": _tailrace_event_writer,
    "sse-starlette": _sse_starlette_writer,
}


def _installed(makers: Mapping[str, Callable[[], Contestant]]) -> dict[str, Contestant]:
    contestants = {}
    for name, make in makers.items():
        with contextlib.suppress(ImportError):
            contestants[name] = make()
    return contestants


def main() -> int:
    parser = argparse.ArgumentParser(description="Time for one event, written and read.")
    parser.add_argument("--quick", action="store_true", help="a few turns only: does it run?")
    print(f"{'workload':34}{'contestant':28}{'ns/event':>9}{'ratio':>8}")
    for timing in measure(quick=parser.parse_args().quick):
        print(f"{timing.workload:34}{timing.contestant:28}{timing.nanoseconds:9.0f}{timing.ratio:8.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
