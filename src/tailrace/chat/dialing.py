"""New connections to a provider: its name, its addresses, TCP and TLS.

What is said over them is left to `connection`, how long all this may take to whoever asks for one.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from aiohappyeyeballs import AddrInfoType, start_connection

from tailrace.chat.connection import Connection

if TYPE_CHECKING:
    from yarl import URL

__all__ = ["Dialer", "Origin"]

_SECOND_ADDRESS: Final = 0.25
"""Seconds after which the next address is tried beside the first (RFC 8305, section 5)."""
_REMEMBERED: Final = 10.0
"""Seconds for which a name's addresses are used again: a burst of new connections asks for them once."""


class Origin(NamedTuple):
    """Whom a connection leads to."""

    tls: bool
    host: str
    port: int

    @classmethod
    def of(cls, url: URL) -> Origin:
        """Return the origin of an http(s) URL."""
        return cls(url.scheme == "https", url.raw_host or "", url.port or 0)


class Dialer:
    """Connects to one origin."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._addresses: Sequence[AddrInfoType] = ()
        self._until = 0.0
        self._asking: asyncio.Task[None] | None = None

    async def dial(self, lost: Callable[[Connection], None]) -> Connection:
        """Return a new connection, which calls `lost` when it is gone. Raises `OSError`, whatever it was."""
        loop = asyncio.get_running_loop()
        if loop.time() >= self._until:
            await self._resolve(loop)
        origin = self._origin
        try:
            plain = await start_connection(self._addresses, happy_eyeballs_delay=_SECOND_ADDRESS, interleave=1)
        except OSError:
            self._until = 0.0  # the name may lead elsewhere by now
            raise
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(loop, lost),
                sock=plain,
                ssl=_tls() if origin.tls else None,
                server_hostname=origin.host if origin.tls else None,
            )
        except BaseException:
            plain.close()
            raise
        return connection

    async def _resolve(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._asking is None:
            self._asking = loop.create_task(self._ask(loop))
            self._asking.add_done_callback(_heard)
        await asyncio.shield(self._asking)  # whoever asked first may leave before the answer is here

    async def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._addresses = await loop.getaddrinfo(self._origin.host, self._origin.port, type=socket.SOCK_STREAM)
            self._until = loop.time() + _REMEMBERED
        except UnicodeError as error:  # a name that no server can be asked for
            raise socket.gaierror(socket.EAI_NONAME, "no such name") from error
        finally:
            self._asking = None


def _heard(asking: asyncio.Task[None]) -> None:
    """Have a failure that nobody waits for any more count as heard."""
    if not asking.cancelled():
        asking.exception()


@functools.cache
def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
