"""What is published without anybody publishing it: the lines of files, as `[sources]` in the settings names them.

They are followed from when the application serves until this process begins to leave; its successor goes on there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

from tailrace.server.sources.follower import Follower

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from tailrace.facade import Tailrace
    from tailrace.server.settings.followed import Source

__all__ = ["follow_sources"]

_PATIENCE = 2.0
"""Seconds that a source has to publish what it has read, when the process ends."""


def follow_sources(app: Starlette, tailrace: Tailrace, sources: Mapping[str, Source]) -> None:
    """Have an application's lifespan follow `sources`."""
    around = app.router.lifespan_context  # the one that `create_app` makes, which has no state

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with around(app), _followed(tailrace, sources):
            yield

    app.router.lifespan_context = lifespan


@contextlib.asynccontextmanager
async def _followed(tailrace: Tailrace, sources: Mapping[str, Source]) -> AsyncIterator[None]:
    followers = [Follower(tailrace, name, source) for name, source in sources.items()]
    tasks = [asyncio.create_task(follower.run()) for follower in followers]
    tailrace.on_leaving += [follower.stop for follower in followers]
    try:
        yield
    finally:
        for follower in followers:
            follower.stop()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_PATIENCE)
            for task in late:
                task.cancel()
