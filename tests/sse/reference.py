"""A plain decoder of whole streams, written straight from the standards and from nothing of ours.

The oracle of the decoder's property tests. HTML: "9.2.6 Interpreting an event stream"; Encoding:
"8.1.1 UTF-8 decoder". Neither fast nor incremental.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@dataclass
class Stream:
    """What a user agent knows after it read a stream to its end. Events are (data, type, last event ID)."""

    events: list[tuple[str, str, str]] = field(default_factory=list)
    last_event_id: str = ""
    reconnection_time: int | None = None
    too_large: bool = False


def interpret(wire: bytes, *, limit: int | None = None) -> Stream:  # noqa: C901, PLR0912  # the standard's order, in one piece
    """Interpret a stream; with a `limit`, stop at the first event that holds more bytes than that."""
    stream = Stream()
    data_buffer = event_type_buffer = last_event_id_buffer = ""
    size = 0
    if wire.startswith(b"\xef\xbb\xbf"):
        wire = wire[3:]
    *lines, unfinished = re.split(rb"\r\n|\n|\r", wire)
    for raw in lines:
        if limit is not None and raw and size + len(raw) + 1 > limit:
            stream.too_large = True
            return stream
        line = utf8_decode(raw)
        if line == "":
            stream.last_event_id = last_event_id_buffer
            if data_buffer != "":
                data = data_buffer[:-1] if data_buffer[-1] == "\n" else data_buffer
                stream.events.append((data, event_type_buffer or "message", stream.last_event_id))
            data_buffer = event_type_buffer = ""
            size = 0
            continue
        if line[0] == ":":
            continue
        size += len(raw) + 1
        name, value = line, ""
        if ":" in line:
            colon = line.index(":")
            name, value = line[:colon], line[colon + 1 :]
            if value[:1] == " ":
                value = value[1:]
        if name == "event":
            event_type_buffer = value
        elif name == "data":
            data_buffer += value + "\n"
        elif name == "id":
            if "\0" not in value:
                last_event_id_buffer = value
        elif name == "retry" and re.fullmatch("[0-9]+", value):
            stream.reconnection_time = int(value)
    stream.too_large = limit is not None and size + len(unfinished) > limit
    return stream


def utf8_decode(octets: bytes) -> str:
    """Decode with U+FFFD for what is invalid, byte by byte as the Encoding standard's UTF-8 decoder."""
    text: list[str] = []
    point = seen = needed = 0
    lower, upper = 0x80, 0xBF
    position = 0
    while position < len(octets):
        byte = octets[position]
        if needed and not lower <= byte <= upper:
            point = seen = needed = 0
            lower, upper = 0x80, 0xBF
            text.append(REPLACEMENT)
            continue  # "Restore byte to ioQueue"
        position += 1
        if needed:
            lower, upper = 0x80, 0xBF
            point = point << 6 | byte & 0x3F
            seen += 1
            if seen == needed:
                text.append(chr(point))
                point = seen = needed = 0
        elif byte <= 0x7F:
            text.append(chr(byte))
        elif 0xC2 <= byte <= 0xDF:
            needed, point = 1, byte & 0x1F
        elif 0xE0 <= byte <= 0xEF:
            lower = 0xA0 if byte == 0xE0 else lower
            upper = 0x9F if byte == 0xED else upper
            needed, point = 2, byte & 0xF
        elif 0xF0 <= byte <= 0xF4:
            lower = 0x90 if byte == 0xF0 else lower
            upper = 0x8F if byte == 0xF4 else upper
            needed, point = 3, byte & 0x7
        else:
            text.append(REPLACEMENT)
    if needed:
        text.append(REPLACEMENT)
    return "".join(text)
