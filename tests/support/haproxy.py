"""A real HAProxy in front of several instances, as deploy/haproxy sets it up.

    with haproxy([a.address, b.address]) as front:
        ask(front, "GET", "/health")

It asks each instance whether it is ready, and sends new requests only to those that are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.deployed import DEPLOY, deployed
from tests.support.proxy import Address, proxy

__all__ = ["haproxy", "haproxy_with"]

_OURS = "    server a 127.0.0.1:8000\n    server b 127.0.0.1:8001\n"
_TRACKED = "    server a 127.0.0.1:8000 track tailrace/a\n    server b 127.0.0.1:8001 track tailrace/b\n"
_START = ("-db", "-f", "conf")

_PLAIN = """
defaults
    mode http
    timeout connect 1s
    timeout client 60s
    timeout server 60s
    {lines}
listen front
    bind 127.0.0.1:{port}
    {rule}
    server a {host}:{number}
"""


@contextmanager
def haproxy(instances: Sequence[Address], *, quiet: str = "60s") -> Iterator[Address]:
    """Run HAProxy in front of `instances` with our own files; yield its address. `quiet`: its timeouts for silence."""

    def configured(port: int, folder: Path) -> str:
        names = {f"i{n}": f"{host}:{number}" for n, (host, number) in enumerate(instances)}
        changes = {
            "bind :80": f"bind 127.0.0.1:{port}",
            "maxconn 20000": "maxconn 4096",
            "inter 1s": "inter 200ms",
            "/etc/haproxy/away.http": str(DEPLOY / "haproxy" / "away.http"),
            "timeout client 60s": f"timeout client {quiet}",
            "timeout server 60s": f"timeout server {quiet}",
            _TRACKED: "".join([f"    server {name} {where} track tailrace/{name}\n" for name, where in names.items()]),
            _OURS: "".join([f"    server {name} {where}\n" for name, where in names.items()]),
        }
        return deployed("haproxy/haproxy.cfg", changes)

    with proxy("haproxy", _START, configured) as address:
        yield address


@contextmanager
def haproxy_with(instance: Address, *lines: str, rule: str = "") -> Iterator[Address]:
    """Run a plain HAProxy in front of one instance, with `lines` among its defaults, and a rule for requests."""

    def configured(port: int, folder: Path) -> str:
        where = {"port": port, "host": instance[0], "number": instance[1]}
        return _PLAIN.format(**where, rule=rule, lines="\n    ".join(lines))

    with proxy("haproxy", _START, configured) as address:
        yield address
