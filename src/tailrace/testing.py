"""For tests of applications that use Tailrace: an ASGI client that really streams, and time that moves when told.

    async with Harness(app) as harness, harness.stream("GET", "/prices") as answer:
        assert (await answer.event()).event == "ready"
        await tail.publish("prices", {"eur": 1.07})
        assert (await answer.event()).data == '{"eur":1.07}'

Everything runs in the test's own process and event loop, without a socket. What needs one (the direct
lane, slow kernels, resets) is left to a real server.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self
from urllib.parse import unquote

from tailrace.sse import Decoder, Event

__all__ = ["Answer", "FakeClock", "Harness"]

_Application = Callable[[Any, Any, Any], Awaitable[None]]


class Harness:
    """Asks an ASGI application, with its lifespan around it where it has one.

    Used without `async with`, it leaves the lifespan out.
    Nothing that is waited for may take longer than `patience` seconds; then `TimeoutError` is raised.
    """

    def __init__(self, app: _Application, *, patience: float = 5.0) -> None:
        self._app = app
        self._patience = patience
        self._state: dict[str, Any] = {}
        self._lifespan: asyncio.Task[None] | None = None
        self._said: asyncio.Queue[str] = asyncio.Queue()
        self._heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        """Start the application. Raises what it raises, or `RuntimeError` where it says that it cannot start."""
        self._lifespan = asyncio.create_task(self._live())
        await self._phase("startup")
        return self

    async def __aexit__(self, *error: object) -> None:
        """Shut the application down."""
        await self._phase("shutdown")
        if self._lifespan is not None:
            await asyncio.wait_for(self._lifespan, self._patience)

    async def _live(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self._state}
        known = False

        async def receive() -> dict[str, Any]:
            nonlocal known
            known = True
            return await self._said_next()

        async def send(message: dict[str, Any]) -> None:
            self._heard.put_nowait(message)

        try:
            await self._app(scope, receive, send)
        except Exception:
            if known:
                raise  # else it knows no lifespan, which by ASGI it says by raising at once
        finally:
            self._heard.put_nowait({"type": "over"})

    async def _said_next(self) -> dict[str, Any]:
        return {"type": f"lifespan.{await self._said.get()}"}

    async def _phase(self, name: str) -> None:
        self._said.put_nowait(name)
        told = await asyncio.wait_for(self._heard.get(), self._patience)
        if told["type"] == "over":
            self._heard.put_nowait(told)
            if self._lifespan is not None:
                await self._lifespan
        elif told["type"] != f"lifespan.{name}.complete":
            raise RuntimeError(f"the application's {name} failed: {told.get('message', told['type'])}")

    @asynccontextmanager
    async def stream(
        self, method: str, target: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> AsyncIterator[Answer]:
        """Ask, and get the answer while it is being given. Leaving the block is a client that leaves.

        `target` is a path with its query. Raises what the application raises, when its answer is awaited.
        """
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(b"host", b"test"), *[(n.lower().encode(), v.encode()) for n, v in (headers or {}).items()]],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "state": dict(self._state),
        }
        answer = Answer(body, self._patience)
        task = asyncio.create_task(answer.serve(self._app, scope))
        try:
            await answer.head()
            yield answer
        finally:
            answer.leave()
            await asyncio.wait((task,), timeout=self._patience)
            if not task.done():
                task.cancel()
                raise TimeoutError(f"{method} {target}: the application goes on after its client has left")

    async def ask(
        self, method: str, target: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """Ask, and read the whole answer into its `body`."""
        async with self.stream(method, target, headers=headers, body=body) as answer:
            await answer.read()
        return answer


class Answer:
    """An answer in progress. `body` is what of it was read so far, `complete` whether that is all there is."""

    def __init__(self, request: bytes, patience: float) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.complete = False
        self._request: bytes | None = request
        self._patience = patience
        self._left = asyncio.Event()
        self._messages: asyncio.Queue[Any] = asyncio.Queue()
        self._decoder = Decoder()
        self._events: deque[Event] = deque()

    async def event(self) -> Event:
        """The next event. Raises `EOFError` where the answer is over."""
        while not self._events:
            self._events += self._decoder.receive(await self.piece())
        return self._events.popleft()

    async def events(self, count: int) -> list[Event]:
        """The next `count` events. Raises `EOFError` where there are fewer."""
        return [await self.event() for _ in range(count)]

    async def rest(self) -> list[Event]:
        """All events to the end of the answer."""
        events = []
        try:
            while True:
                events.append(await self.event())
        except EOFError:
            return events

    async def piece(self) -> bytes:
        """The next piece of the body as the application sent it. Raises `EOFError` where there is none."""
        if self.complete:
            raise EOFError("the answer is complete")
        message = await self._next()
        piece = bytes(message.get("body", b""))
        self.body += piece
        self.complete = not message.get("more_body", False)
        return piece

    async def read(self) -> bytes:
        """The whole body."""
        while not self.complete:
            await self.piece()
        return self.body

    def leave(self) -> None:
        """Disconnect, as a client that closes its connection."""
        self._left.set()

    # The other side.

    async def head(self) -> None:
        """Wait for the status and the headers."""
        message = await self._next()
        self.status = message["status"]
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in message.get("headers", ())}

    async def _next(self) -> Any:
        message = await asyncio.wait_for(self._messages.get(), self._patience)
        if isinstance(message, BaseException):
            self._messages.put_nowait(message)
            raise message
        return message

    async def serve(self, app: _Application, scope: dict[str, Any]) -> None:
        """Run the application for this request."""
        try:
            await app(scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001  # it is the test's, which awaits the answer
            self._messages.put_nowait(error)
        else:
            self._messages.put_nowait(EOFError("the application returned without completing its answer"))

    async def _receive(self) -> dict[str, Any]:
        if self._request is not None:
            body, self._request = self._request, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if self._left.is_set():
            raise OSError("the client has left")
        self._messages.put_nowait(message)


class FakeClock:
    """A clock that stands still until `advance`. Both of its readings move together."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        return self._now

    def time(self) -> float:
        """Seconds since the epoch."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass. Raises `ValueError` for a negative number: time does not go back."""
        if seconds < 0:
            raise ValueError(f"time does not go back: {seconds}")
        self._now += seconds
