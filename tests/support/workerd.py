"""deploy/cloudflare/worker.js in workerd, the runtime of Cloudflare's own, before one origin.

with worker(server.address) as front:
    ask(front, "GET", "/health")
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.deployed import deployed
from tests.support.proxy import Address, proxy

__all__ = ["worker"]

_MODULES = Path(__file__).parents[1] / "deploy" / "node_modules" / "@cloudflare"

# As wrangler.toml has it. A path in Cap'n Proto's `embed` is relative to the configuration.
_CONFIGURATION = """
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      modules = [(name = "worker.js", esModule = embed "worker.js")],
      compatibilityDate = "2026-01-01",
      bindings = [(name = "ORIGIN", text = "http://{host}:{number}")],
      globalOutbound = "loopback",
    )),
    (name = "loopback", network = (allow = ["private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:{port}", http = (), service = "main")],
);
"""


@contextmanager
def worker(origin: Address, changes: Mapping[str, str] | None = None) -> Iterator[Address]:
    """Run the Worker before `origin`, with these `changes` in its text; yield its address."""

    def configured(port: int, folder: Path) -> str:
        (folder / "worker.js").write_text(deployed("cloudflare/worker.js", changes or {}))
        return _CONFIGURATION.format(port=port, host=origin[0], number=origin[1])

    # The package's command is a script that starts this one, and would leave it behind.
    binary = next((str(each) for each in sorted(_MODULES.glob("workerd-*/bin/workerd"))), "workerd")
    how = {"binary": binary, "got_by": "scripts/workerd"}
    # It would wait for its connections to end.
    with proxy("workerd", ("serve", "conf"), configured, **how, ending=signal.SIGKILL) as address:
        yield address
