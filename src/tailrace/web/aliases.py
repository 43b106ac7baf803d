"""The ids that relayed answers have at their upstream: their runs are found by those as well.

Such an id comes with the upstream's first event, which whoever asked is shown as it came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from tailrace.facade import Tailrace
from tailrace.hub import Tail
from tailrace.log import Record
from tailrace.runs.following import read_past
from tailrace.runs.frames import frame_of
from tailrace.runs.rights import ALL_RUNS
from tailrace.runs.tasks import Tasks

__all__ = ["Aliases"]

_RUN_SECONDS = 86_400.0
"""How long a first event is waited for: longer than any run may take."""


class _Response(msgspec.Struct):
    id: str = ""


class _Event(msgspec.Struct):
    response: _Response = msgspec.field(default_factory=_Response)


_decode = msgspec.json.Decoder(_Event).decode


class Aliases:
    """The upstream ids of relayed responses."""

    def __init__(self, tailrace: Tailrace) -> None:
        self._runs = tailrace.runs
        self._hub = tailrace.hub
        self._keep = tailrace.options.keep_ended
        self._tasks = Tasks()
        self._awaited: dict[str, asyncio.Task[None]] = {}

    def follow(self, run: str) -> None:
        """Have a run that was just started be found by its upstream's id, once that is known."""
        task = self._awaited[run] = self._tasks.start(self._claim(run))
        task.add_done_callback(lambda _: self._awaited.pop(run, None))

    async def known(self, tail: Tail) -> None:
        """Wait until a run whose first event is here can be found by that event's id."""
        task = self._awaited.get(tail.epoch)
        if task is not None and tail.head > 1:
            await asyncio.wait((task,))

    async def _claim(self, run: str) -> None:
        tail = (await self._runs.attach(run, ALL_RUNS)).tail
        try:
            await tail.wait_for(lambda: tail.head > 1, _RUN_SECONDS)
            name = _id_in(await read_past(tail, 1))
        finally:
            self._hub.close(tail)
        if name:
            await self._runs.alias(run, name, self._keep)

    async def find(self, name: str) -> str | None:
        """The run that an upstream's id stands for, or None."""
        return await self._runs.aliased(name)

    def close(self) -> None:
        """Wait for no first event any more."""
        self._tasks.cancel()


def _id_in(records: Sequence[Record]) -> str:
    """The response's id in the first of a run's records; none where another kind of provider answers."""
    data = records[0].data if records else None
    frame = frame_of(data) if data is not None else None
    try:
        return _decode(frame[1]).response.id if frame is not None else ""
    except msgspec.DecodeError:
        return ""
