"""Channels and runs as the messages of a WebSocket: what the event streams show, as JSON.

Each event is rendered once for all who follow the same log with the same filter, as a frame that is written as it is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Final

from tailrace.asgi.frames import BEAT, text_frame
from tailrace.hub import EventRenderer
from tailrace.log import Position, Record
from tailrace.log.content import is_json, name_of
from tailrace.runs.native import DONE, NativeRenderer, bare
from tailrace.sse import Decoder

__all__ = ["ChannelFrames", "RunFrames", "prelude", "said"]

_dump: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_MOST_PRELUDE: Final = 1 << 30  # what is read is our own


def _about(kind: str, name: str) -> str:
    return f'"{kind}":{encode_basestring(name)},'


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelFrames(EventRenderer):
    """A channel's events. Data that was published as JSON is that JSON, any other is a string."""

    channel: str

    @property
    def heartbeat(self) -> bytes:
        """No message: the protocol has heartbeats of its own."""
        return BEAT

    @property
    def about(self) -> str:
        """What each event says of where it is from."""
        return _about("channel", self.channel)

    def control(self, event: str, data: object, position: Position | None, retry: int | None) -> bytes:
        """An event of the hub's own."""
        return said(self.about, event, _dump(data), str(position) if position else "", retry)

    def render(self, epoch: str, records: Sequence[Record]) -> list[bytes]:
        """A frame for each, or nothing."""
        only, head = self.only, f'{{"type":"event",{self.about}"event":'
        return [
            b""
            if data is None or (only and (name_of(event) or "message") not in only)
            else text_frame(
                f"{head}{encode_basestring(name_of(event) or 'message')},"
                f'"data":{data if is_json(event) else encode_basestring(data)},"id":"{epoch}-{offset}"}}'.encode()
            )
            for offset, event, data, _ in records
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFrames(NativeRenderer):
    """A run's events. Their data is JSON already, but for the last one's."""

    run: str

    @property
    def heartbeat(self) -> bytes:
        """No message: the protocol has heartbeats of its own."""
        return BEAT

    @property
    def about(self) -> str:
        """What each event says of where it is from."""
        return _about("run", self.run)

    def control(self, event: str, data: object, position: Position | None, retry: int | None) -> bytes:
        """An event of the hub's own."""
        return said(self.about, event, _dump(data), str(position) if position else "", retry)

    def render(self, epoch: str, records: Sequence[Record]) -> list[bytes]:
        """A frame for each, or nothing."""
        head = f'{{"type":"event",{self.about}"event":"'
        return [
            b""
            if data is None
            else text_frame(
                f'{head}{event or "message"}","data":{_DONE if event == DONE[0] else data},'
                f'"id":"{epoch}-{offset}"}}'.encode()
            )
            for offset, event, data, _ in ([bare(record) for record in records] if self.framed else records)
        ]


_DONE: Final = encode_basestring(DONE[1])


def said(about: str, event: str, data: str, position: str = "", retry: int | None = None) -> bytes:
    """An event that is no record's. `about` says of what stream it is, and is empty for the whole connection."""
    text = f'{{"type":"event",{about}"event":{encode_basestring(event)},"data":{data}'
    if position:
        text += f',"id":"{position}"'
    if retry is not None:
        text += f',"retry":{retry}'
    return text_frame(f"{text}}}".encode())


def prelude(view: ChannelFrames | RunFrames, block: bytes) -> bytes:
    """What a reading begins with, which is written for event streams, as frames."""
    events = Decoder(max_event_bytes=_MOST_PRELUDE).receive(block)
    return b"".join([said(view.about, each.event, each.data, each.id, each.retry) for each in events])
