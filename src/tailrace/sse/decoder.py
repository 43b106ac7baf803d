"""A byte stream, in whatever pieces it arrives, as events: the HTML standard's parser, incrementally.

Follows https://html.spec.whatwg.org/multipage/server-sent-events.html, sections 9.2.5 and 9.2.6, by
the letter; quoted sentences are from there. Connecting, checking the content type, reconnecting with
`last_event_id` after `retry` milliseconds and understanding the data are left to the caller.

There are two ways through, and the tests hold that they never differ:

- `receive` itself, for blocks that are whole in their chunk and made of the usual lines, which is nearly
  all that ever arrives: 0.4 to 0.7 us an event in a chunk of many, 0.8 to 1 alone in its chunk.
- `_lines`, with the standard's buffers, for the rest: blocks that a chunk boundary cuts, rare fields,
  and chunks so large that an event in them could be over the bound. 1 to 2 us an event.
"""

from __future__ import annotations

import contextlib
from typing import Final

from tailrace.errors import EventTooLarge
from tailrace.sse.event import Event

__all__ = ["MAX_EVENT_BYTES", "Decoder"]

MAX_EVENT_BYTES: Final = 16 * 1024 * 1024
"""The default bound. Events of 10 MB exist (a base64 image in one frame); httpx2's bound of 1 MiB breaks on them."""

_BOM: Final = b"\xef\xbb\xbf"
_CR: Final = 13

# Past `Event.__new__`: what the wire said needs no validation, and 0.5 us of it is most of the time for an event.
_new_event: Final = tuple.__new__


