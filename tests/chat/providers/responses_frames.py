"""A `Script` as a Responses stream, beside the two formats of `tests.support.upstream_frames`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tailrace.chat.dialects import DIALECTS, Head
from tailrace.runs.deltas import Finish, Usage
from tests.support.upstream_frames import Frame, _broken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.upstream_frames import Script

__all__ = ["responses_frames"]

_NOISE = (
    Frame(b": keep-alive\n\n"),
    Frame(b'event: keepalive\ndata: {"type":"keepalive","sequence_number":0}\n\n'),
    Frame(b'event: brand_new\ndata: {"type":"brand_new","delta":{"a":1},"response":[]}\n\n'),
    Frame(b"event: ping\n\n"),
    Frame(b"data:\n\n"),
)


def responses_frames(script: Script) -> Iterator[Frame]:
    """Return the script's frames, up to its fault."""
    error = {"type": "error", "sequence_number": 9, "error": dict(script.error)}
    return _broken(script, _frames, f"event: error\ndata: {json.dumps(error)}\n\n".encode())


def _frames(script: Script) -> Iterator[Frame]:
    writer = DIALECTS["openai-responses"].writer(Head(run="up", model="m", created=1_790_000_000))
    yield Frame(writer.open())
    for delta in script.deltas:
        if script.noise:
            yield from _NOISE
        yield Frame(writer.write([delta]), piece=True)
    yield Frame(writer.write([*([Usage(*script.usage)] if script.usage else []), Finish(script.finish)]))
