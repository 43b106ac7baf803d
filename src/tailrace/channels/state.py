"""What a publish makes of a channel's state: another one, or the old one with a JSON merge patch (RFC 7396)."""

from __future__ import annotations

import json
from typing import Any, Final, Literal, TypeAlias

from tailrace.channels.names import json_of
from tailrace.errors import InvalidEvent
from tailrace.log import NewState

__all__ = ["STATE_BYTES", "StateChange", "merged", "new_state"]

StateChange: TypeAlias = Literal["replace", "merge"]

STATE_BYTES: Final = 262_144
"""Of a state as JSON. Each merge reads and writes all of it, which takes some 3 ms at this size."""


def new_state(change: StateChange, data: object) -> NewState:
    """The state after `data` was published, as a store takes it.

    Raises `InvalidEvent` where it is too large or nests too deeply; a merge does so when it is folded.
    """
    if change == "replace":
        return _bounded(json_of(data))

    def fold(before: str | None) -> str:
        try:
            return _bounded(json_of(merged(None if before is None else json.loads(before), data)))
        except RecursionError:
            raise InvalidEvent("the patch nests too deeply") from None

    return fold


def merged(target: Any, patch: Any) -> Any:
    """What a merge patch makes of a value: members are set, those that are null in it are taken away.

    `target` is used up.
    """
    if not isinstance(patch, dict):
        return patch
    result = target if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def _bounded(state: str) -> str:
    size = len(state) if state.isascii() else len(state.encode())
    if size > STATE_BYTES:
        raise InvalidEvent(f"the channel's state would have {size} bytes; it may have {STATE_BYTES}")
    return state
