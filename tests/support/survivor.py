"""Clients that behave as good ones do, and note what a user would have seen.

A `Survivor` asks, reads, and whatever ends its stream too early, comes back with its last id until the stream is
over: after `reconnect` when it was told to, after a cut when `retry:` says, after 503 when `Retry-After` says. It
speaks HTTP by itself, so that two hundred of them cost one process little. They run in a `Crowd`, a thread of its own:

    with Crowd() as crowd:
        survivor = crowd.add(Survivor.asking([server.address], "Hi", key="k"))
        ...  # servers come and go
        crowd.wait([survivor])
        assert (survivor.text, survivor.troubles) == ("Hello", [])
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from tailrace.sse import Decoder, Event
from tests.support.hosted import until

__all__ = ["Address", "Crowd", "Question", "Survivor"]

Address = tuple[str, int]

_SILENCE = 30.0
"""Seconds without a byte, heartbeats included, after which a connection counts as lost."""
_REFUSED = 0.2
"""Seconds until the next attempt where nobody listened."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request, before it has a cursor."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None

    def encoded(self, cursor: str) -> bytes:
        """The bytes on the wire; the connection is for this one question."""
        data = b"" if self.body is None else json.dumps(self.body).encode()
        headers = {"host": "test", "accept": "text/event-stream", "connection": "close", **self.headers}
        headers |= {"content-type": "application/json", "content-length": str(len(data))} if data else {}
        headers |= {"last-event-id": cursor} if cursor else {}
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        return f"{self.method} {self.target} HTTP/1.1\r\n{lines}\r\n".encode() + data


class Survivor:
    """One client. `addresses` are tried in turn; `resume_at` makes a cursor the path to come back to."""

    def __init__(self, addresses: Sequence[Address], first: Question, resume_at: Callable[[str], str]) -> None:
        self.events: list[Event] = []
        """What it was told, in order, without what is said about the connection (`resume`, `reconnect`)."""
        self.heard_at: list[float] = []
        """When each of `events` came, as `time.monotonic` seconds."""
        self.opened = 0
        """How many streams were opened for it."""
        self.reconnects: list[int] = []
        """The milliseconds that came with each `reconnect`."""
        self.dismissed_at: list[float] = []
        """When each `reconnect` came, as `time.monotonic` seconds."""
        self.cuts: list[str] = []
        """How streams broke off that nobody had announced."""
        self.statuses: list[int] = []
        """Answers that were neither a stream nor its end."""
        self.verdicts: list[dict[str, Any]] = []
        """What `resume` events said that had something to say."""
        self.repeats: list[str] = []
        """Ids that came though one at least as high had come before."""
        self.over = False
        self.question = ""
        self.served_by: Address | None = None
        self._addresses = [*addresses]
        self._first = first
        self._resume_at = resume_at
        self._decoder = Decoder()
        self._dismissed = False

    @classmethod
    def asking(cls, addresses: Sequence[Address], message: str, key: str, **body: Any) -> Self:
        """A client with a question, which it repeats under its idempotency key until it has an id."""
        first = Question("POST", "/api/chat", {"idempotency-key": key}, {"message": message, **body})
        survivor = cls(addresses, first, _run_of)
        survivor.question = message
        return survivor

    @classmethod
    def watching(cls, addresses: Sequence[Address], run: str, cursor: str = "") -> Self:
        """A client that reads a run which somebody else has started, perhaps on from a cursor."""
        survivor = cls(addresses, Question("GET", f"/api/chat/{run}"), _run_of)
        survivor._decoder.last_event_id = cursor
        return survivor

    @classmethod
    def subscribing(cls, addresses: Sequence[Address], channel: str) -> Self:
        """A client of a channel, which is never over by itself."""
        path = f"/events/{channel}"
        return cls(addresses, Question("GET", path), lambda cursor: path)

    # What it has.

    @property
    def run(self) -> str:
        """The run it reads; empty before its first id."""
        return self._decoder.last_event_id.rpartition("-")[0]

    @property
    def names(self) -> list[str]:
        """The types of what it was told."""
        return [event.event for event in self.events]

    @property
    def ids(self) -> list[str]:
        """The ids of what it was told."""
        return [event.id for event in self.events]

    @property
    def text(self) -> str:
        """The answer, as far as it has it."""
        return "".join([json.loads(event.data)["text"] for event in self.events if event.event == "message"])

    @property
    def error(self) -> str | None:
        """The type that its `error` event named."""
        errors = [json.loads(event.data)["error"]["type"] for event in self.events if event.event == "error"]
        return errors[0] if errors else None

    @property
    def troubles(self) -> list[str]:
        """Whatever a user would have noticed beside a pause."""
        found = [f"status {status}" for status in self.statuses]
        found += [f"verdict {verdict}" for verdict in self.verdicts]
        found += [f"again {repeat}" for repeat in self.repeats]
        return found + ([f"error {self.error}"] if self.error else [])

    # Living.

    async def live(self) -> None:
        """Ask, and come back, until the stream is over."""
        while not self.over:
            pause = await self._attempt()
            await asyncio.sleep(pause)

    async def _attempt(self) -> float:
        """Read as far as it goes; the seconds to wait before the next attempt."""
        address = self._addresses[0]
        self._addresses.append(self._addresses.pop(0))
        try:
            reader, writer = await asyncio.open_connection(*address)
        except OSError:
            return _REFUSED
        self._dismissed = False
        self._decoder.reset()
        try:
            writer.write(self._question().encoded(self._decoder.last_event_id))
            return await self._read(reader, address)
        except (OSError, EOFError) as error:
            return self._lost(f"{type(error).__name__} on {address}")
        finally:
            writer.transport.abort()

    def _question(self) -> Question:
        cursor = self._decoder.last_event_id
        return Question("GET", self._resume_at(cursor), _without_key(self._first.headers)) if cursor else self._first

    async def _read(self, reader: asyncio.StreamReader, address: Address) -> float:
        async with asyncio.timeout(_SILENCE):
            status, headers = _head(await reader.readuntil(b"\r\n\r\n"))
        if status != 200:
            return self._refused(status, headers)
        self.opened += 1
        self.served_by = address
        async for piece in _pieces(reader, headers):
            for event in self._decoder.receive(piece):
                self._take(event)
        if self.over:
            return 0.0
        return self._lost(f"end of the body on {address}")

    def _refused(self, status: int, headers: Mapping[str, str]) -> float:
        if status == 204:
            self.over = True
            return 0.0
        self.statuses.append(status)
        return float(headers.get("retry-after", 1))

    def _lost(self, how: str) -> float:
        if not self._dismissed:
            self.cuts.append(how)
        return (self._decoder.retry or 0) / 1000

    def _take(self, event: Event) -> None:
        if event.event == "reconnect":
            self._dismissed = True
            self.reconnects.append(event.retry or 0)
            self.dismissed_at.append(time.monotonic())
        elif event.event == "resume":
            verdict = json.loads(event.data)
            if not verdict["recovered"]:
                self.verdicts.append(verdict)
        else:
            self._keep(event)

    def _keep(self, event: Event) -> None:
        if self.events and _order(event.id) <= _order(self.events[-1].id):
            self.repeats.append(event.id)
        self.events.append(event)
        self.heard_at.append(time.monotonic())
        self.over = self.over or event.event == "done"


