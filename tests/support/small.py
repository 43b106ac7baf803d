"""A hub whose bounds are so small that a few events go past them, and that does not wait for its store."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

from tailrace.log.backoff import Backoff

__all__ = ["small_hub"]

_BOUNDS = {
    "tail.PAGE": 8,
    "pages.PAGE": 8,
    "shelf.PAGE_BYTES": 3000,
    "shelf.SHELF_BYTES": 6000,
    "shelf.JOIN_BYTES": 250,
    "window.WINDOW": 5,
    "window._WINDOW_BYTES": 800,
    "view.JOIN_BYTES": 250,
    "confluence.JOIN_BYTES": 250,
    "view._PASS_SLICE": 2,
    "tail._TELL_AFTER": 6,
}


@contextmanager
def small_hub() -> Iterator[None]:
    """Have every hub be like that in this block; what it warns of is not logged."""
    with ExitStack() as stack:
        for name, value in _BOUNDS.items():
            stack.enter_context(mock.patch(f"tailrace.hub.{name}", value))
        stack.enter_context(mock.patch.object(Backoff, "wait", return_value=0.0))
        logging.disable(logging.WARNING)
        stack.callback(logging.disable, logging.NOTSET)
        yield