class Decoder:
    """Reads one stream of events, over any number of connections.

    Give `receive` each piece of a response body; when the connection ended, call `reset` before the
    first piece of the next. `last_event_id` and `retry` outlive that: they are what the next request
    needs. The end of a body needs no call: an event without its blank line is not an event.

    `last_event_id` is the id that the stream committed last, "" for none; given to the constructor, the
    cursor that the first request was made with. `retry` is the reconnection time in milliseconds, None
    until the stream sets it.

    `max_event_bytes` bounds what an unfinished event may hold: its lines with their line breaks, each
    counted as one byte, and any one line by itself, comments too. Finished comments hold nothing and do
    not count, so that heartbeats never add up.
    """

    __slots__ = (
        "_after_cr",
        "_data",
        "_failed",
        "_id",
        "_max",
        "_retry",
        "_settled",
        "_size",
        "_start",
        "_tail",
        "_type",
        "last_event_id",
        "retry",
    )

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES, last_event_id: str = "") -> None:
        if max_event_bytes < 1:
            raise ValueError(f"max_event_bytes must be at least 1: {max_event_bytes}")
        self.last_event_id = last_event_id
        self.retry: int | None = None
        self._max = max_event_bytes
        self.reset()

    def reset(self) -> None:
        """Begin with a new connection: forget what is unfinished or failed, keep `last_event_id` and `retry`.

        The standard starts with an empty last event ID buffer, so that the first event without an id
        would erase the cursor. Browsers keep it, and so does this.
        """
        self._failed = False
        self._start: bytes | None = b""  # the first bytes while they may be a byte order mark, None once that is known
        self._after_cr = False  # a line feed that comes next belongs to a line that was ended already
        self._tail = bytearray()  # the unfinished line
        self._size = 0  # bytes of the unfinished block's finished lines, without comments
        self._data: list[str] = []
        self._type = ""
        self._retry: int | None = None
        self._id = self.last_event_id
        self._settled = False  # nothing is pending: the next byte begins a block

    def receive(self, chunk: bytes) -> list[Event]:  # noqa: C901  # a call for each line would double its time
        """Take the next piece of the body; return the events that it completes, in order.

        Raises `EventTooLarge` once an event is over the bound, and from then on until `reset`. Events
        before that one are never lost: where the same piece completed some, they are returned, and
        the next call raises.
        """
        if not self._settled or _CR in chunk or len(chunk) > self._max:
            return self._receive_pieces(chunk)
        text = chunk.decode("utf-8", "replace")
        if text.find("\n") == len(text) - 2 and text[:6] == "data: " and text[-1] == "\n":
            # A block of one line in a chunk of its own, as a token often is: two thirds of the time.
            return [_new_event(Event, (text[6:-2], "message", self.last_event_id, None))]
        lines = text.split("\n")
        unfinished = lines.pop()
        events: list[Event] = []
        last_id = event_id = self.last_event_id
        data: str | None = None
        event = line = ""
        # The standard's algorithm on local variables. `removeprefix` and a comparison take half the time of
        # `startswith` and a slice, or of `partition`: so a branch for each usual field, the most frequent first.
        for line in lines:
            if not line:
                last_id = event_id
                if data is not None:
                    events.append(_new_event(Event, (data, event or "message", event_id, None)))
                    data = None
                event = ""
            elif data is None and (value := line.removeprefix("data: ")) != line:
                data = value
            elif (value := line.removeprefix("event: ")) != line:
                event = value
            elif (value := line.removeprefix("id: ")) != line and "\0" not in value:
                event_id = value
            elif data is None and (value := line.removeprefix("data:")) != line:
                data = value
            elif not line.startswith(":"):
                break
        else:
            self.last_event_id = self._id = last_id
            if unfinished or line:  # a block is open; from the bytes, since the chunk may end inside a character
                self._lines(chunk.rpartition(b"\n\n")[2], events)
            return events
        # An unusual line (a second one of data, `retry`, an unknown field): nothing was committed, so begin anew.
        events.clear()
        self._lines(chunk, events)
        return events

    def _receive_pieces(self, chunk: bytes) -> list[Event]:
        if self._failed:
            raise EventTooLarge(self._max)
        events: list[Event] = []
        try:
            self._feed(self._normalised(chunk), events)
        except EventTooLarge:
            self.reset()
            self._failed = True
            if not events:
                raise
        return events

    def _normalised(self, chunk: bytes) -> bytes:
        """Take a leading byte order mark away and make every line break one LF, over chunk boundaries too."""
        if self._start is not None:
            chunk = self._start + chunk
            if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
                self._start = chunk
                return b""
            # "The UTF-8 decode algorithm strips one leading UTF-8 Byte Order Mark (BOM), if any." One, and here only.
            chunk = chunk.removeprefix(_BOM)
            self._start = None
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        if _CR in chunk:
            # "Lines must be separated by either a U+000D CARRIAGE RETURN U+000A LINE FEED (CRLF) character
            # pair, a single U+000A LINE FEED (LF) character, or a single U+000D CARRIAGE RETURN (CR)
            # character." A CR ends its line at once: to wait for an LF would hold the event back.
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return chunk

    def _feed(self, data: bytes, events: list[Event]) -> None:
        if self._size or self._tail:
            head, blank, data = data.partition(b"\n\n")
            self._lines(head + blank, events)
        if len(data) <= self._max:
            whole, blank, data = data.rpartition(b"\n\n")
            if blank:
                self._settled = True
                events += self.receive(whole + blank)
        self._lines(data, events)
        if self._after_cr or self._start is not None:
            self._settled = False

    def _lines(self, data: bytes, events: list[Event]) -> None:
        """Read `data`, its line breaks LF, line by line; raise `EventTooLarge` where the bound is passed.

        A line is decoded by itself, once it is whole. That is what decoding the stream would give, cut or
        invalid sequences included: LF is ASCII, which ends any sequence.
        """
        *lines, unfinished = data.split(b"\n")
        if lines:
            lines[0] = bytes(self._tail) + lines[0]
            self._tail.clear()
        for line in lines:
            if line:
                self._count(line)
                self._field(line.decode("utf-8", "replace"))
            else:
                self._dispatch(events)
        self._tail += unfinished
        if self._size + len(self._tail) > self._max:
            raise EventTooLarge(self._max)
        self._settled = not (self._size or self._tail)

    def _count(self, line: bytes) -> None:
        size = self._size + len(line) + 1
        if size > self._max:
            raise EventTooLarge(self._max)
        if not line.startswith(b":"):
            self._size = size

    def _field(self, line: str) -> None:
        # "Collect the characters on the line before the first U+003A COLON character (:), and let field be that
        # string. Collect the characters on the line after [it], and let value be that string. If value starts with
        # a U+0020 SPACE character, remove it from value." Without a colon: "using the whole line as the field name,
        # and the empty string as the field value."
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:  # "Field names must be compared literally, with no case folding performed."
            case "data":
                # "Append the field value to the data buffer, then append a single U+000A LINE FEED (LF) character to
                # the data buffer." Kept as a list, whose join has no last LF to take away.
                self._data.append(value)
            case "event":
                # "Set the event type buffer to field value."
                self._type = value
            case "id" if "\0" not in value:
                # "If the field value does not contain U+0000 NULL, then set the last event ID buffer to the field
                # value. Otherwise, ignore the field."
                self._id = value
            case "retry" if value.isascii() and value.isdigit():  # isdigit alone: also superscripts, Arabic-Indic, ...
                # "If the field value consists of only ASCII digits, then interpret the field value as an integer in
                # base ten, and set the event stream's reconnection time to that integer. Otherwise, ignore the field."
                with contextlib.suppress(ValueError):  # over 4,300 digits, which Python refuses to read
                    self.retry = self._retry = int(value)
            case _:
                # "The field is ignored." So is a comment, whose name is empty here: "If the line starts with a
                # U+003A COLON character (:), ignore the line."
                pass

    def _dispatch(self, events: list[Event]) -> None:
        # "Set the last event ID string of the event source to the value of the last event ID buffer. The buffer does
        # not get reset, so the last event ID string of the event source remains set to this value until the next time
        # it is set by the server." First of all, so that a block without data commits its id too.
        self.last_event_id = self._id
        # "If the data buffer is an empty string, set the data buffer and the event type buffer to the empty string and
        # return." An empty `data` line leaves LF in the standard's buffer, hence an item in ours, and is dispatched.
        if self._data:
            event = ("\n".join(self._data), self._type or "message", self._id, self._retry)
            events.append(_new_event(Event, event))
            self._data = []
        # "Set the data buffer and the event type buffer to the empty string."
        self._type = ""
        self._retry = None
        self._size = 0
