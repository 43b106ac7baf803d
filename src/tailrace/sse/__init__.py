"""The wire format of Server-Sent Events: what an event is, how it is written, how it is read back.

Sans-IO: nothing here opens a socket or knows HTTP. Sending the bytes, reconnecting and what the
data means are left to the floors above.
"""

from __future__ import annotations

from tailrace.sse.decoder import MAX_EVENT_BYTES, Decoder
from tailrace.sse.encoder import HEARTBEAT, comment, encode, encode_block
from tailrace.sse.event import Event

__all__ = ["HEARTBEAT", "MAX_EVENT_BYTES", "Decoder", "Event", "comment", "encode", "encode_block"]
