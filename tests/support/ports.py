"""Ports that stay free while their server is away."""

from __future__ import annotations

import itertools
import os
import socket

__all__ = ["free_port"]

_FIRST, _LAST = 20_000, 30_000
"""Below Linux's range for outgoing connections.

In that range a client could take the port of a server that is away for a moment, or connect to itself there.
"""

# Test processes that run at the same time begin at different places.
_candidates = itertools.cycle([_FIRST + (os.getpid() * 131 + step) % (_LAST - _FIRST) for step in range(10_000)])


def free_port() -> int:
    """A port that nobody listens on, and that no outgoing connection takes."""
    for port in _candidates:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("unreachable: the candidates do not end")
