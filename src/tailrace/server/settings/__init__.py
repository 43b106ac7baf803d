"""What an operator can set, and how it is read: the shapes, their defaults and `load`.

Everything is checked before the server starts, so that no other module meets an impossible
setting. What a setting does is left to the module that it is handed to.
"""

from __future__ import annotations

from tailrace.server.settings.access import Auth, Jwt, Key, is_local
from tailrace.server.settings.followed import Source
from tailrace.server.settings.loading import load
from tailrace.server.settings.observing import Log, Telemetry
from tailrace.server.settings.secret import Secret
from tailrace.server.settings.sections import (
    Channels,
    Chat,
    Model,
    Provider,
    Server,
    Settings,
    Store,
    Target,
    Timeouts,
)

__all__ = [
    "Auth",
    "Channels",
    "Chat",
    "Jwt",
    "Key",
    "Log",
    "Model",
    "Provider",
    "Secret",
    "Server",
    "Settings",
    "Source",
    "Store",
    "Target",
    "Telemetry",
    "Timeouts",
    "is_local",
    "load",
]
