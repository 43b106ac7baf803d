"""Whether a cursor is of a stream that a ticket opened, so that the ticket is still good for it when it is late.

A ticket that stands in a log is worth nothing after its minute, unless its finder also has the id of an event: of an
answer of its own caller, or of the very history that its path is about.
"""

from __future__ import annotations

from urllib.parse import parse_qs

from tailrace.access.caller import Caller
from tailrace.access.tickets import run_path
from tailrace.errors import RunNotFound
from tailrace.facade import Tailrace

__all__ = ["has_opened"]

_CHAT = "/api/chat"
_EVENTS = "/events"


async def has_opened(tailrace: Tailrace, caller: Caller, path: str, query: str, cursor: str) -> bool:
    """Whether `cursor` is an event's id of what `path` shows this caller. Raises `StoreUnavailable`."""
    epoch = cursor.rpartition("-")[0]
    if caller.watches is not None:
        return epoch == caller.watches
    if path == _CHAT:
        return await _is_theirs(tailrace, caller, epoch)
    if path.startswith(f"{_CHAT}/"):
        return path == run_path(epoch)
    if path == _EVENTS or path.startswith(f"{_EVENTS}/"):
        channels = parse_qs(query).get("channel", []) if path == _EVENTS else [path.removeprefix(f"{_EVENTS}/")]
        return await tailrace.channels.is_of(cursor, channels)
    return False


async def _is_theirs(tailrace: Tailrace, caller: Caller, run: str) -> bool:
    try:
        attached = await tailrace.runs.attach(run, caller.owner)
    except RunNotFound:
        return False
    tailrace.hub.close(attached.tail)
    return True
