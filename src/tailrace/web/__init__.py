"""Floor 5: the ready server as a Starlette application."""

from __future__ import annotations

from tailrace.web.app import create_app
from tailrace.web.options import WebOptions

__all__ = ["WebOptions", "create_app"]
