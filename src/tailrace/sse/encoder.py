"""Events and comments as the bytes of a stream.

`encode` is for anyone; `encode_block` for those who render many events and know their fields to be
valid. Joining, framing (HTTP chunks) and sending are left to the hub and its sinks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tailrace.sse.event import Event

__all__ = ["HEARTBEAT", "comment", "encode", "encode_block"]

HEARTBEAT: Final = b":heartbeat\n"
"""What keeps a silent connection open: a comment, which no client takes for an event."""


def encode(event: Event) -> bytes:
    """Return the block of `event`, its ending blank line included."""
    data, type_, id_, retry = event
    return encode_block(data, "" if type_ == "message" else type_, id_, retry)


def encode_block(
    data: str,
    event: str = "",
    id: str = "",  # noqa: A002  # the wire's own word
    retry: int | None = None,
) -> bytes:
    """Return a block without looking at its fields: for trusted callers on the hot path.

    The caller vouches that `event` and `id` are as `Event` would accept them; a line break in them
    would forge fields. `data` may be any text. Empty `event` and `id`, and `retry` None, write no line.

    There is always a `data` line: a block of only `id`, `event` or `retry` makes the OpenAI SDK
    and httpx-sse emit an empty event. And always one space after the colon: readers take exactly one
    away, so that a value's own leading space survives.

    Raises `UnicodeEncodeError` (a `ValueError`) for lone surrogates.
    """
    if retry is not None:
        return b"retry: %d\n%b" % (retry, encode_block(data, event, id))
    if "\n" in data or "\r" in data:
        data = _prefixed(data, "data: ")
    # One f-string for each shape: 0.04 to 0.1 us less than putting the lines together, of 0.2.
    if id:
        if event:
            return f"id: {id}\nevent: {event}\ndata: {data}\n\n".encode()
        return f"id: {id}\ndata: {data}\n\n".encode()
    if event:
        return f"event: {event}\ndata: {data}\n\n".encode()
    return f"data: {data}\n\n".encode()


def comment(text: str) -> bytes:
    """Return a comment, `:text` and ONE line feed. A text of several lines becomes several comments.

    A blank line after it would make the OpenAI and Anthropic SDKs emit an empty event once an id was
    seen, and the OpenAI SDK then dies in parsing it. So a comment goes between blocks, as it is.
    """
    return f":{_prefixed(text, ':')}\n".encode()


def _prefixed(text: str, prefix: str) -> str:
    """Put `prefix` before each line of `text` but the first.

    Lines end where a reader ends them, at CRLF, LF and CR alone: `str.splitlines` would also cut at
    U+2028, U+0085 and five others, which are text.
    """
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", f"\n{prefix}")
