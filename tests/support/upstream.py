"""A model provider that does what a test tells it to, down to the byte.

It listens on a real socket, in its own thread and event loop, and speaks Anthropic Messages on
`/v1/messages`, OpenAI chat.completions on `/v1/chat/completions` and OpenAI Responses on
`/v1/responses`, streaming. No framework is in between, so a fault looks on the wire as it would from a
dying server.

    with Upstream() as up:
        up.script(Script(pieces=("Hel", "lo"), usage=(3, 2)))      # for the next request
        up.script(Script(fault="reset", after=1))                  # for the one after it
        up.default = Script(status=529)                            # for all others (or a function of the request)
        ...  # ask: `up.url` is Anthropic's base URL, `up.url + "/v1"` OpenAI's
        assert up.seen[0].body["messages"][0]["content"] == "Hi"
        up.wait_for(lambda seen: seen[1].aborted_at is not None)   # no test sleeps

Async tests use `await up.until(predicate)`, which waits without holding up their loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import threading
import time
import zlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from tests.support.upstream_frames import FRAMES, Script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Script", "Seen", "Upstream"]


@dataclass
class Seen:
    """One request as it arrived. Times are `time.monotonic` seconds; header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    started_at: float
    streaming_at: float | None = None
    """When the head and all frames before the fault, if any, were written."""
    aborted_at: float | None = None
    """When the client was seen to have closed before the answer was complete."""
    finished_at: float | None = None
    """When the last byte of the answer was written."""


class Upstream:
    """The scripted provider; a context manager that listens while it is entered."""

    def __init__(self, default: Script | Callable[[Seen], Script] | None = None) -> None:
        self.default = default or Script()
        self.seen: list[Seen] = []
        self.connections = 0
        self._scripts: deque[Script] = deque()
        self._writers: set[asyncio.StreamWriter] = set()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="upstream", daemon=True)
        self._ready = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._socket.close()

    def script(self, *scripts: Script) -> None:
        """Answer the next requests, one each, by `scripts`; then it is `default` again."""
        self._scripts.extend(scripts)

    def refuse(self) -> None:
        """Stop listening: from now on connections are refused. Those that are open stay."""
        done = threading.Event()

        def close() -> None:
            self._server.close()
            done.set()

        self._loop.call_soon_threadsafe(close)
        done.wait()

    def resume(self) -> None:
        """Let the answers that stall go on to their end."""
        self._loop.call_soon_threadsafe(self._resumed.set)

    def wait_for(self, predicate: Callable[[list[Seen]], object], timeout: float = 5.0) -> None:
        """Block until `predicate(seen)` is true; fail after `timeout` seconds."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: predicate(self.seen), timeout)
        assert arrived, f"not within {timeout} s: {self.seen}"

    async def until(self, predicate: Callable[[list[Seen]], object], timeout: float = 5.0) -> None:  # noqa: ASYNC109  # as wait_for
        """Wait as `wait_for` does, leaving the test's own event loop free."""
        await asyncio.to_thread(self.wait_for, predicate, timeout)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop, self._resumed = asyncio.Event(), asyncio.Event()
        self._server = await asyncio.start_server(self._connection, sock=self._socket)
        self._ready.set()
        await self._stop.wait()
        # asyncio leaks a connection that is being accepted while its server closes or its task is cancelled
        # (3.11: `Server._attach` asserts), so those in the backlog come in first, and each ends with its socket.
        for _ in range(3):
            await asyncio.sleep(0)
        self._server.close()
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.wait(tasks, timeout=0.05)

    @contextlib.contextmanager
    def _change(self) -> Iterator[None]:
        with self._changed:
            yield
            self._changed.notify_all()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with self._change():
            self.connections += 1
        # The next byte is always read by `peek`, so that a client that closes is noticed while it is answered.
        peek = asyncio.ensure_future(reader.read(1))
        try:
            while first := await peek:
                seen = await self._request(first, reader)
                peek = asyncio.ensure_future(reader.read(1))
                script = self._scripts.popleft() if self._scripts else self.default
                script = script if isinstance(script, Script) else script(seen)
                if not await self._answer(_Answer(script, seen.path, writer), seen, peek):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client is gone, which `aborted_at` tells
        finally:
            peek.cancel()
            writer.transport.abort()
            self._writers.discard(writer)

    async def _request(self, first: bytes, reader: asyncio.StreamReader) -> Seen:
        head = first + await reader.readuntil(b"\r\n\r\n")
        request, *lines = head.decode("latin-1").split("\r\n")[:-2]
        method, path, _ = request.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        seen = Seen(method, path, headers, json.loads(raw) if raw else None, time.monotonic())
        with self._change():
            self.seen.append(seen)
        return seen

    async def _answer(self, answer: _Answer, seen: Seen, peek: asyncio.Future[bytes]) -> bool:
        """Answer until the end or until the client closes; return whether the connection can be used again."""
        telling = asyncio.ensure_future(self._tell(answer, seen))
        keep, finished = False, False
        try:
            await asyncio.wait((telling, peek), return_when=asyncio.FIRST_COMPLETED)
            if telling.done():
                with contextlib.suppress(ConnectionError):  # a client that closes may be noticed by writing to it, too
                    keep, finished = telling.result(), True
        finally:
            telling.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await telling
        with self._change():
            if finished:
                seen.finished_at = time.monotonic()
            else:
                seen.aborted_at = time.monotonic()
        return keep

    async def _tell(self, answer: _Answer, seen: Seen) -> bool:
        fault = answer.script.fault
        if fault == "reset before head":
            return answer.reset()
        if fault == "close before head":
            return False
        await asyncio.sleep(answer.script.head_delay)
        if fault != "no head":
            await answer.head()
        if fault not in ("no head", "head only"):
            await answer.frames()
        with self._change():
            seen.streaming_at = time.monotonic()
        if fault in ("no head", "head only", "stall"):
            await self._resumed.wait()
        if fault == "stall":
            await answer.rest()
        if fault == "reset":
            return answer.reset()
        if fault == "cut":
            return answer.hang_up()
        await answer.end()
        return True


