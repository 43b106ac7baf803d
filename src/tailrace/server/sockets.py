"""The listening sockets, and what every connection inherits from them.

On Linux an accepted socket starts with its listener's options, so that bounding a connection costs
nothing when it is made: the kernel's send buffer, how long a peer may be silent, and how soon small
frames leave.
"""

from __future__ import annotations

import contextlib
import errno
import resource
import socket
from collections.abc import Iterator
from typing import Protocol

from tailrace.errors import SettingsError

__all__ = ["BACKLOG", "accept_all", "adopt", "allow_connections", "listen", "listen_together", "shown", "watch"]


class SupportsOptions(Protocol):
    """A socket, or what a transport shows of one."""

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        """Set an option."""


SEND_BUFFER = 131_072
"""Bytes that the kernel holds for one slow reader (it books twice as many): loopback takes 3.9 MB unbidden."""
BACKLOG = 4096


def listen(host: str, port: int, silence: float) -> socket.socket:
    """Listen on `host` and `port`; a peer whose network is gone is given up after about `silence` seconds.

    Raises `SettingsError` where that is impossible: the address is taken, or not this machine's.
    """
    (listener,) = listen_together(host, port, silence, 1)
    return listener


def listen_together(host: str, port: int, silence: float, count: int) -> list[socket.socket]:
    """Open `count` sockets that listen on one address, among which the kernel spreads the connections.

    With port 0 the first chooses. As `listen` otherwise.
    """
    with contextlib.ExitStack() as opened, _explained(host, port):
        listeners = [opened.enter_context(_bind(host, port, silence))]
        if count > 1:
            # Only now: bound with it, it would join whatever else of this user's shares that port, unseen by anybody.
            listeners[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        chosen = listeners[0].getsockname()[1]
        listeners += [opened.enter_context(_bind(host, chosen, silence, joins=True)) for _ in range(count - 1)]
        for listener in listeners:
            listener.listen(BACKLOG)
        opened.pop_all()  # they stay open
    return listeners


def adopt(descriptor: int, silence: float) -> socket.socket:
    """Take over a listening socket that this process was started with; `silence` as for `listen`."""
    listener = socket.socket(fileno=descriptor)
    listener.set_inheritable(False)
    _bound(listener, silence)
    return listener


def shown(listener: socket.socket) -> str:
    """Where it listens, as the authority of a URL."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@contextlib.contextmanager
def _explained(host: str, port: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SettingsError(f"{host}:{port} is taken by another process; choose another with --port") from error
        where = host if isinstance(error, socket.gaierror) else f"{host}:{port}"
        raise SettingsError(f"cannot listen on {where}: {error.strerror}") from error


def _bind(host: str, port: int, silence: float, *, joins: bool = False) -> socket.socket:
    """Make a socket at an address; if `joins`, one that others have who share it."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if joins:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _bound(listener, silence)
        listener.bind(address)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _bound(listener: socket.socket, silence: float) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # For a peer that is owed nothing: probes begin after a third of the time, and the last falls within it.
    for option, value in (("TCP_KEEPIDLE", silence / 3), ("TCP_KEEPINTVL", silence / 6), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), max(1, int(value)))
    watch(listener, silence)


def watch(connection: SupportsOptions, silence: float) -> None:
    """Have the kernel end a connection whose peer takes nothing of what it is owed for `silence` seconds (0: never).

    Its own default is a quarter of an hour. It also ends one whose reader is slow, since a window that moves
    but never takes a whole segment does not count, so a stream is watched by its subscription instead.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(silence * 800))


def allow_connections() -> None:
    """Raise this process's limit of open files as far as it may: a connection is one, and a shell allows 1024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Some systems call the limit infinite and refuse it all the same; the old one then has to do.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def accept_all(listener: socket.socket) -> list[socket.socket]:
    """Take whatever waits in the accept queue, so that closing the listener resets nobody."""
    taken: list[socket.socket] = []
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return taken
        connection.setblocking(False)
        taken.append(connection)