class Crowd:
    """Clients on an event loop in a thread of its own; those still there when it is left are ended."""

    def __init__(self) -> None:
        self.members: list[Survivor] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._runner = asyncio.Runner()
        self._loop = self._runner.get_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="crowd", daemon=True)
        self._asking = True

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is not None:
            self._show()
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._runner.close()

    def add(self, survivor: Survivor) -> Survivor:
        """Let a client live."""
        self.members.append(survivor)
        self._begin(survivor.live())
        return survivor

    def keep_asking(self, make: Callable[[int], Survivor], slots: int, rest: float = 0.0) -> None:
        """Have always `slots` questions under way, each made of its number, until `enough`.

        The first ones come over `rest` seconds.
        """
        for slot in range(slots):
            self._begin(self._ask_on(make, slot * rest / slots))

    def enough(self) -> None:
        """Begin no question any more; those under way go on to their end."""
        self._asking = False

    def wait(self, members: Iterable[Survivor] | None = None, timeout: float = 30) -> None:
        """Wait until these clients, or all, have had everything."""
        waited_for = None if members is None else [*members]
        until(lambda: all(member.over for member in waited_for or self.members), timeout)
        if waited_for is None:
            until(lambda: not self._tasks, timeout)

    async def _ask_on(self, make: Callable[[int], Survivor], delay: float) -> None:
        await asyncio.sleep(delay)
        while self._asking:
            survivor = make(len(self.members))
            self.members.append(survivor)
            await survivor.live()

    def _begin(self, life: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(self._start(life), self._loop).result(10)

    async def _start(self, life: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(life)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self) -> None:
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _show(self) -> None:
        for member in self.members:
            if member.troubles or member.cuts or not member.over:
                names = dict.fromkeys(member.names)
                print(member.run, [*names], member.troubles, member.cuts, member.reconnects, "over:", member.over)


async def _pieces(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
    """A body's pieces, to its end in order. Raises `EOFError` or `OSError` where it breaks off."""
    chunked = headers.get("transfer-encoding") == "chunked"
    while True:
        async with asyncio.timeout(_SILENCE):
            if chunked:
                size = int(await reader.readuntil(b"\r\n"), 16)
                piece = (await reader.readexactly(size + 2))[:-2]
            else:
                piece = await reader.read(65_536)
        if not piece:
            return
        yield piece


def _head(raw: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = raw.decode("latin-1").split("\r\n")[:-2]
    fields = (line.partition(":") for line in lines)
    return int(first.split(" ")[1]), {name.lower(): value.strip() for name, _, value in fields}


def _run_of(cursor: str) -> str:
    return f"/api/chat/{cursor.rpartition('-')[0]}"


def _without_key(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "idempotency-key"}


def _order(event_id: str) -> int:
    with contextlib.suppress(ValueError):
        return int(event_id.rpartition("-")[2])
    return 0
