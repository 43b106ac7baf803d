"""Floor 5: the ready server as a Starlette application.

`app` puts it together. `chat` is the native dialect, `compat` (with `telling`, `responses` and `models`) the SDKs'
endpoints, `events` the channels; `problems` and `shapes` say what is refused, in the form of the API that was asked.
"""

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
