"""How an upstream's own event rides along in a record: behind what the record says natively.

The data of such a record is `<native data> 0x1f <event> 0x1f <data>`. JSON text holds no raw 0x1f, so the
first two of them part it, and a store need not know. An event that says nothing natively is a record of
its own, which only the upstream's dialect shows.
"""

from __future__ import annotations

from typing import Final

from tailrace.runs.deltas import Frame

__all__ = ["HIDDEN", "SEPARATOR", "Said", "carrying", "frame_of", "hidden", "native_part"]

Said = tuple[str, str]
"""A record's event and data, before it has its place."""

SEPARATOR: Final = "\x1f"

HIDDEN: Final = "-"
"""The event of a record that says nothing natively."""


def carrying(said: Said, frame: Frame) -> Said:
    """What is said, with the frame that said it."""
    return said[0], said[1] + _packed(frame)


def hidden(frame: Frame) -> Said:
    """A frame that says nothing natively."""
    return HIDDEN, _packed(frame)


def _packed(frame: Frame) -> str:
    event, data, _ = frame
    # On the wire an event's name may hold what no name holds, the separator too: such a one is left out.
    return f"{SEPARATOR}{event if event.isprintable() else ''}{SEPARATOR}{data}"


def native_part(data: str) -> str:
    """What a record says natively; nothing for a hidden one."""
    return data.partition(SEPARATOR)[0]


def frame_of(data: str) -> tuple[str, str] | None:
    """The event and data of the frame that rides on a record; None where there is none."""
    _, first, frame = data.partition(SEPARATOR)  # which looks for it five times as fast as `split` does
    event, second, said = frame.partition(SEPARATOR)
    return (event, said) if first and second else None
