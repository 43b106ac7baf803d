"""One event of a stream, as a value.

An `Event` that was constructed can be written and means the same to whoever reads it. Writing is
left to the encoder, reading to the decoder; what the data means, to their users.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

from tailrace.errors import InvalidEvent

__all__ = ["Event"]


class _Fields(NamedTuple):
    data: str
    event: str
    id: str
    retry: int | None


class Event(_Fields):
    """An event: its `data`, its type `event`, the reader's position `id`, the reconnection time `retry`.

    To be written: no `event` line where the type is "message" (the type of an event that names
    none, hence also what an empty one becomes), no `id` line where `id` is empty, no `retry` line
    where it is None. `retry` is in milliseconds. CR, LF and CRLF in `data` are all line breaks to
    the wire, so a reader finds LF for each of them.

    As read by the decoder: `id` is the stream's last event ID, which persists over events that
    bring none; `retry` is what this event's own block set. Its `event` or `id` may then hold what
    the constructor refuses but the wire allowed, and it can be written back all the same.

    A tuple underneath, since nothing frozen is quicker to build (0.15 us, a frozen dataclass 0.5); but it
    equals only events.

    Raises `InvalidEvent` for CR, LF or NUL in `event` or `id`, an `id` with a space or tab at either
    end, a negative `retry`, and text with lone surrogates, which has no UTF-8.
    """

    __slots__ = ()

    def __new__(
        cls,
        data: str,
        event: str = "message",
        id: str = "",  # noqa: A002  # the wire's own word
        retry: int | None = None,
    ) -> Self:
        _refuse_controls("event", event)
        _refuse_controls("id", id)
        if id != id.strip(" \t"):
            # The wire would carry it (the encoder writes one space after the colon, the reader takes one
            # away), but HTTP trims header values: it would not come back whole in `Last-Event-ID`.
            raise InvalidEvent(f"id {id!r} begins or ends with a blank, which Last-Event-ID would lose")
        if retry is not None and retry < 0:
            raise InvalidEvent(f"retry must not be negative: {retry}")
        if not (data.isascii() and event.isascii() and id.isascii()):
            _refuse_surrogates(data, event, id)
        return tuple.__new__(cls, (data, event or "message", id, retry))

    def __eq__(self, other: object) -> bool:
        # Not NotImplemented: a plain tuple would then compare itself with this one, and may say yes.
        return isinstance(other, Event) and tuple.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = _Fields.__hash__

    def _replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed, validated like any other (a named tuple's own is not)."""
        return type(self)(**{**self._asdict(), **changes})

    __replace__ = _replace


def _refuse_controls(field: str, value: str) -> None:
    if "\n" in value or "\r" in value or "\0" in value:
        raise InvalidEvent(f"{field} {value!r} holds CR, LF or NUL, which an event stream cannot carry there")


def _refuse_surrogates(*texts: str) -> None:
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidEvent(f"lone surrogate at index {error.start}: the text has no UTF-8") from None
