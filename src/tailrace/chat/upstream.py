"""The HTTP side of a provider: one POST whose answer is an event stream, as chunks of bytes.

Everything that can go wrong between here and the provider leaves this module as a `ProviderError`;
what the bytes mean is left to the provider modules. Sockets are closed without awaiting anything,
so that an abort works at any point, in the middle of a cancellation too.
"""

from __future__ import annotations

import asyncio
import io
import math
from typing import TYPE_CHECKING

import aiohttp
from multidict import CIMultiDict

from tailrace.chat import failures
from tailrace.chat.body import Body
from tailrace.chat.places import NO_QUEUE, Places, Queue
from tailrace.chat.timeouts import Timeouts, Watch
from tailrace.errors import ProviderError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from yarl import URL

__all__ = ["Connections", "Exchange", "Upstream"]

_LINGER = 1.0  # seconds that a finished answer gets to end its body, so that the connection can be used again
_MAX_ERROR_BODY = 65_536  # bytes of an error's body that are read for its message
_ERROR_BODY_WAIT = 2.0  # seconds; the status says what matters
_LARGE_BODY = 1_048_576  # bytes from which aiohttp wants a file object, to write in pieces
_TRANSPORT_ERRORS = (aiohttp.ClientError, OSError)


class Connections:
    """The connections of this process to one provider: a pool, made in the loop that first uses it.

    `queue` is the line in which each of its endpoints lets those wait whom it has no place for.
    """

    def __init__(self, queue: Queue = NO_QUEUE) -> None:
        self.queue = queue
        self._session: aiohttp.ClientSession | None = None
        self._lingering: dict[aiohttp.ClientResponse, asyncio.TimerHandle] = {}
        self.exchanges: set[Exchange] = set()
        """The answers being received, so that `close` can tell those who wait in them."""

    def session(self) -> aiohttp.ClientSession:
        """Return the session; call it in the loop where the connections are to live."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # No limit here: the places of each `Upstream` are one, where a pool would queue unseen and for ever.
                # There are never more connections than places, but for the second in which an answer's body ends.
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session

    def linger(self, response: aiohttp.ClientResponse) -> None:
        """Let a response whose answer is complete end its body by itself, then keep the connection."""
        timer = asyncio.get_running_loop().call_later(_LINGER, self._give_up, response)
        self._lingering[response] = timer
        response.content.on_eof(lambda: self._ended(response))

    async def close(self) -> None:
        """Close every connection; who waits for an answer learns that it was cut. A later use opens new ones."""
        for exchange in tuple(self.exchanges):
            exchange.cut()
        for response in tuple(self._lingering):
            self._give_up(response)
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def _ended(self, response: aiohttp.ClientResponse) -> None:
        timer = self._lingering.pop(response, None)
        if timer is not None:
            timer.cancel()

    def _give_up(self, response: aiohttp.ClientResponse) -> None:
        self._ended(response)
        response.close()


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
        self._url = url
        self._headers = CIMultiDict(  # built once: aiohttp would convert anything else for each request
            {
                "User-Agent": "tailrace",
                "Content-Type": "application/json",
                "Accept": "text/event-stream",
                "Accept-Encoding": "identity",  # a compressor holds tokens back
                **headers,
            }
        )
        self._connections = connections
        self._timeouts = timeouts or Timeouts()
        # Only `connect` is aiohttp's to watch; its other timeouts know nothing of tokens.
        self._connect = aiohttp.ClientTimeout(total=None, connect=self._timeouts.connect, ceil_threshold=math.inf)

    @property
    def open(self) -> int:
        """Return the answers in progress, those that wait for their head included."""
        return self.places.taken

    async def post(self, body: bytes) -> Exchange:
        """Send `body` (JSON) and return once the head of an event stream is here.

        The caller must call `Exchange.close` when it is done, however it ends. The time in line counts
        for none of the timeouts.

        Raises:
            ProviderError: no such stream came; `Saturated` where it was not even asked for.
        """
        if not self.places.enter():
            await self.places.wait()
        exchange = None
        try:
            exchange = await self._exchange(body)
        finally:
            if exchange is None:
                self.places.leave()
        return exchange

    async def _exchange(self, body: bytes) -> Exchange:
        watch = Watch(self._timeouts, asyncio.get_running_loop())
        response = await self._send(body, watch)
        exchange = None
        try:
            await _require_stream(response)
            exchange = Exchange(response, watch, self, self._connections)
        finally:
            if exchange is None:
                response.close()
        return exchange

    async def _send(self, body: bytes, watch: Watch) -> aiohttp.ClientResponse:
        session = self._connections.session()
        try:
            async with asyncio.timeout_at(watch.head_due) as head:
                response = await session.post(
                    self._url,
                    data=body if len(body) < _LARGE_BODY else io.BytesIO(body),
                    headers=self._headers,
                    allow_redirects=False,
                    timeout=self._connect,
                )
        except _TRANSPORT_ERRORS as error:  # TimeoutError is an OSError
            if session.closed:
                raise failures.closed_here() from error
            if head.expired() and not isinstance(error, aiohttp.ClientError):
                raise watch.head_overdue() from error
            raise failures.unreachable(error) from error
        if session.closed:  # after the head had come, but before anybody could be told
            response.close()
            raise failures.closed_here()
        return response


class Exchange:
    """An answer being received."""

    __slots__ = ("_body", "_broken", "_connections", "_loop", "_response", "_upstream", "_watch")

    def __init__(
        self, response: aiohttp.ClientResponse, watch: Watch, upstream: Upstream, connections: Connections
    ) -> None:
        self._response: aiohttp.ClientResponse | None = response
        self._body = Body(response)
        self._broken = False
        self._watch = watch
        self._upstream = upstream
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        connections.exchanges.add(self)
        watch.start(self._body.fail)

    async def receive(self) -> bytes:
        """Return all that arrived since the last call, waiting where nothing did; empty at the body's clean end.

        Raises:
            ProviderError: the connection broke or a timeout passed; whatever came before was returned first.
        """
        watch = self._watch
        watch.waiting_since = self._loop.time()
        try:
            return await self._body.receive()
        except ProviderError:
            if rest := self._rest():
                return rest
            raise
        except _TRANSPORT_ERRORS as error:
            if rest := self._rest():
                return rest
            raise failures.broken(error) from error
        finally:
            watch.waiting_since = math.inf

    def token_seen(self) -> None:
        """The answer has begun: silence counts from here, not the first token."""
        self._watch.token_seen()

    def finish(self) -> None:
        """The provider's own terminal was seen: close, but keep the connection for the next answer."""
        if self._response is not None and not self._body.ended:
            self._connections.linger(self._response)
            self._response = None
            self._release()
        self.close()

    def cut(self) -> None:
        """Fail whoever waits in `receive`: this side is closing."""
        self._body.fail(failures.closed_here())

    def close(self) -> None:
        """Let go at once; a body that has not ended is cut. Safe to call again."""
        if self._response is not None:
            self._response.close()
            self._response = None
            self._release()

    def _rest(self) -> bytes:
        """Return what had arrived when the body broke: it was said before. Once, for more may come after a timeout."""
        if self._broken:
            return b""
        self._broken = True
        return self._body.arrived()

    def _release(self) -> None:
        self._watch.stop()
        self._connections.exchanges.discard(self)
        self._upstream.places.leave()


async def _require_stream(response: aiohttp.ClientResponse) -> None:
    """Raise what a response that is no event stream means."""
    if response.status == 200 and response.content_type == "text/event-stream":
        return
    body = await _error_body(response)
    if response.status != 200:
        raise failures.refused(response.status, response.headers, body)
    raise failures.no_stream(response.content_type, body)


async def _error_body(response: aiohttp.ClientResponse) -> bytes:
    """Read a bounded part of the body in bounded time; what cannot be read is not worth another error."""
    body = b""
    try:
        async with asyncio.timeout(_ERROR_BODY_WAIT):
            while len(body) < _MAX_ERROR_BODY and (chunk := await response.content.readany()):
                body += chunk
    except _TRANSPORT_ERRORS:
        return body
    return body[:_MAX_ERROR_BODY]
