"""The demo's page, and its publisher: it publishes once a second, and only while somebody reads its channels here.

Several instances on one store publish the same, under the same idempotency key, so that each second is there once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tailrace.channels import Publication
from tailrace.channels.names import log_of
from tailrace.facade import Tailrace
from tailrace.web.assets import Folder
from tailrace.web.demo import figures

__all__ = ["Demo"]

log = logging.getLogger("tailrace")

_PRICES: Final = "demo.prices"
_LOG: Final = "demo.log"
_LOAD: Final = "demo.load"

_LOGS: Final = tuple(log_of(channel) for channel in (_PRICES, _LOG, _LOAD))


class Demo:
    """The demo of one application."""

    def __init__(self, tailrace: Tailrace) -> None:
        self._tailrace = tailrace
        self._files = Folder("demo")
        self._task: asyncio.Task[None] | None = None

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """Where it is found."""
        return (
            Route("/demo", self.page, methods=["GET"]),
            Route("/static/demo/{name}", self.file, methods=["GET"]),
        )

    async def page(self, request: Request) -> Response:
        """The page."""
        return self._files.file("demo.html")

    async def file(self, request: Request) -> Response:
        """What it consists of."""
        return self._files.file(request.path_params["name"])

    def start(self) -> None:
        """Be ready to publish."""
        self._task = asyncio.create_task(self._go_on())

    async def close(self) -> None:
        """Publish no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _go_on(self) -> None:
        while True:
            now = time.time()
            await asyncio.sleep(1 - now % 1)
            if self._tailrace.draining:
                continue
            try:
                await self.publish(int(now) + 1)
            except Exception:
                log.exception("the demo could not publish")  # a demo's fault ends nothing, itself included

    async def publish(self, second: int) -> None:
        """Publish what is new in this second, if anybody reads it here."""
        if not any(self._tailrace.hub.reads(each) for each in _LOGS):
            return
        told = (
            Publication(_PRICES, figures.prices(second), "quotes", "merge"),
            Publication(_LOG, figures.line(second), "line", "merge"),
            Publication(_LOAD, figures.load(second), "load", "replace"),
        )
        # A store that is away takes nothing, and says so in the outcomes: the next second has news again.
        await self._tailrace.channels.publish_all(told, f"demo-{second}")
