"""Handing on a Messages stream as it came, and putting its events together to the whole message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from tailrace.chat.dialects.anthropic.writer import PING, error_frame
from tailrace.chat.dialects.frames import COMMENT, named, raw
from tailrace.chat.providers.tools import input_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tailrace.chat.dialects.writing import Head
    from tailrace.errors import RunError
    from tailrace.sse import Event

__all__ = ["MessagesAccumulator", "MessagesRelay", "relayed"]


class _Type(msgspec.Struct):
    type: str


_decode_type = msgspec.json.Decoder(_Type).decode


def relayed(event: Event) -> bool:
    """Tell whether a client is to see the event: not where it has no content."""
    return bool(event.data)


class MessagesRelay:
    """Hands on one stream of events."""

    def __init__(self, head: Head) -> None:
        self._open = False

    @property
    def keep_alive(self) -> bytes:
        """A ping, which the API sends at any time after its first event."""
        return PING if self._open else COMMENT

    def write(self, event: Event) -> bytes:
        """Return the event's block as it came, or nothing; where it has no name, its type is one."""
        if not relayed(event):
            return b""
        self._open = True
        # The SDK passes over what has no name, which some imitations leave out.
        return raw(event) if event.event != "message" else named(_decode_type(event.data).type, event.data)

    def fail(self, error: RunError) -> bytes:
        """Return the `error` event."""
        return error_frame(error)


class MessagesAccumulator:
    """Puts events together, as the official SDK does; deltas that are unknown here are merged by their fields."""

    def __init__(self) -> None:
        self._message: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._inputs: dict[int, list[str]] = {}

    def add(self, event: Event) -> None:
        """Take the next event."""
        if not event.data:
            return
        frame: dict[str, Any] = msgspec.json.decode(event.data)
        if take := self._TAKERS.get(frame.get("type", "")):
            take(self, frame)

    def whole(self) -> dict[str, Any]:
        """Return the message."""
        for index, pieces in self._inputs.items():
            self._blocks[index]["input"] = input_of("".join(pieces))
        return {**self._message, "content": [self._blocks[index] for index in sorted(self._blocks)]}

    def _start(self, frame: dict[str, Any]) -> None:
        self._message = frame.get("message") or {}

    def _start_block(self, frame: dict[str, Any]) -> None:
        self._blocks[frame.get("index", 0)] = frame.get("content_block") or {}

    def _add_delta(self, frame: dict[str, Any]) -> None:
        index = frame.get("index", 0)
        block = self._blocks.setdefault(index, {})
        for name, piece in (frame.get("delta") or {}).items():
            if name == "partial_json":
                self._inputs.setdefault(index, []).append(piece)
            elif name == "citation":
                block["citations"] = [*(block.get("citations") or ()), piece]
            elif name == "signature":  # it comes whole
                block[name] = piece
            elif name != "type":
                known = block.get(name)
                block[name] = known + piece if isinstance(known, str) and isinstance(piece, str) else piece

    def _end(self, frame: dict[str, Any]) -> None:
        usage = {name: count for name, count in (frame.pop("usage", None) or {}).items() if count is not None}
        self._message["usage"] = (self._message.get("usage") or {}) | usage
        self._message |= frame.pop("delta", None) or {}
        self._message |= {name: value for name, value in frame.items() if name != "type"}

    _TAKERS: ClassVar[dict[str, Callable[[MessagesAccumulator, dict[str, Any]], None]]] = {
        "message_start": _start,
        "content_block_start": _start_block,
        "content_block_delta": _add_delta,
        "message_delta": _end,
    }
