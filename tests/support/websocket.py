"""WebSockets to a server, for tests of what is said over them.

    with Talk(server.address) as talk:
        assert talk.ask("ping", {"n": 1}) == {"type": "pong", "id": 1, "payload": {"n": 1}}
        talk.ask("subscribe", {"channel": "news"})
        assert talk.event()["event"] == "ready"

`Talk` is a published client. `Wire` is a bare socket: for frames that no client would send, for readers that stop, and
where there are to be a thousand of them.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.support.raw import Address, Ended, Raw

__all__ = ["HANDSHAKE", "Talk", "Wire", "frame"]

HANDSHAKE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}

Said = dict[str, Any]


class Talk:
    """One WebSocket. What comes beside a reply that is waited for is kept, and read by `event`."""

    def __init__(
        self, address: Address, headers: Mapping[str, str] | None = None, path: str = "/ws", *, timeout: float = 10
    ) -> None:
        self.timeout = timeout
        self._ids = count(1)
        self._events: deque[Said] = deque()
        host, port = address
        self._connecting = connect(
            f"ws://{host}:{port}{path}", additional_headers=headers, proxy=None, max_size=None, open_timeout=timeout
        )

    def __enter__(self) -> Self:
        self._socket = self._connecting.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    def send(self, message: str | bytes) -> None:
        """Send a message as it is."""
        self._socket.send(message)

    def say(self, type_: str, payload: object = None, **more: Any) -> None:
        """Send a message of ours."""
        self.send(json.dumps({"type": type_, **({} if payload is None else {"payload": payload}), **more}))

    def hear(self) -> Said:
        """The next message, whatever it is."""
        return dict(json.loads(self._socket.recv(timeout=self.timeout)))

    def ask(self, type_: str, payload: object = None) -> Said:
        """Say something and wait for its reply."""
        id_ = next(self._ids)
        self.say(type_, payload, id=id_)
        while True:
            said = self.hear()
            if said["type"] != "event" and said.get("id") == id_:
                return said
            self._events.append(said)

    def event(self) -> Said:
        """The next event, or whatever else is no reply to anything that was waited for."""
        return self._events.popleft() if self._events else self.hear()

    def events(self, until: str) -> list[Said]:
        """The next events, up to the first of a type."""
        events = [self.event()]
        while events[-1].get("event") != until:
            events.append(self.event())
        return events

    def closed(self) -> tuple[int, str, list[Said]]:
        """Read to the end: its close code and reason, and what came before."""
        rest = [*self._events]
        with suppress(ConnectionClosed):
            while True:
                rest.append(self.hear())
        assert self._socket.close_code is not None
        return self._socket.close_code, self._socket.close_reason or "", rest


def frame(data: bytes, first: int = 0x81) -> bytes:
    """A client's frame; by default a whole message of text."""
    size, mask = len(data), os.urandom(4)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 1 << 16:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    return bytes([first]) + length + mask + bytes([byte ^ mask[index % 4] for index, byte in enumerate(data)])


class Wire(Raw):
    """A WebSocket as bytes, open when it is made."""

    def __init__(self, address: Address, headers: Mapping[str, str] | None = None, **options: Any) -> None:
        super().__init__(address, **options)
        self.request("GET", "/ws", {**HANDSHAKE, **(headers or {})})
        head = self._until(b"\r\n\r\n")
        assert b" 101 " in head, head

    def say(self, type_: str, payload: object = None, **more: Any) -> None:
        """Send a message of ours."""
        self.send(frame(json.dumps({"type": type_, "payload": payload or {}, **more}).encode()))

    def frame(self) -> tuple[int, bytes]:
        """The next frame: its first byte, and what is in it. Raises `Ended`."""
        first, size = self._exactly(2)
        assert size < 128, "a server's frame is masked"
        if size >= 126:
            size = int.from_bytes(self._exactly(2 if size == 126 else 8), "big")
        return first, self._exactly(size)

    def hear(self) -> Said:
        """The next message. Raises `Ended`."""
        while True:
            first, data = self.frame()
            if first == 0x81:
                return dict(json.loads(data))
            assert first in {0x8A, 0x89, 0x88}, f"a frame that begins with {first:x}"
            if first == 0x88:
                raise Ended(int.from_bytes(data[:2], "big"))
            if first == 0x89:
                self.send(frame(data, 0x8A))

    def several(self, number: int) -> Sequence[Said]:
        """The next messages."""
        return [self.hear() for _ in range(number)]

    def to_end(self) -> Iterator[Said]:
        """All messages to the end."""
        with suppress(Ended):
            while True:
                yield self.hear()
