"""Why an application did not start, where its lifespan met something of ours, such as a store that cannot be opened.

The application would send it to uvicorn as a traceback, which uvicorn logs; kept here it becomes a line.
What goes wrong in the application itself is told as ever.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Self

import uvicorn

from tailrace.errors import TailraceError

__all__ = ["Lifespan"]

_Message = MutableMapping[str, Any]


class Lifespan:
    """A configured application's; within its block uvicorn takes it from here.

    `failure` is what kept the application from starting, where that was something of ours.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        self.failure: TailraceError | None = None
        self._config = config
        self._app: Any = config.loaded_app

    def __enter__(self) -> Self:
        self._config.loaded_app = self
        return self

    def __exit__(self, *error: object) -> None:
        self._config.loaded_app = self._app

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        """Run the application. It says that it failed before it raises why, so that is held back until then."""
        failed: _Message | None = None
        started = False

        async def told(message: _Message) -> None:
            nonlocal failed, started
            if message["type"] == "lifespan.startup.failed":
                failed = message
                return
            started = True
            await send(message)

        try:
            await self._app(scope, receive, told)
        except TailraceError as error:
            if not started:
                self.failure = error
                failed = {"type": "lifespan.startup.failed", "message": ""}
            raise
        finally:
            if failed is not None:
                await send(failed)
