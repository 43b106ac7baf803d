"""The body of an aiohttp response, as this project needs to read it.

All that we use of aiohttp beyond its public interface is in this module, and tests/chat/test_body.py
holds what it relies on (aiohttp 3.14). Judging errors is left to the caller.
"""

from __future__ import annotations

import aiohttp

__all__ = ["Body"]


class Body:
    """Reads whatever has arrived, in one piece, and loses nothing that arrived before a break.

    Two things differ from `StreamReader.readany`:

    - It takes everything at once, and asks the transport to go on only where it was paused. aiohttp counts
      and asks after every HTTP chunk, and a model's frame is one: of 230 us of CPU for a stream of 31 frames
      in one segment, asking was 43 and counting 12.
    - What came before an exception can still be had, by `arrived`; aiohttp raises it first.
    """

    __slots__ = ("_content", "_protocol")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        connection = response.connection
        self._content = response.content
        self._protocol = connection.protocol if connection is not None else None  # None: the body is here already

    @property
    def ended(self) -> bool:
        """The body is complete, read or not; its connection is free again."""
        return self._content.is_eof()

    async def receive(self) -> bytes:
        """Return all that has arrived, waiting where nothing has; empty at the end. Raises what broke the body."""
        content = self._content
        error = content.exception()
        if error is not None:
            raise error
        while not (content.is_eof() or content._buffer):  # noqa: SLF001
            await content._wait("receive")  # noqa: SLF001
        data = self.arrived()
        if self._protocol is not None and self._protocol._reading_paused:  # noqa: SLF001
            self._protocol.resume_reading()
        return data

    def arrived(self) -> bytes:
        """Return what has arrived and was not received, also where the body is broken."""
        content = self._content
        if content is aiohttp.EMPTY_PAYLOAD:  # which has no buffer
            return b""
        data = b"".join(content._buffer)  # noqa: SLF001
        content._buffer.clear()  # noqa: SLF001
        content._size = 0  # noqa: SLF001
        content._cursor += len(data)  # noqa: SLF001
        splits = content._http_chunk_splits  # noqa: SLF001
        while splits and len(splits) > 1:  # by the last one aiohttp knows an empty HTTP chunk
            splits.popleft()
        return data

    def fail(self, error: Exception) -> None:
        """Raise `error` where `receive` waits, else from the next call that does."""
        self._content.set_exception(error)
