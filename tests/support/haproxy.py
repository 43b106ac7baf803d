"""A real HAProxy in front of several instances, set up as docs/topics/fleet.md says.

    with haproxy([a.address, b.address]) as front:
        ask(front, "GET", "/health")

It asks each instance whether it is ready, and sends new requests only to those that are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.proxy import Address, proxy

__all__ = ["haproxy"]

_CONFIGURATION = """
global
    maxconn 4096
defaults
    mode http
    timeout connect 1s
    timeout client 60s
    timeout server 60s
    timeout http-request 10s
    option redispatch 1
    retries 3
    retry-on conn-failure
frontend front
    bind 127.0.0.1:{port}
    default_backend tailrace
backend tailrace
    balance roundrobin
    option httpchk GET /health/ready
    http-check expect status 200
    default-server check inter 200ms fall 1 rise 1
    {servers}
"""


@contextmanager
def haproxy(instances: Sequence[Address]) -> Iterator[Address]:
    """Run HAProxy in front of `instances`; yield its address."""
    servers = "\n    ".join([f"server i{n} {host}:{port}" for n, (host, port) in enumerate(instances)])

    def configured(port: int, folder: Path) -> str:
        return _CONFIGURATION.format(port=port, servers=servers)

    with proxy("haproxy", ("-db", "-f", "conf"), configured) as address:
        yield address
