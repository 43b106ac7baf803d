"""The HTTP side of a provider: one POST whose answer is an event stream, as chunks of bytes.

Everything that can go wrong between here and the provider leaves this module as a `ProviderError`;
what the bytes mean is left to the provider modules. Sockets are closed without awaiting anything,
so that an abort works at any point, in the middle of a cancellation too.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import TYPE_CHECKING, Final

from multidict import CIMultiDict

from tailrace.chat import failures
from tailrace.chat.coding import Inflater, Undecodable, inflater
from tailrace.chat.connection import NotHttp
from tailrace.chat.connections import Connections
from tailrace.chat.dialing import Origin
from tailrace.chat.places import Places
from tailrace.chat.timeouts import Timeouts, Watch
from tailrace.errors import ProviderError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from yarl import URL

    from tailrace.chat.connection import Connection

__all__ = ["Connections", "Exchange", "Upstream"]

_MAX_ERROR_BODY = 65_536  # bytes of an error's body that are read for its message
_ERROR_BODY_WAIT = 2.0  # seconds; the status says what matters


class Upstream:
    """One endpoint of one provider.

    `headers` are sent as they are; `max_streams` bounds the answers in progress, the next ones wait in
    the line that `connections` allow.
    """

    def __init__(
        self,
        url: URL,
        headers: Mapping[str, str],
        connections: Connections,
        timeouts: Timeouts | None = None,
        max_streams: int = 16_384,
    ) -> None:
        self.places = Places(max_streams, connections.queue)
        self._origin = Origin.of(url)
        self._headers = CIMultiDict(
            {
                "Host": url.host_port_subcomponent or "",
                "User-Agent": "tailrace",
                "Content-Type": "application/json",
                "Accept": "text/event-stream",
                "Accept-Encoding": "identity",  # a compressor holds tokens back
                **headers,
            }
        )
        self._request_line = f"POST {url.raw_path_qs} HTTP/1.1"
        self._head = self._head_with(self._headers)
        self._connections = connections
        self._timeouts = timeouts or Timeouts()

    @property
    def open(self) -> int:
        """Return the answers in progress, those that wait for their head included."""
        return self.places.taken

    async def post(self, body: bytes, headers: Sequence[tuple[str, str]] = ()) -> Exchange:
        """Send `body` (JSON) and return once the head of an event stream is here.

        `headers` go with this request alone; one that is sent with each stands back for them. The caller must
        call `Exchange.close` when it is done, however it ends. The time in line counts for none of the timeouts.

        Raises:
            ProviderError: no such stream came; `Saturated` where it was not even asked for.
        """
        if not self.places.enter():
            await self.places.wait()
        try:
            connection, watch = await self._connect()
        except BaseException:
            self.places.leave()
            raise
        exchange = Exchange(connection, watch, self.places, self._connections)
        try:
            connection.send(b"%b%d\r\n\r\n" % (self._head_for(headers), len(body)), body)
            await exchange.begin()
        except BaseException:
            exchange.close()
            raise
        return exchange

    async def _connect(self) -> tuple[Connection, Watch]:
        """Return a connection, and what watches over it from now on, its making included."""
        connection = self._connections.free(self._origin)
        if connection is not None:
            return connection, Watch(self._timeouts, connection.loop)
        loop = asyncio.get_running_loop()
        watch, connect_due = Watch(self._timeouts, loop), loop.time() + self._timeouts.connect
        try:
            async with asyncio.timeout_at(min(connect_due, watch.head_due)) as patience:
                return await self._connections.dial(self._origin), watch
        except OSError as error:  # TimeoutError is one
            if not patience.expired():
                raise failures.unreachable(error) from error
            raise (failures.not_accepted() if connect_due <= watch.head_due else watch.head_overdue()) from error

    def _head_for(self, headers: Sequence[tuple[str, str]]) -> bytes:
        if not headers:
            return self._head
        together = self._headers.copy()
        together.update(headers)  # where a name is there twice, both
        return self._head_with(together)

    def _head_with(self, headers: CIMultiDict[str]) -> bytes:
        """Return the request's head up to the length of its body. Raises `ValueError` for a header that is two."""
        lines = [self._request_line, *[f"{name}: {value}" for name, value in headers.items()], "Content-Length: "]
        head = "\r\n".join(lines)
        if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1 or "\0" in head:
            raise ValueError("a header of a request to a provider holds a line end or a NUL")
        return head.encode("latin-1")


