"""A network cable between a client and a server, to be pulled and plugged in.

async with Cable(server.address) as cable:
    ...  # the client uses cable.url
    await cable.pull()
    await cable.plug()
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self

__all__ = ["Cable"]


class Cable:
    """Carries TCP connections on loopback to `target`, which may be exchanged while it is pulled."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.port = 0
        self.opened = 0
        """Connections that it has carried so far."""
        self._listener: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self._pipes: set[asyncio.Task[None]] = set()
        self._frozen: set[asyncio.StreamReader] = set()
        self._live: set[asyncio.StreamReader] = set()

    @property
    def url(self) -> str:
        """The base URL of the server behind it, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    async def plug(self) -> None:
        """Carry connections; always on the same port."""
        self._listener = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def pull(self) -> None:
        """Reset what is connected, and refuse what comes."""
        if self._listener is not None:
            self._listener.close()
        for end in self._ends:
            end.transport.abort()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    def freeze(self) -> None:
        """Swallow all that comes on the connections of now, and tell nobody: as a dead peer does. New ones work."""
        self._frozen |= self._live

    async def __aenter__(self) -> Self:
        await self.plug()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.pull()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.add(writer)
        self.opened += 1
        try:
            there_reader, there_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        self._ends.add(there_writer)
        for source, sink in ((reader, there_writer), (there_reader, writer)):
            task = asyncio.create_task(self._pipe(source, sink))
            self._pipes.add(task)
            task.add_done_callback(self._pipes.discard)

    async def _pipe(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        self._live.add(source)
        with contextlib.suppress(OSError):
            while chunk := await source.read(65536):
                if source not in self._frozen:
                    sink.write(chunk)
        self._live.discard(source)
        self._ends.discard(sink)
        sink.close()
