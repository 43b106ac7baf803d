"""Waiting for what sets no event: a library's inner state."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["eventually"]


async def eventually(condition: Callable[[], object]) -> None:
    """Let the loop run until `condition()` is true; the test's own timeout bounds it."""
    while not condition():  # noqa: ASYNC110  # there is no event to wait for
        await asyncio.sleep(0)
