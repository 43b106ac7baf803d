"""A run told in the dialect that it was asked in, with an HTTP status that is true.

A stream's status waits until something is said, or for `open_after` seconds: a failure before that has the
status that it deserves. Whoever waits is a viewer, and one who leaves while waiting has left.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from starlette.requests import Request

from tailrace.access.caller import Caller
from tailrace.chat.dialects.rendering import DialectRenderer, Whole, spoken, unpack
from tailrace.facade import Answered, Tailrace
from tailrace.hub import Reading, Tail
from tailrace.runs import follow, opening
from tailrace.runs.meta import RunMeta
from tailrace.web.aliases import Aliases
from tailrace.web.identity import caller_of, reader_of
from tailrace.web.problems import Failed
from tailrace.web.waiting import while_there

__all__ = ["Telling"]


class Telling:
    """Tells the runs of one application. `open_after` is in seconds."""

    def __init__(self, tailrace: Tailrace, aliases: Aliases, open_after: float) -> None:
        self._tailrace = tailrace
        self._runs = tailrace.runs
        self._aliases = aliases
        self._open_after = open_after

    async def read(self, run: str, caller: Caller, skip: int = 0) -> Reading:
        """Begin to read a run in its dialect, without its first `skip` events. Raises `RunNotFound`.

        An answer in a dialect of others goes on when the caller's credential ends: those clients cannot come back.
        """
        reader = reader_of(caller, run)
        return await self._runs.read_as(
            run, reader, lambda tail: DialectRenderer(*spoken(tail.epoch, _view(tail)), skip=skip)
        )

    async def stream(self, request: Request, run: str, *, kept: bool) -> Answered:
        """A run as a stream, once it can be opened; `kept` as in `Failed`.

        Raises `Failed` where it failed before it said anything, `ClientDisconnect` where nobody waits any more.
        """
        reading = await self.read(run, caller_of(request))
        tail = reading.tail
        try:
            with tail.held():  # what is said while this waits is sent from memory, with the head
                error = await while_there(request.receive, opening(tail, self._open_after))
                if error is None:
                    await self._aliases.known(tail)
                    # Where something is said by now, nothing has to stand in for it.
                    said = tail.head > 1
                    return self._tailrace.respond(replace(reading, prelude=b"") if said else reading)
        except BaseException:
            reading.close()
            raise
        reading.close()
        raise Failed(run, error, kept=kept)

    async def whole(self, request: Request, run: str, *, kept: bool) -> dict[str, Any]:
        """The whole answer, once it is complete. Raises as `stream`, wherever it failed."""
        reading = await self.read(run, caller_of(request))
        try:
            whole = await while_there(request.receive, self._fold(reading.tail))
            await self._aliases.known(reading.tail)
        finally:
            reading.close()
        if whole.error is not None:
            raise Failed(run, whole.error, kept=kept)
        return whole.whole()

    async def _fold(self, tail: Tail) -> Whole:
        whole = Whole(*unpack(tail.epoch, _view(tail)))
        async for records in follow(tail):
            whole.add(records)
        return whole


def _view(tail: Tail) -> str:
    return RunMeta.parse(tail.meta).view
