"""What a record of a channel holds: a text as it was said, or JSON.

Both look alike in the log, which keeps text: `5` may have been a number or one character. Whoever puts data into
something larger has to know, so the record's event says it, by a mark that no event's name can hold and no reader
is shown.
"""

from __future__ import annotations

from typing import Final

__all__ = ["as_json", "is_json", "name_of"]

_MARK: Final = "\0"


def as_json(event: str) -> str:
    """The event of a record whose data is JSON, of the type `event`."""
    return event + _MARK


def is_json(event: str) -> bool:
    """Whether a record's data is JSON, by its event."""
    return event.endswith(_MARK)


def name_of(event: str) -> str:
    """The type that a record's event names; empty for the default one."""
    return event.rstrip(_MARK)