class _Answer:
    """Writes one script as an HTTP response."""

    def __init__(self, script: Script, path: str, writer: asyncio.StreamWriter) -> None:
        self.script = script
        self._writer = writer
        self._frames_of = next((frames for end, frames in FRAMES.items() if path.endswith(end)), None)
        self._deflate = zlib.compressobj(wbits=31) if script.gzip else None
        self._streams = script.status == 200 and self._frames_of is not None
        self._held = b""

    async def head(self) -> None:
        """Write the head; for an answer that is no stream, its body too."""
        script = self.script
        status = script.status if self._frames_of else 404
        headers = {"Content-Type": script.content_type} if self._streams else {"Content-Type": "application/json"}
        body = json.dumps(script.body).encode() if isinstance(script.body, dict) else script.body
        headers |= {"Transfer-Encoding": "chunked"} if self._streams else {"Content-Length": str(len(body))}
        headers |= {"Content-Encoding": "gzip"} if self._deflate else {}
        lines = "".join(f"{name}: {value}\r\n" for name, value in {**headers, **script.headers}.items())
        self._writer.write(f"HTTP/1.1 {status} Scripted\r\n{lines}\r\n".encode() + (b"" if self._streams else body))
        await self._writer.drain()

    async def frames(self) -> None:
        """Write the frames up to the fault, where there is one."""
        if self._streams and self._frames_of:
            await asyncio.sleep(self.script.first_delay)
            await self._write([frame.data for frame in self._frames_of(self.script)])

    async def rest(self) -> None:
        """Write what a stall kept back."""
        assert self._frames_of
        whole = Script(**{**vars(self.script), "fault": "none"})
        said = len(list(self._frames_of(self.script)))
        await self._write([frame.data for frame in self._frames_of(whole)][said:])

    async def end(self) -> None:
        """End the body as HTTP wants it."""
        if self._streams:
            tail = self._chunk(self._deflate.flush()) if self._deflate else b""
            self._writer.write(self._held + tail + b"0\r\n\r\n")
        await self._writer.drain()

    def hang_up(self) -> bool:
        """Send FIN in the middle of the body."""
        self._writer.write(self._held)
        self._writer.close()
        return False

    def reset(self) -> bool:
        """Send RST."""
        connection = self._writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()
        return False

    async def _write(self, frames: list[bytes]) -> None:
        if self.script.chunking == "whole" and not self.script.delay:
            frames = [b"".join(frames)]
        for frame in frames:
            await asyncio.sleep(self.script.delay)
            data = self._chunk(self._packed(frame))
            if self.script.chunking == "whole" and self.script.fault == "none":
                self._held += data  # leaves with the end of the body, in one segment
            elif self.script.chunking == "byte":
                await self._write_bytes(data)
            else:
                self._writer.write(data)
                await self._writer.drain()

    async def _write_bytes(self, data: bytes) -> None:
        for index in range(len(data)):
            self._writer.write(data[index : index + 1])
            await asyncio.sleep(0)

    def _packed(self, data: bytes) -> bytes:
        return self._deflate.compress(data) + self._deflate.flush(zlib.Z_SYNC_FLUSH) if self._deflate else data

    @staticmethod
    def _chunk(data: bytes) -> bytes:
        return b"%x\r\n%s\r\n" % (len(data), data) if data else b""
