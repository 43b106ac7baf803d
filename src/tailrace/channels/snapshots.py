"""How a reader begins with a channel's state: where that is from, and the one event that tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from tailrace.errors import StoreUnavailable
from tailrace.hub import Hub, Tail
from tailrace.log import Position
from tailrace.log.positions import Positions
from tailrace.sse import encode_block

__all__ = ["Begun", "snapshot_event", "snapshot_of", "snapshots_event"]

_CATCH_UP: Final = 2.0
"""Seconds that a reader who has seen more than this process was told waits for it: it is on its way."""
_LOOKS: Final = 3
"""Attempts at a state of the history that this process follows, while somebody drops it."""


class Begun(NamedTuple):
    """The state of a channel, as JSON, and the position up to which it has everything."""

    position: Position
    state: str


async def _reached(tail: Tail, position: Position) -> None:
    """Wait until this process has what the store said it has, or hears of yet another history.

    Raises `StoreUnavailable` where it does not come.
    """
    epoch = tail.epoch

    def there() -> bool:
        return tail.epoch != epoch or (tail.epoch == position.epoch and tail.head >= position.offset)

    if not there():
        tail.reread()
        if not await tail.wait_for(there, _CATCH_UP):
            raise StoreUnavailable("what the store has did not arrive here; come again")


async def snapshot_of(hub: Hub, tail: Tail) -> Begun:
    """A channel's state, of the history that its tail follows. Raises what the store raises."""
    for _ in range(_LOOKS):
        head, state = await hub.store.snapshot(tail.log)
        position = Position(head.epoch, head.last)
        await _reached(tail, position)
        if tail.epoch == head.epoch:
            return Begun(position, "null" if state is None else state)
    raise StoreUnavailable("the channel's history is dropped faster than it can be read; come again")


def snapshot_event(begun: Begun) -> bytes:
    """Tell one channel's state."""
    return encode_block(_state(begun), "snapshot", str(begun.position))


def snapshots_event(begun: Mapping[str, Begun], place: Positions) -> bytes:
    """Tell the states of several channels, by their names."""
    states = ",".join([f'"{name}":{_state(each)}' for name, each in begun.items()])
    return encode_block(f'{{"channels":{{{states}}}}}', "snapshot", str(place))


def _state(begun: Begun) -> str:
    return f'{{"state":{begun.state}}}'
