"""Floor 5: the ready server as a Starlette application."""

from __future__ import annotations

from tailrace.errors import MissingExtra

try:
    from tailrace.web.app import create_app
    from tailrace.web.options import WebOptions
    from tailrace.web.peers import Peers
except ModuleNotFoundError as error:
    if error.name not in ("msgspec", "starlette"):
        raise
    raise MissingExtra("tailrace.web", "server") from error

__all__ = ["Peers", "WebOptions", "create_app"]
