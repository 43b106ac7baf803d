"""From a record to the bytes of one event, once for all who see the same view of a log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from tailrace.log import Position, Record, Verdict
from tailrace.log.content import name_of
from tailrace.log.positions import Positions
from tailrace.sse import HEARTBEAT, encode_block

__all__ = ["EventRenderer", "Folding", "Renderer", "control", "resume"]


class Renderer(Protocol):
    """A view of a log. Equal renderers share their bytes, so a renderer is frozen and hashable.

    One that belongs to a single reader may keep a state: it equals nothing but itself, is given the records in
    order from the first on, and some of them again where a write took only a part.
    """

    @property
    def dialect(self) -> str:
        """What the readers of this view speak, in a word of a closed list: a label of what is counted."""
        ...

    @property
    def hides(self) -> bool:
        """Whether some records may render to nothing, so that a reader's cursor must be told now and then."""
        ...

    @property
    def heartbeat(self) -> bytes:
        """What is sent after silence, to show that somebody is there."""
        ...

    def control(self, event: str, data: object, position: Position | None, retry: int | None) -> bytes | None:
        """An event of the hub's own, or None where the readers of this view would not understand it."""
        ...

    def broken(self) -> bytes | None:
        """The end of the stream of a reader that missed records; None where it is told by a `gap` and reads on."""
        ...

    def render(self, epoch: str, records: Sequence[Record]) -> list[bytes]:
        """For each record the whole event, its blank line included, or nothing where this view does not show it."""
        ...


@runtime_checkable
class Folding(Protocol):
    """A view whose readers may be told more at a time when they are far behind."""

    def fold(self, records: Sequence[Record]) -> Sequence[Record]:
        """As many records, at the same offsets, that come to the same: fewer of them are shown."""
        ...


@dataclass(frozen=True, slots=True)
class EventRenderer:
    """Records as they were published: event, data and their position as id. `only` keeps these event types."""

    only: frozenset[str] = frozenset()

    @property
    def dialect(self) -> str:
        """Events of channels."""
        return "events"

    @property
    def hides(self) -> bool:
        """Whether some records are not shown."""
        return bool(self.only)

    @property
    def heartbeat(self) -> bytes:
        """A comment."""
        return HEARTBEAT

    def control(self, event: str, data: object, position: Position | None, retry: int | None) -> bytes:
        """All of them are known to our clients."""
        return control(event, data, position=position, retry=retry)

    def broken(self) -> bytes | None:
        """A reader that missed something is told, and reads on."""
        return None

    def render(self, epoch: str, records: Sequence[Record]) -> list[bytes]:
        """An event for each, or nothing."""
        only = self.only
        return [
            b""
            if data is None or (only and (name_of(event) or "message") not in only)
            else encode_block(data, name_of(event), f"{epoch}-{offset}")
            for offset, event, data, _ in records
        ]


_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def control(
    event: str, data: object, *, position: Position | Positions | None = None, retry: int | None = None
) -> bytes:
    """An event of ours beside the log: `ready`, `resume`, `gap`, `cursor`, `snapshot`, `reconnect`.

    It carries a position only where it moves the reader's.
    """
    text = _json(data)
    return encode_block(text, event, str(position) if position else "", retry)


def resume(verdict: Verdict, position: Position) -> bytes:
    """Tell a reader what became of its cursor. Where it was lost, reading goes on from `position`."""
    data = {"recovered": verdict.recovered, "reason": verdict.reason, "missed": verdict.missed}
    return control("resume", data, position=None if verdict.recovered else position)
