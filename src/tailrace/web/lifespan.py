"""What the application begins with and ends with, in which order."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.applications import Starlette

from tailrace.access.authority import Authority
from tailrace.access.limits.limiter import Limiter
from tailrace.chat.gateway import Gateway
from tailrace.facade import Tailrace
from tailrace.web.compat import Compat
from tailrace.web.dashboard import Dashboard
from tailrace.web.demo import Demo
from tailrace.web.metrics import Exporter
from tailrace.web.options import WebOptions

__all__ = ["Lifespan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifespan:
    """All that is started and closed with the application; None is a part that it does not have.

    Whatever reads or asks is closed before what it reads from, and one that fails to close keeps no other from it.
    """

    tailrace: Tailrace
    gateway: Gateway
    compat: Compat
    dashboard: Dashboard
    demo: Demo | None
    exporter: Exporter | None
    authority: Authority
    limiter: Limiter | None
    options: WebOptions

    @contextlib.asynccontextmanager
    async def around(self, app: Starlette) -> AsyncIterator[None]:
        """Run around an application, once."""
        await self.tailrace.start()
        async with contextlib.AsyncExitStack() as ends:
            self._end_what_is_shared(ends)
            ends.push_async_callback(self.dashboard.close)
            self.dashboard.start()
            if self.demo is not None:
                ends.push_async_callback(self.demo.close)
                self.demo.start()
            ends.callback(self.compat.close)
            if self.exporter is not None:
                ends.callback(self.exporter.stop)
                self.exporter.start()
            yield

    def _end_what_is_shared(self, ends: contextlib.AsyncExitStack) -> None:
        # The last first: that is the order in which they are called.
        if self.options.tracer is not None:
            ends.push_async_callback(self.options.tracer.close)
        ends.push_async_callback(self.gateway.close)
        ends.push_async_callback(self.tailrace.close)
        if self.limiter is not None:
            ends.callback(self.limiter.close)
        ends.callback(self.authority.close)
