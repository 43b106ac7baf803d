"""An ASGI application on a real socket in this process, so that a test can look at both of its sides.

    with Hosted(app, loop="asyncio") as hosted, Raw(hosted.address) as raw:
        raw.request("GET", "/prices")
        ...
        assert [type(each).__name__ for each in hosted.connections] == ["DirectSink"]

It is served by uvicorn, with our protocol class unless another is named, on a loop in a thread of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Literal, Self, TypeVar

import uvicorn

from tailrace.server.protocol import LaneProtocol
from tailrace.server.sockets import listen

__all__ = ["LOOPS", "Hosted", "Loop", "until"]

Loop = Literal["asyncio", "uvloop"]
LOOPS: tuple[Loop, ...] = ("asyncio", "uvloop")
T = TypeVar("T")


def until(condition: Callable[[], object], timeout: float = 10) -> None:
    """Wait for what sets no event, in another thread or process."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.002)


class Hosted:
    """A server in a thread. `options` are uvicorn's, such as `ssl_certfile`."""

    def __init__(self, app: Any, *, loop: Loop = "uvloop", silence: float = 30.0, **options: Any) -> None:
        settings = {"http": LaneProtocol, "access_log": False, "log_level": "error", "timeout_graceful_shutdown": 1}
        self._config = uvicorn.Config(app, loop=loop, **{**settings, **options})
        self._server = _Quiet(self._config)
        self._listener = listen("127.0.0.1", 0, silence)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._running: asyncio.AbstractEventLoop | None = None

    @property
    def connections(self) -> list[Any]:
        """What has the open connections: HTTP protocols, and the direct lane's sinks."""
        return list(self._server.server_state.connections)

    @property
    def tasks(self) -> int:
        """Applications that have not returned."""
        return len(self._server.server_state.tasks)

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the server's loop; its result."""
        assert self._running is not None
        return asyncio.run_coroutine_threadsafe(coroutine, self._running).result(10)

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: self._server.started or not self._thread.is_alive())
        assert self._server.started
        return self

    def __exit__(self, *error: object) -> None:
        self._server.should_exit = True
        self._thread.join(15)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=self._config.get_loop_factory()) as runner:
            self._running = runner.get_loop()
            runner.run(self._server.serve(sockets=[self._listener]))


class _Quiet(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Hear no signals: they are the tests' own."""
        yield

    async def main_loop(self) -> None:
        """Look often whether it is over, as tests are many."""
        await self.on_tick(0)
        while not self.should_exit:  # noqa: ASYNC110  # set from another thread
            await asyncio.sleep(0.01)
