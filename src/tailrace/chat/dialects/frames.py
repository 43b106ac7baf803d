"""JSON and blocks as all dialects' frames are made of, written for speed and without I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tailrace.sse import encode_block

if TYPE_CHECKING:
    from tailrace.sse import Event

__all__ = ["COMMENT", "named", "quoted", "raw", "to_json"]

COMMENT: Final = b":\n"
"""What keeps a silent connection open where the dialect has nothing of its own for it.

ONE line feed: a blank line after it would make the SDKs emit an empty event.
"""

_encode = msgspec.json.Encoder().encode


def to_json(value: Any) -> str:
    """Return compact JSON on one line."""
    try:
        return _encode(value).decode()
    except UnicodeEncodeError:
        return _encode(_sayable(value)).decode()


def quoted(text: str) -> str:
    """Return a string as JSON."""
    try:
        return _encode(text).decode()
    except UnicodeEncodeError:
        return _encode(_sayable(text)).decode()


def named(event: str, data: str) -> bytes:
    """Return the block of an event that has a name; `data` is JSON on one line."""
    return f"event: {event}\ndata: {data}\n\n".encode()


def raw(event: Event) -> bytes:
    """Return an upstream's event as it came, but for its id and reconnection time, which are between it and us."""
    data, name, _, _ = event
    return encode_block(data, "" if name == "message" else name)


def _sayable(value: Any) -> Any:
    """Return the value with U+FFFD for each half of a surrogate pair that stands alone: UTF-8 cannot say it."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {_sayable(key): _sayable(inner) for key, inner in value.items()}
    return [_sayable(inner) for inner in value] if isinstance(value, list | tuple) else value
