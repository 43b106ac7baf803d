"""From a record to the bytes of one event, once for all who see the same view of a log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tailrace.log import Position, Record, Verdict
from tailrace.sse import encode_block

__all__ = ["EventRenderer", "Renderer", "control", "resume"]


class Renderer(Protocol):
    """A view of a log. Equal renderers share their bytes, so a renderer is frozen and hashable."""

    @property
    def hides(self) -> bool:
        """Whether some records may render to nothing, so that a reader's cursor must be told now and then."""
        ...

    def render(self, epoch: str, records: Sequence[Record]) -> list[bytes]:
        """For each record the whole event, its blank line included, or nothing where this view does not show it."""
        ...


@dataclass(frozen=True, slots=True)
class EventRenderer:
    """Records as they were published: event, data and their position as id. `only` keeps these event types."""

    only: frozenset[str] = frozenset()

    @property
    def hides(self) -> bool:
        """Whether some records are not shown."""
        return bool(self.only)

    def render(self, epoch: str, records: Sequence[Record]) -> list[bytes]:
        """An event for each, or nothing."""
        only = self.only
        return [
            b""
            if data is None or (only and (event or "message") not in only)
            else encode_block(data, event, f"{epoch}-{offset}")
            for offset, event, data, _ in records
        ]


_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def control(event: str, data: object, *, position: Position | None = None, retry: int | None = None) -> bytes:
    """An event of ours beside the log: `ready`, `resume`, `gap`, `cursor`, `snapshot`, `reconnect`.

    It carries a position only where it moves the reader's.
    """
    text = _json(data)
    return encode_block(text, event, str(position) if position else "", retry)


def resume(verdict: Verdict, position: Position) -> bytes:
    """Tell a reader what became of its cursor. Where it was lost, reading goes on from `position`."""
    data = {"recovered": verdict.recovered, "reason": verdict.reason, "missed": verdict.missed}
    return control("resume", data, position=None if verdict.recovered else position)
