"""Where a reader of several logs stands: a position in each, and one id for all of them.

The id is the positions' own, `<epoch>-<offset>.<epoch>-<offset>`. An epoch is one history's alone, so no name is
needed to tell whose position it is: a reader may come back for other logs, for fewer or for one, and goes on in those
that it had. Twelve or so bytes for each is the price of every event, and of its `Last-Event-ID`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tailrace.log.position import Position

__all__ = ["MOST_LOGS", "Positions", "positions_in"]

MOST_LOGS: Final = 100
"""Logs that one reader may follow at once: its ids, and the header that it comes back with, stay below 2 KB."""

_SEPARATOR = "."


class Positions(tuple[Position, ...]):
    """A position in each of several logs, in the logs' order."""

    __slots__ = ()

    def __str__(self) -> str:
        """The positions as they stand in an `id:` field."""
        return _SEPARATOR.join(map(str, self))

    @classmethod
    def parse(cls, text: str) -> Positions:
        """Read what `str` wrote. Raises `ValueError` for anything else."""
        positions = [Position.parse(part) for part in text.split(_SEPARATOR)]
        known = [position for position in positions if position is not None]
        if len(known) < len(positions):
            raise ValueError(f"{text!r} is not made of positions")
        return cls(known)

    def moved(self, index: int, position: Position) -> Positions:
        """Return these, but for one log's position."""
        return Positions((*self[:index], position, *self[index + 1 :]))

    def around(self, index: int) -> tuple[str, str]:
        """What stands before and behind one log's position in the id."""
        before, behind = self[:index], self[index + 1 :]
        return "".join([f"{each}{_SEPARATOR}" for each in before]), "".join([f"{_SEPARATOR}{each}" for each in behind])


def positions_in(cursor: str) -> Mapping[str, Position] | None:
    """The positions that a client's cursor names, one or several, by epoch; None where it is no cursor of ours."""
    parts = cursor.split(_SEPARATOR, MOST_LOGS - 1)
    positions = [Position.parse(part) for part in parts]
    by_epoch = {position.epoch: position for position in positions if position is not None}
    return by_epoch if len(by_epoch) == len(parts) else None
