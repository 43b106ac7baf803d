"""What this process has seen of logs, so that it notices a store that has lost some of it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from tailrace.log.position import Position

__all__ = ["Known"]

_KNOWN: Final = 16_384
"""Logs that are remembered: some MB. Of one that was not used for so long nobody here has shown anything lately."""
_NOWHERE: Final = Position("", 0)


class Known:
    """The newest position that this process knows of each log, of the logs that it used last."""

    def __init__(self) -> None:
        self._positions: OrderedDict[str, Position] = OrderedDict()

    def __getitem__(self, log: str) -> Position:
        """The position of a log; of one that is not known, none that any log has."""
        return self._positions.get(log, _NOWHERE)

    def note(self, log: str, position: Position) -> None:
        """Remember a position, unless one further on in the same epoch is known."""
        positions = self._positions
        known = positions.pop(log, _NOWHERE)
        positions[log] = known if known.epoch == position.epoch and known.offset > position.offset else position
        if len(positions) > _KNOWN:
            positions.popitem(last=False)
