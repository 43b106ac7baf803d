"""An HTTP client that decides about every byte, for tests of what a server does with them.

    with Raw(server.address) as raw:
        raw.request("GET", "/events/news")
        assert raw.head().status == 200
        assert raw.event().event == "ready"

It blocks, and nothing takes longer than its `timeout`: then TimeoutError. `raw.body` is everything that the
present answer's body brought so far, without chunk framing, so that heartbeats and exact bytes can be looked at.
Many readers at once are many `Raw`; a kernel buffers for those that are not being read.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from tailrace.sse import Decoder, Event

__all__ = ["Address", "Answer", "Ended", "Head", "Raw", "ask"]

_LINE = 65_536
Address = tuple[str, int]


class Ended(Exception):
    """The answer's body is complete, or the connection is closed, and more was asked for."""


@dataclass(frozen=True, slots=True)
class Head:
    """An answer's head; header names in lower case. Headers that came twice are joined by a comma."""

    version: str
    status: int
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Raw:
    """One connection. `receive_buffer` (bytes) makes a reader that the server's kernel soon cannot get rid of."""

    def __init__(self, address: Address, *, timeout: float = 10.0, receive_buffer: int | None = None) -> None:
        self.timeout = timeout
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise
        self.body = bytearray()
        self.complete = False
        """Whether the present answer's body has ended in order (its last chunk, or its length, came)."""
        self._received = bytearray()
        self._asked = "GET"
        self._left: int | None = 0  # of a body with a length; None: chunked, or until the connection closes
        self._chunked = False
        self._decoder = Decoder()
        self._events: deque[Event] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # Saying.

    def send(self, data: bytes) -> None:
        """Send these very bytes."""
        self.socket.sendall(data)

    def request(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes | str | object = b""
    ) -> None:
        """Send a request. `body` is bytes, text, or anything else as JSON; a `Host` is added, as is its length."""
        fields = {"host": "test", **{name.lower(): value for name, value in (headers or {}).items()}}
        data = body if isinstance(body, bytes) else _encoded(body, fields)
        if data:
            fields.setdefault("content-length", str(len(data)))
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        self._asked = method
        self.send("\r\n".join(lines).encode() + data)

    def finish(self) -> None:
        """Close our sending side (FIN) and go on reading."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        """Close in order (FIN)."""
        self.socket.close()

    # Hearing.

    def head(self) -> Head:
        """Read an answer's head; what is read from now on is its body."""
        text = self._until(b"\r\n\r\n").decode("latin-1")
        first, *lines = text.split("\r\n")
        version, status, *_ = first.split(" ", 2)
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            known = headers.get(name.lower())
            headers[name.lower()] = value.strip() if known is None else f"{known}, {value.strip()}"
        self._begin_body(int(status), headers)
        return Head(version, int(status), headers)

    def _begin_body(self, status: int, headers: Mapping[str, str]) -> None:
        self.body, self._decoder, self._events = bytearray(), Decoder(), deque()
        self._chunked = headers.get("transfer-encoding", "") == "chunked"
        length = headers.get("content-length")
        without = self._asked == "HEAD" or status in {204, 304} or status < 200
        self._left = 0 if without else None if self._chunked or length is None else int(length)
        self.complete = self._left == 0

    def piece(self) -> bytes:
        """Read one more piece of the body: a chunk, or what came. Raises `Ended`."""
        if self.complete:
            raise Ended
        data = self._chunk() if self._chunked else self._plain()
        self.body += data
        return data

    def _chunk(self) -> bytes:
        size = int(self._until(b"\r\n"), 16)
        data = self._exactly(size + 2)
        assert data.endswith(b"\r\n"), "a chunk is not as long as it says"
        if size == 0:
            self.complete = True
            raise Ended
        return data[:-2]

    def _plain(self) -> bytes:
        if not self._received:
            self._more()
        take = len(self._received) if self._left is None else min(self._left, len(self._received))
        if self._left is not None:
            self._left -= take
            self.complete = self._left == 0
        return self._take(take)

    def event(self) -> Event:
        """Read the next event. Raises `Ended` where the body has no more; look at `complete`."""
        while not self._events:
            self._events += self._decoder.receive(self.piece())
        return self._events.popleft()

    def events(self, count: int) -> list[Event]:
        """Read the next events."""
        return [self.event() for _ in range(count)]

    def rest(self) -> list[Event]:
        """Read all events to the end of the body, or of the connection."""
        events = []
        try:
            while True:
                events.append(self.event())
        except Ended:
            return events

    def read(self) -> bytes:
        """Read the body to its end, or the connection's; all of it."""
        try:
            while True:
                self.piece()
        except Ended:
            return bytes(self.body)

    def closed(self) -> bool:
        """Read on; whether the server closes the connection (in order or not) without saying anything more."""
        try:
            self._more()
        except Ended:
            return True
        return False

    def _until(self, mark: bytes) -> bytes:
        while (found := self._received.find(mark)) < 0:
            self._more()
        return self._take(found + len(mark))[: -len(mark)]

    def _exactly(self, size: int) -> bytes:
        while len(self._received) < size:
            self._more()
        return self._take(size)

    def _take(self, size: int) -> bytes:
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    def _more(self) -> None:
        try:
            data = self.socket.recv(_LINE)
        except ConnectionError as error:
            raise Ended from error
        if not data:
            raise Ended
        self._received += data

    def silent_for(self, seconds: float) -> bool:
        """Whether nothing comes for so long; what does come is kept for reading."""
        self.socket.settimeout(seconds)
        try:
            self._more()
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(self.timeout)
        return False


def ask(
    address: Address,
    method: str,
    target: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | str | object = b"",
    *,
    timeout: float = 10.0,
) -> Answer:
    """Ask once on a connection of its own and read the whole answer; one that does not end within `timeout` fails."""
    deadline = time.monotonic() + timeout
    with Raw(address, timeout=timeout) as raw:
        raw.request(method, target, {"connection": "close", **(headers or {})}, body)
        head = raw.head()
        while not raw.complete:
            try:
                raw.piece()
            except Ended:
                break
            if time.monotonic() > deadline:
                raise TimeoutError(f"{method} {target} goes on after {timeout} s: {bytes(raw.body[-200:])!r}")
        return Answer(head.status, head.headers, bytes(raw.body))


def _encoded(body: object, fields: dict[str, str]) -> bytes:
    if isinstance(body, str):
        fields.setdefault("content-type", "text/plain; charset=utf-8")
        return body.encode()
    fields.setdefault("content-type", "application/json")
    return json.dumps(body).encode()
