"""The listening socket, and what every connection inherits from it.

On Linux an accepted socket starts with its listener's options, so that bounding a connection costs
nothing when it is made: the kernel's send buffer, how long a peer may be silent, and how soon small
frames leave.
"""

from __future__ import annotations

import contextlib
import errno
import resource
import socket
from typing import Protocol

from tailrace.errors import SettingsError

__all__ = ["accept_all", "allow_connections", "listen", "watch"]


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
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SettingsError(f"cannot listen on {host}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _bound(listener, silence)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise SettingsError(f"{host}:{port} is taken by another process; choose another with --port") from error
        raise SettingsError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    listener.setblocking(False)
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
