"""What a server says over a WebSocket, as bytes: the frames of RFC 6455.

A server's frames are not masked and, without compression, the same for whoever gets them: so they can be written once
for everybody, like the blocks of an event stream. Where a server takes messages only, they are taken apart again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

__all__ = ["BEAT", "text_frame", "texts"]

BEAT: Final = b"\x8a\x00"
"""A pong that nobody asked for: "a unidirectional heartbeat" (RFC 6455, section 5.5.3)."""

_TEXT: Final = b"\x81"  # the only frame of its message
_TWO_BYTES, _EIGHT_BYTES = 126, 127


def text_frame(text: bytes) -> bytes:
    """A message, as one frame."""
    size = len(text)
    if size < _TWO_BYTES:
        return b"\x81%c%b" % (size, text)
    if size < 1 << 16:
        return b"%b%c%b%b" % (_TEXT, _TWO_BYTES, size.to_bytes(2, "big"), text)
    return b"%b%c%b%b" % (_TEXT, _EIGHT_BYTES, size.to_bytes(8, "big"), text)


def texts(frames: bytes | memoryview) -> Iterator[str]:
    """The messages in whole frames of ours; heartbeats are none."""
    at = 0
    while at < len(frames):
        kind, size = frames[at], frames[at + 1]
        at += 2
        if size >= _TWO_BYTES:
            wide = 2 if size == _TWO_BYTES else 8
            size = int.from_bytes(frames[at : at + wide], "big")
            at += wide
        if kind == _TEXT[0]:
            yield str(frames[at : at + size], "utf-8")
        at += size
