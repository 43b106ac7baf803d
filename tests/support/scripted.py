"""An HTTP server that answers by a script, down to where its bytes break off.

It speaks over raw sockets, so that a connection can be cut, reset or held silent at any byte:

    with ScriptedServer(stream(b"data: a\\n\\n", then="cut"), Reply(503)) as server:
        ...  # server.url, server.seen
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

__all__ = ["Ending", "Reply", "ScriptedServer", "Seen", "problem", "refused_url", "stream"]

Ending = Literal["end", "cut", "reset", "hold"]


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it came; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; with status 0, none at all.

    `chunks` None: a plain body, with its length; else a chunked one, each chunk written by itself.
    `then`: `end` closes the body as HTTP does, `cut` and `reset` close the connection in the middle,
    `hold` says nothing more until the client leaves.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    chunks: tuple[bytes, ...] | None = None
    then: Ending = "end"


def stream(*chunks: bytes, then: Ending = "end", **headers: str) -> Reply:
    """Return an event stream; `tailrace_run="x"` becomes the header `Tailrace-Run: x`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(200, {"content-type": "text/event-stream", **named}, chunks=chunks, then=then)


def problem(status: int, code: str, detail: str = "no", **headers: str) -> Reply:
    """Return a problem document."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = f'{{"status":{status},"code":"{code}","detail":"{detail}"}}'.encode()
    return Reply(status, {"content-type": "application/problem+json", **named}, body)


def refused_url() -> str:
    """Return a URL on loopback where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return f"http://127.0.0.1:{unused.getsockname()[1]}"


class ScriptedServer:
    """Gives one reply for each request, in order; a callable makes its reply from the request.

    A request for which no reply is left gets 418, which no client tries again.
    """

    def __init__(self, *replies: Reply | Callable[[Seen], Reply]) -> None:
        self.seen: list[Seen] = []
        self._replies = list(replies)
        self._changed = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def wait_for(self, count: int, timeout: float = 10) -> None:
        """Return once `count` requests have come."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.seen) >= count, timeout), self.seen

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=10)
            assert not thread.is_alive()

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as reader, suppress(OSError):
            while seen := _read(reader):
                if not self._answer(connection, self._next(seen)):
                    return

    def _next(self, seen: Seen) -> Reply:
        with self._changed:
            self.seen.append(seen)
            self._changed.notify_all()
            reply = self._replies.pop(0) if self._replies else problem(418, "script_is_over")
        return reply if isinstance(reply, Reply) else reply(seen)

    def _answer(self, connection: socket.socket, reply: Reply) -> bool:
        """Write a reply; return whether the connection may be used again."""
        length = {"content-length": str(len(reply.body))} if reply.chunks is None else {"transfer-encoding": "chunked"}
        lines = [f"HTTP/1.1 {reply.status} Scripted", *(f"{n}: {v}" for n, v in {**length, **reply.headers}.items())]
        if reply.status:
            connection.sendall("\r\n".join([*lines, "", ""]).encode() + reply.body)
        for chunk in reply.chunks or ():
            connection.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        if reply.then == "end":
            connection.sendall(b"" if reply.chunks is None else b"0\r\n\r\n")
            return True
        if reply.then == "hold":
            connection.recv(1)
        if reply.then == "reset":
            _wait_until_read(connection)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False


def _wait_until_read(connection: socket.socket, timeout: float = 5) -> None:
    """Return once the peer has read what was written: a reset overtakes what it has not."""
    host, port = connection.getpeername()
    # As the kernel prints an address: its 32 bits as a number of this machine.
    peer = f"{struct.unpack('=I', socket.inet_aton(host))[0]:08X}:{port:04X}"
    until = time.monotonic() + timeout
    while _queued(peer) and time.monotonic() < until:
        time.sleep(0.002)


def _queued(peer: str) -> bool:
    """Whether bytes for `peer` are on their way, or unread."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        unsent, unread = (int(size, 16) for size in queues.split(":"))
        if (local == peer and unread) or (remote == peer and unsent):
            return True
    return False


def _read(reader: Any) -> Seen | None:
    line = reader.readline().decode().split()
    if not line:
        return None
    headers = {}
    while field_line := reader.readline().decode().strip():
        name, _, value = field_line.partition(":")
        headers[name.lower()] = value.strip()
    return Seen(line[0], line[1], headers, reader.read(int(headers.get("content-length", 0))))
