"""Hearing that the process is told to leave, before the server that runs it does.

A server runs the shutdown part of a lifespan only once all connections are closed, which open streams never
are; so an application that streams has to hear the signal itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = ["heard"]


@contextlib.contextmanager
def heard(call: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Call `call` in the loop on SIGTERM and SIGINT, then do what would have been done anyway.

    Gives what insists: the server is told once more, as by a second Ctrl-C, and that is for a connection
    that ASGI has no way to cut.
    """
    if threading.current_thread() is not threading.main_thread():
        yield _nobody
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def pass_on(number: int, frame: FrameType | None) -> None:
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    def hear(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(call)
        pass_on(number, frame)

    for number in before:
        signal.signal(number, hear)
    try:
        yield lambda: pass_on(signal.SIGINT, None)
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is hear:
                signal.signal(number, handler)


def _nobody() -> None:
    """Outside the main thread no server hears signals."""
