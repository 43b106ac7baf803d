"""Where an answer comes from: what a producer is, what it yields, and letting go of one."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable, Callable, Sequence

from tailrace.runs.deltas import Finish, Frame, Part, Restart, Text, Thinking, ToolCall, Usage

__all__ = ["SPOKEN", "Item", "Producer", "close", "deltas_of", "discard"]

log = logging.getLogger("tailrace")

Item = str | Part | Sequence[Part]
"""What a producer yields: text, a delta, or all the deltas that came at once; a frame stands for what it says."""

Producer = AsyncIterable[Item] | Callable[[], AsyncIterable[Item]]
"""Where an answer comes from: an async iterator, or what makes one (so that a resume makes none)."""

# Tuples: a union would be built anew for each look at a delta.
SPOKEN = (Text, Thinking, ToolCall)
_PARTS = (*SPOKEN, Usage, Finish, Frame, Restart)  # a frame is a sequence too, but not of deltas
_PLAIN = frozenset({list, tuple})


async def discard(producer: Producer) -> None:
    """Close a producer that is not needed; one that would only be made by a call is not made."""
    if not callable(producer):
        await close(producer)


async def close(items: AsyncIterable[Item] | None) -> None:
    """Close an iterator, if there is one and it can be closed; what goes wrong then is logged."""
    close = getattr(items, "aclose", None)
    if close is None:
        return
    try:
        await close()
    except Exception:
        log.exception("a producer failed while it was being closed")


def deltas_of(item: Item) -> Sequence[Part]:
    """The deltas of what was yielded."""
    if isinstance(item, str):
        return (Text(item),)
    if type(item) in _PLAIN:  # what providers yield; else ten types would be looked for in it
        return item  # type: ignore[return-value]  # neither a part nor text
    return (item,) if isinstance(item, _PARTS) else item