class Exchange:
    """An answer being received."""

    __slots__ = ("_connection", "_connections", "_inflater", "_places", "_watch")

    def __init__(self, connection: Connection, watch: Watch, places: Places, connections: Connections) -> None:
        self._connection: Connection | None = connection
        self._inflater: Inflater | None = None
        self._watch = watch
        self._places = places
        self._connections = connections
        connections.exchanges.add(self)
        watch.start(connection.fail)

    async def begin(self) -> None:
        """Wait for the head.

        Raises:
            ProviderError: it is not that of an event stream, or did not come.
        """
        connection, watch = self._open(), self._watch
        watch.waiting_since = connection.loop.time()
        try:
            await connection.head()
        except NotHttp as error:
            raise failures.malformed("something that is not HTTP") from error
        except OSError as error:
            raise failures.unreachable(error) from error
        watch.waiting_since = math.inf
        self._inflater = _inflater(connection)
        content_type = connection.headers.get(b"content-type", _UNTYPED).partition(b";")[0].strip().lower()
        if connection.status != 200 or content_type != _STREAM:
            body = await self._error_body()
            if connection.status != 200:
                raise failures.refused(connection.status, _as_text(connection.headers), body)
            raise failures.no_stream(content_type.decode("latin-1"), body)

    async def receive(self) -> bytes:
        """Return all that arrived since the last call, waiting where nothing did; empty at the body's clean end.

        Raises:
            ProviderError: the connection broke or a timeout passed; whatever came before was returned first.
        """
        connection, watch = self._open(), self._watch
        if self._inflater is None and (data := connection.arrived()):
            return data
        watch.waiting_since = connection.loop.time()
        try:
            return await (connection.receive() if self._inflater is None else self._unpack(self._inflater, connection))
        except Undecodable as error:
            raise failures.undecodable() from error
        except (NotHttp, OSError) as error:
            raise failures.broken() from error
        finally:
            watch.waiting_since = math.inf

    async def _unpack(self, inflater: Inflater, connection: Connection) -> bytes:
        while not (data := inflater.unpacked()):
            packed = await connection.receive()
            if not packed:
                return b""
            inflater.take(packed)
        await asyncio.sleep(0)  # one that came may hold a thousand more: others have their turn between them
        return data

    async def _error_body(self) -> bytes:
        """Read a bounded part of the body in bounded time; what cannot be read is not worth another error."""
        body = b""
        with contextlib.suppress(ProviderError, TimeoutError):
            async with asyncio.timeout(_ERROR_BODY_WAIT):
                while len(body) < _MAX_ERROR_BODY and (data := await self.receive()):
                    body += data
        return body[:_MAX_ERROR_BODY]

    def token_seen(self) -> None:
        """The answer has begun: silence counts from here, not the first token."""
        self._watch.token_seen()

    def finish(self) -> None:
        """The provider's own terminal was seen: close, but keep the connection for the next answer."""
        self._give_back(self._connections.linger)

    def cut(self) -> None:
        """Fail whoever waits in `receive`: this side is closing."""
        if self._connection is not None:
            self._connection.fail(failures.closed_here())

    def close(self) -> None:
        """Let go at once; a body that has not ended is cut. Safe to call again."""
        self._give_back(lambda connection: connection.close())

    def _give_back(self, unfinished: Callable[[Connection], None]) -> None:
        """Let the next answer have the connection; `unfinished` takes one whose body has not ended."""
        connection = self._let_go()
        if connection is None:
            return
        if connection.complete:
            self._connections.release(connection)
        else:
            unfinished(connection)

    def _open(self) -> Connection:
        if self._connection is None:
            raise failures.closed_here()
        return self._connection

    def _let_go(self) -> Connection | None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._watch.stop()
            self._connections.exchanges.discard(self)
            self._places.leave()
        return connection


_STREAM: Final = b"text/event-stream"
_UNTYPED: Final = b"application/octet-stream"


def _inflater(connection: Connection) -> Inflater | None:
    try:
        return inflater(connection.headers.get(b"content-encoding", b""))
    except Undecodable as error:
        raise failures.undecodable() from error


def _as_text(headers: Mapping[bytes, bytes]) -> CIMultiDict[str]:
    return CIMultiDict({name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()})
