"""Whether a reader that stops reading is felt by the server, or whether something on the way takes it all.

A proxy that reads ahead hides a slow client: its events grow old in the proxy's memory and files, where no resume, no
gap and no limit of Tailrace reaches them. So the server is asked for more than the buffers of honest sockets hold, and
for a while nothing is read. Each block says when it left.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from tailrace.client.doctor.asking import BROKEN, PATIENCE
from tailrace.sse import Decoder

if TYPE_CHECKING:
    import httpx2

__all__ = ["MEGABYTES", "swallowed"]

MEGABYTES: Final = 24
"""What is asked for. Sockets took 1 MB on one machine, and 5 MB with an nginx between that does not buffer."""

_PAUSE: Final = 2.0  # seconds
_WAITED: Final = 1.0  # of these, between a block and the next: nothing but us can have been waited for


async def swallowed(http: httpx2.AsyncClient, url: str, headers: Mapping[str, str]) -> int | None:
    """How many bytes left the server while nothing was read; None where that could not be seen.

    Reading stops with the first block that had to wait, so that it is seldom all of them that are read.
    """
    decoder, taken, before = Decoder(), 0, 0.0
    try:
        async with asyncio.timeout(_PAUSE + PATIENCE), http.stream("GET", url, headers=headers) as response:
            await asyncio.sleep(_PAUSE)
            async for chunk in response.aiter_bytes():
                for event in decoder.receive(chunk):
                    if event.event != "block":
                        continue
                    at = json.loads(event.data)["at"]
                    if at - before > _WAITED:
                        return taken
                    taken, before = taken + len(event.data), at
    except BROKEN:
        return None
    return taken or None
