"""A real Caddy in front of several instances, as deploy/caddy sets it up.

with caddy([a.address, b.address]) as front:
    ask(front, "GET", "/health")
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.deployed import deployed
from tests.support.proxy import Address, proxy

__all__ = ["caddy", "caddy_with"]

# Nothing listens but the port, and no certificates are looked for.
_GLOBAL = "{\n\tadmin off\n\tauto_https off\n}\n"
_START = ("run", "--config", "conf", "--adapter", "caddyfile")


@contextmanager
def caddy(instances: Sequence[Address]) -> Iterator[Address]:
    """Run Caddy in front of `instances` with our own file; yield its address."""

    def configured(port: int, folder: Path) -> str:
        servers = " ".join([f"{host}:{number}" for host, number in instances])
        changes = {":80 {": f":{port} {{\n\tbind 127.0.0.1", "127.0.0.1:8000 127.0.0.1:8001": servers}
        return _GLOBAL + deployed(
            "caddy/Caddyfile",
            {**changes, "health_interval 1s": "health_interval 200ms", "lb_try_duration 2s": "lb_try_duration 500ms"},
        )

    with proxy("caddy", _START, configured) as address:
        yield address


@contextmanager
def caddy_with(instance: Address, *lines: str, beside: str = "") -> Iterator[Address]:
    """Run a plain Caddy in front of one instance, with `lines` in its `reverse_proxy`, and `beside` beside that."""

    def configured(port: int, folder: Path) -> str:
        inside = "\n".join(lines)
        proxied = f"reverse_proxy {instance[0]}:{instance[1]} {{\n{inside}\n}}"
        return f"{_GLOBAL}:{port} {{\nbind 127.0.0.1\n{beside}\n{proxied}\n}}\n"

    with proxy("caddy", _START, configured) as address:
        yield address
