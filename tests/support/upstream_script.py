"""What a scripted upstream is told: a `Script`, one answer with its faults, and what its stream is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tailrace.runs.deltas import Delta, Text

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Frame", "Script"]

Fault = Literal[
    "none",
    "reset before head",  # RST once the request is here
    "close before head",  # FIN once the request is here
    "no head",  # the request is read, nothing is ever answered
    "head only",  # the head, then silence
    "reset",  # RST after `after` pieces
    "cut",  # FIN after `after` pieces, the chunked body unfinished
    "eof",  # a clean end of the body after `after` pieces
    "no terminal",  # all frames but the terminal, then a clean end of the body
    "stall",  # silence after `after` pieces, until `Upstream.resume` (if ever)
    "malformed",  # after `after` pieces a frame that is no JSON
    "error",  # after `after` pieces the error `error`, then a clean end
]


@dataclass(frozen=True, kw_only=True)
class Script:
    """How one request is answered.

    `pieces` are the answer (a string is a text delta), `usage` is (input, output) tokens or None, `finish`
    is the canonical reason. `delay` (seconds) goes before each frame, `head_delay` before the head,
    `first_delay` before the first frame. `chunking` says what goes into one write: everything, one frame,
    one byte. A `status` other than 200 is answered with `body` (a dict as JSON) and no stream. `noise`
    puts pings, comments, unknown events and blocks without content between the pieces.
    """

    pieces: tuple[str | Delta, ...] = ("Hello", ", ", "world", "!")
    usage: tuple[int, int] | None = (5, 4)
    finish: str = "stop"
    delay: float = 0.0
    head_delay: float = 0.0
    first_delay: float = 0.0
    chunking: Literal["whole", "frame", "byte"] = "frame"
    gzip: bool = False
    noise: bool = False
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | dict[str, Any] = b""
    content_type: str = "text/event-stream; charset=utf-8"
    fault: Fault = "none"
    after: int = 0
    error: Mapping[str, Any] = field(default_factory=lambda: {"type": "overloaded_error", "message": "Overloaded"})

    @property
    def deltas(self) -> tuple[Delta, ...]:
        """Return the pieces as the deltas that a reader should get."""
        return tuple(Text(piece) if isinstance(piece, str) else piece for piece in self.pieces)


class Frame(NamedTuple):
    """One block of the stream; `piece` marks those that carry a piece of the answer."""

    data: bytes
    piece: bool = False
